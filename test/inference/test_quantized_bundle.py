"""8-bit bundles made of finished ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_networks import LABELS, SIZE

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import quantize_bundle as command  # noqa: E402 - needs torch
from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle  # noqa: E402
from rgbd_seg_training.export.frames import ExportFrame, pattern_frames  # noqa: E402
from rgbd_seg_training.export.quantized import quantize_bundle  # noqa: E402

FRAMES = pattern_frames(4, *SIZE, seed=3)


@pytest.fixture(scope="module")
def full(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle like the shipped one: open size, weights stored as half floats, no torch networks."""
    options = ExportOptions(*SIZE, dynamic=True, patterns=1, half_weights=True, training={"seed": 0})
    return export_bundle({"rgb": tiny["rgb"]}, tmp_path_factory.mktemp("full") / "rooms", LABELS, options)


def test_a_finished_bundle_labels_nearly_alike_in_8_bits_at_every_size(full: Bundle, tmp_path: Path) -> None:
    said: list[str] = []
    made = quantize_bundle(full, tmp_path / "rooms_int8", FRAMES[:3], FRAMES[3:], patterns=1, report=said.append)
    manifest, entry = made.manifest, made.manifest.modes[Mode.RGB]
    assert (manifest.name, manifest.precision, manifest.dynamic) == ("rooms_int8", "int8", True)
    assert manifest.training == full.manifest.training
    assert entry.verification["reference"] == "the fp32 file"
    assert entry.verification["frames"] == 2
    assert entry.verification["calibration_frames"] == 3
    assert entry.verification["fp32_sha256"] == full.manifest.modes[Mode.RGB].model.sha256
    assert entry.verification["agreement_at_other_size"] > 0.95
    assert "of labels agree with the fp32 file" in said[0]
    kinds = {node.op_type for node in onnx.load_model_from_string(made.model_bytes(Mode.RGB)).graph.node}
    assert "DequantizeLinear" in kinds
    frame = pattern_frames(1, 96, 128, seed=9)[0]
    for size in (SIZE, (96, 128)):
        labels = [
            Segmenter(b, "onnxruntime", 1, size=size).segment(Mode.RGB, frame.rgb, None).label for b in (full, made)
        ]
        assert (labels[0] == labels[1]).mean() > 0.95
        assert len(np.unique(labels[0])) > 1, "a constant label would agree with anything"


def test_a_model_that_changes_too_many_labels_is_refused_and_leaves_the_old_bundle(
    full: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    black = [ExportFrame(np.zeros_like(f.rgb), np.zeros_like(f.depth)) for f in FRAMES]
    with pytest.raises(UserError, match=r"rgb model is refused.*agree with the fp32 file"):
        quantize_bundle(full, tmp_path / "out" / "b", black, FRAMES)
    assert not any((tmp_path / "out").iterdir())


def test_what_cannot_be_quantised_is_refused_with_the_remedy(full: Bundle, exported: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name a prepared data set"):
        quantize_bundle(full, tmp_path / "out", [])
    with pytest.raises(UserError, match="export them with --precision int8"):
        quantize_bundle(exported, tmp_path / "out", FRAMES)
    again = quantize_bundle(full, tmp_path / "once", FRAMES, patterns=1)
    with pytest.raises(UserError, match="is int8 already"):
        quantize_bundle(again, tmp_path / "out", FRAMES)
    assert not (tmp_path / "out").exists()


def test_the_command_names_a_set_that_is_not_there(
    full: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [str(full.folder), "--calibrate", f"{tmp_path / 'absent'}:val", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["quantize_bundle.py", *words])
    assert command.main() == 2
    assert "absent" in capsys.readouterr().err
    assert not out.exists()

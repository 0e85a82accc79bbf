"""OpenVINO in lower precision leaves the first layers of every image in f32, where depth would not bear it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends import openvino as backend
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.inference.testing import write_test_bundle

pytest.importorskip("openvino")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, str]]:
    """Every model that OpenVINO compiles, with its precision."""
    seen: list[tuple[Any, str]] = []
    compile_model = backend._compile

    def noting(network: Any, device: str, config: Any) -> Any:
        seen.append((network, config["INFERENCE_PRECISION_HINT"]))
        return compile_model(network, device, config)

    monkeypatch.setattr(backend, "_compile", noting)
    monkeypatch.setattr(backend, "_cpu_has", lambda precision: True)  # a runtime that has it not computes in f32
    return seen


def layers(network: Any) -> list[str]:
    kinds = [operation.get_type_name() for operation in network.get_ordered_ops()]
    return [kind for kind in kinds if kind in ("Convolution", "GroupConvolution", "MatMul")]


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_the_first_layers_alone_stay_in_f32(precision: str, exported: Bundle, compiled: list[tuple[Any, str]]) -> None:
    segmenter = Segmenter(exported, "openvino", threads=1, settings={"openvino.precision": precision})
    assert [hint for _, hint in compiled] == ["f32", precision] * len(exported.modes)
    assert sum(len(head.inputs) for head, _ in compiled[::2]) == sum(len(mode.sensors) for mode in segmenter.modes)
    for (head, _), (body, _) in zip(compiled[::2], compiled[1::2], strict=True):
        assert len(layers(head)) == len(head.inputs) == len(body.inputs)
        assert len(layers(body)) > len(layers(head))


def test_f32_is_one_model(exported: Bundle, compiled: list[tuple[Any, str]]) -> None:
    Segmenter(exported, "openvino", threads=1)
    assert [hint for _, hint in compiled] == ["f32"] * len(exported.modes)


def test_a_processor_without_the_precision_has_one_model_in_f32(
    tmp_path: Path, compiled: list[tuple[Any, str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backend, "_cpu_has", lambda precision: False)
    bundle = write_test_bundle(tmp_path / "bundle", 8, 8, modes=[Mode.RGB])
    Segmenter(bundle, "openvino", settings={"openvino.precision": "bf16"})
    assert [hint for _, hint in compiled] == ["f32"]
    assert "does not compute in bf16" in caplog.text


def test_a_hint_that_holds_for_the_whole_network_is_warned_of_where_it_reads_depth(
    tmp_path: Path, compiled: list[tuple[Any, str]], caplog: pytest.LogCaptureFixture
) -> None:
    bundle = write_test_bundle(tmp_path / "bundle", 8, 8)
    facts = {"openvino_agreement": 1.0, "min_agreement": 0.9}
    modes = {mode: dataclasses.replace(entry, verification=facts) for mode, entry in bundle.manifest.modes.items()}
    eight_bit = dataclasses.replace(bundle.manifest, precision="int8", modes=modes)
    Segmenter(dataclasses.replace(bundle, manifest=eight_bit), "openvino", settings={"openvino.precision": "bf16"})
    assert [hint for _, hint in compiled] == ["bf16"] * len(bundle.modes)
    told = {line.split("mode ")[1].split()[0] for line in caplog.messages if "rounds the depth" in line}
    assert told == {"fusion", "depth"}


def test_a_network_in_two_parts_labels_as_in_one(exported: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parts in f32 here, so that only the cut can make a difference."""
    from rgbd_seg_training.export.frames import pattern_frames

    compile_model = backend._compile

    def exact(network: Any, device: str, config: dict[str, Any]) -> Any:
        return compile_model(network, device, {**config, "INFERENCE_PRECISION_HINT": "f32"})

    whole = Segmenter(exported, "openvino", threads=1)
    monkeypatch.setattr(backend, "_compile", exact)
    monkeypatch.setattr(backend, "_cpu_has", lambda precision: True)
    parts = Segmenter(exported, "openvino", threads=1, settings={"openvino.precision": "bf16"})
    for frame in pattern_frames(3, 100, 130, seed=5):
        for mode in exported.modes:
            expected = whole.segment(mode, frame.rgb, frame.depth, 1.0)
            result = parts.segment(mode, frame.rgb, frame.depth, 1.0)
            assert (result.label == expected.label).mean() > 0.9999
            assert np.abs(result.confidence.astype(int) - expected.confidence).max() <= 1


def test_a_network_without_layers_stays_in_f32_as_a_whole(
    tmp_path: Path, compiled: list[tuple[Any, str]], caplog: pytest.LogCaptureFixture
) -> None:
    bundle = write_test_bundle(tmp_path / "bundle", 8, 8)
    segmenter = Segmenter(bundle, "openvino", settings={"openvino.precision": "bf16"})
    assert [hint for _, hint in compiled] == ["f32"] * len(bundle.modes)
    assert "no first layers" in caplog.text
    bright = np.full((8, 8, 3), 200, np.uint8)
    assert (segmenter.segment(Mode.RGB, bright, None).label == 1).all()

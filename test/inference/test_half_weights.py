"""Bundles whose fp32 weights are kept as half floats in the files."""

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
ort = pytest.importorskip("onnxruntime")

from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle  # noqa: E402 - needs torch
from rgbd_seg_training.export.frames import pattern_frames  # noqa: E402
from rgbd_seg_training.export.half_weights import keep_weights_half  # noqa: E402


def test_the_file_is_about_half_as_large_and_labels_alike(
    networks: dict[str, Any], exported: Bundle, tmp_path: Path
) -> None:
    options = ExportOptions(*SIZE, patterns=1, half_weights=True)
    half = export_bundle({"rgb": networks["rgb"]}, tmp_path / "half", LABELS, options)
    assert len(half.model_bytes(Mode.RGB)) < 0.7 * len(exported.model_bytes(Mode.RGB))
    assert half.manifest.modes[Mode.RGB].verification["half_weights"] is True
    frame = pattern_frames(1, *SIZE, seed=9)[0]
    labels = [Segmenter(b, "onnxruntime", 1).segment(Mode.RGB, frame.rgb, None, 1.0).label for b in (exported, half)]
    assert (labels[0] == labels[1]).mean() > 0.995


def test_openvino_labels_a_half_stored_bundle_like_onnx_runtime(tiny: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    options = ExportOptions(*SIZE, patterns=1, half_weights=True)
    bundle = export_bundle({"depth": tiny["depth"]}, tmp_path / "half", LABELS, options)
    frame = pattern_frames(1, *SIZE, seed=9)[0]
    labels = [
        Segmenter(bundle, n, 1).segment(Mode.DEPTH, None, frame.depth, 1.0).label for n in ("onnxruntime", "openvino")
    ]
    assert (labels[0] == labels[1]).mean() > 0.999


def _product(weight: np.ndarray) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    rows, columns = weight.shape
    inputs = [helper.make_tensor_value_info("x", kind, [1, rows])]
    outputs = [helper.make_tensor_value_info("y", kind, [1, columns])]
    graph = helper.make_graph([node], "product", inputs, outputs, [onnx.numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_arithmetic_stays_in_full_precision() -> None:
    """Weights that are half floats already give the very same sums, which no half-precision product would."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(64, 32)).astype(np.float16).astype(np.float32)
    x = rng.normal(size=(1, 64)).astype(np.float32)
    plain, half = _product(weight), _product(weight)
    assert keep_weights_half(half) == weight.nbytes // 2
    results = [ort.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0] for m in (plain, half)]
    np.testing.assert_array_equal(*results)


def test_small_tensors_stay_as_they_are() -> None:
    model = _product(np.ones((8, 8), np.float32))
    assert keep_weights_half(model) == 0
    assert model.SerializeToString() == _product(np.ones((8, 8), np.float32)).SerializeToString()


def test_weights_beyond_half_floats_are_refused() -> None:
    weight = np.ones((64, 32), np.float32)
    weight[3, 3] = 1e5
    with pytest.raises(UserError, match="weight w is too large"):
        keep_weights_half(_product(weight))


def test_half_weights_are_for_full_precision_alone(tiny: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not of fp16"):
        export_bundle(tiny, tmp_path / "b", LABELS, ExportOptions(*SIZE, precision="fp16", half_weights=True))
    assert not any(tmp_path.iterdir())

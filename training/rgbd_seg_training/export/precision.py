"""Lower precision, by choice: half floats and 8-bit integers."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rgbd_seg_ros.models.half import to_half
from rgbd_seg_training.export.frames import ExportFrame
from rgbd_seg_training.export.graph import LabellingGraph

_LAYERS = ["Conv", "MatMul", "Gemm"]
FLOAT_DEPTH = 3
"""Layers in a row from each input that stay in fp32 in 8-bit models; docs/measurements.md says what they are worth."""


def half_graph(graph: LabellingGraph) -> LabellingGraph:
    """A copy of `graph` whose network computes in fp16, see `to_half`; the class choice stays in fp32.

    The sum of the exponentials behind the confidence loses too much in half floats.
    """
    half = copy.deepcopy(graph)
    to_half(half.model)
    return half.eval()


def quantize(model: Any, inputs: Sequence[str], frames: Sequence[ExportFrame], size: tuple[int, int]) -> Any:
    """A copy of `model` (`onnx.ModelProto`, fp32) with 8-bit convolutions and matrix products.

    Static quantisation in QDQ form, weights per channel, ranges from `frames` (should be real and like those of use).
    The class choice stays in fp32, and so do the first layers, which read few channels of a wide range and cost little.
    Activations are unsigned: with signed ones OpenVINO 2026.4 labels wrongly, and ONNX Runtime is slower on processors
    without VNNI. Weights take 7 of the 8 bits: without VNNI or AMX, x86 processors add pairs of products in 16 bits,
    which overflow with all 8.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, result = (str(Path(folder) / f"{name}.onnx") for name in ("plain", "prepared", "result"))
        onnx.save_model(model, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            result,
            _Reader(frame.inputs(inputs, *size) for frame in frames),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            op_types_to_quantize=_LAYERS,
            nodes_to_exclude=first_layers(onnx.load_model(prepared)),
            per_channel=True,
            reduce_range=True,
        )
        return onnx.load_model(result)


def first_layers(model: Any) -> list[str]:
    """Names of the layers of an `onnx.ModelProto` with fewer than `FLOAT_DEPTH` others between them and every input.

    In networks of few layers that is no more than a quarter of the longest chain.
    """
    behind: dict[str, int] = {}  # layers up to and with the one that gives a tensor
    place: dict[str, int] = {}
    for node in model.graph.node:  # in the order of execution
        above = max((behind.get(name, 0) for name in node.input), default=0)
        if node.op_type in _LAYERS:
            place[node.name] = above
            above += 1
        behind |= dict.fromkeys(node.output, above)
    depth = min(FLOAT_DEPTH, max(behind.values(), default=0) // 4)
    return [name for name, above in place.items() if above < depth]


class _Reader:
    """Calibration data as `quantize_static` wants it: one dict per call, None at the end."""

    def __init__(self, inputs: Iterable[dict[str, Any]]) -> None:
        self._inputs: Iterator[dict[str, Any]] = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        """Graph inputs of the next frame."""
        return next(self._inputs, None)

"""Lower precision, by choice: half floats and 8-bit integers."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rgbd_seg_training.export.frames import ExportFrame
from rgbd_seg_training.export.graph import LabellingGraph


class _ToHalf(nn.Module):
    """A normaliser that computes in fp32 and hands on half floats."""

    def __init__(self, normalizer: nn.Module) -> None:
        super().__init__()
        self.normalizer = normalizer

    def forward(self, image: Tensor) -> Tensor:
        return self.normalizer(image).half()


def half_graph(graph: LabellingGraph) -> LabellingGraph:
    """A copy of `graph` whose network computes in fp16; normalisation and class choice stay in fp32.

    Depth in metres and its inverse lose too much in half floats before they are normalised, and so does the sum of the
    exponentials behind the confidence.
    """
    half = copy.deepcopy(graph)
    normalizers = half.model.normalizers
    half.model.normalizers = nn.ModuleDict()
    half.model.half()
    half.model.normalizers = nn.ModuleDict({name: _ToHalf(module) for name, module in normalizers.items()})
    return half.eval()


def quantize(model: Any, inputs: Sequence[str], frames: Sequence[ExportFrame], size: tuple[int, int]) -> Any:
    """A copy of `model` (`onnx.ModelProto`, fp32) with 8-bit convolutions and matrix products.

    Static quantisation in QDQ form, weights per channel, ranges from `frames` (should be real and like those of use).
    The class choice stays in fp32. Weights take 7 of the 8 bits: without VNNI or AMX, x86 processors add pairs of
    products in 16 bits, which overflow with all 8.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, quantize_static
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
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
        )
        return onnx.load_model(result)


class _Reader:
    """Calibration data as `quantize_static` wants it: one dict per call, None at the end."""

    def __init__(self, inputs: Iterable[dict[str, Any]]) -> None:
        self._inputs: Iterator[dict[str, Any]] = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        """Graph inputs of the next frame."""
        return next(self._inputs, None)

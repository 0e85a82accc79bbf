"""Does a file do what its torch network does, or the file that it was made from? Measured, not assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_ros.inference.backends.openvino import load_model
from rgbd_seg_ros.inference.preprocess import to_image_size
from rgbd_seg_training.export.frames import ExportFrame
from rgbd_seg_training.export.graph import LabellingGraph
from rgbd_seg_training.export.onnx_file import OUTPUTS

_SCORES = "verified_scores"

Array = npt.NDArray[Any]


class Reference(Protocol):
    """What a file is compared with.

    Attributes:
        name: of it, for people.
        inputs: names of the images that it reads.
        classes: number of its classes.
    """

    name: str
    inputs: Sequence[str]
    classes: int

    def __call__(self, images: dict[str, Array]) -> tuple[Array, Array, Array]:
        """Class scores (K x H x W in any shape of that order), label and confidence of the images at network size."""
        ...


class TorchReference:
    """A torch network in fp32."""

    def __init__(self, graph: LabellingGraph) -> None:
        self.name = "torch"
        self.inputs: Sequence[str] = graph.model.spec.inputs
        self.classes = graph.model.spec.num_classes
        self._graph = graph

    def __call__(self, images: dict[str, Array]) -> tuple[Array, Array, Array]:
        """See `Reference`."""
        tensors = [torch.from_numpy(images[name]) for name in self.inputs]
        with torch.inference_mode():
            scores = self._graph.scores(*tensors).float().numpy()
            label, confidence = (output.numpy() for output in self._graph(*tensors))
        return scores, label, confidence


class FileReference:
    """Another file (`onnx.ModelProto` of this package), run by ONNX Runtime on the CPU."""

    def __init__(self, name: str, model: Any, inputs: Sequence[str], classes: int) -> None:
        self.name, self.inputs, self.classes = name, inputs, classes
        self._session = _session(model, classes)

    def __call__(self, images: dict[str, Array]) -> tuple[Array, Array, Array]:
        """See `Reference`."""
        label, confidence, scores = self._session.run([*OUTPUTS, _SCORES], images)
        return scores, label, confidence


@dataclass(frozen=True)
class Verification:
    """A file (run by ONNX Runtime on the CPU) against its reference.

    Attributes:
        reference: name of the reference.
        frames: number of image pairs compared.
        agreement: share of pixels with the same label.
        max_score_error: largest difference of a class score; `score_range` is the span of the scores themselves.
        max_confidence_error: largest difference of the confidence, in 255ths.
        miou, miou_reference: mean IoU of both on the labelled ones of the frames, None without labels.
        openvino_agreement: share of pixels that get the same label in OpenVINO, None where it was not asked.
    """

    reference: str
    frames: int
    agreement: float
    max_score_error: float
    score_range: float
    max_confidence_error: int
    miou: float | None
    miou_reference: float | None
    openvino_agreement: float | None = None

    def facts(self) -> dict[str, Any]:
        """The measurement as JSON data, with the versions that it was made with."""
        import onnxruntime

        return {**asdict(self), "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}

    def __str__(self) -> str:
        text = (
            f"{100 * self.agreement:.3f} % of labels agree with {self.reference} on {self.frames} frames, "
            f"scores differ by at most {self.max_score_error:.2g} of {self.score_range:.3g}, "
            f"confidence by {self.max_confidence_error}/255"
        )
        if self.miou is not None and self.miou_reference is not None:
            text += f", mIoU {self.miou:.4f} against {self.miou_reference:.4f}"
        if self.openvino_agreement is not None:
            text += f"; in OpenVINO {100 * self.openvino_agreement:.3f} %"
        return text


def verify(reference: Reference, model: Any, frames: Sequence[ExportFrame], size: tuple[int, int]) -> Verification:
    """Runs `reference` and `model` (`onnx.ModelProto`) on `frames` at network `size` (height, width)."""
    classes = reference.classes
    session = _session(model, classes)
    matrices = ConfusionMatrix(classes), ConfusionMatrix(classes)
    same, pixels, labelled = 0, 0, 0
    errors, confidences, spans = [0.0], [0], [0.0]
    for frame in frames:
        inputs = frame.inputs(reference.inputs, *size)
        label, confidence, scores = session.run([*OUTPUTS, _SCORES], inputs)
        expected_scores, expected_label, expected_confidence = reference(inputs)
        same += int((label == expected_label).sum())
        pixels += label.size
        errors.append(float(np.abs(scores.ravel() - expected_scores.ravel()).max()))
        spans.append(float(np.ptp(expected_scores)))
        confidences.append(int(np.abs(confidence.astype(int) - expected_confidence).max()))
        if (truth := frame.label) is not None:
            labelled += 1
            for matrix, prediction in zip(matrices, (label[0], expected_label[0]), strict=True):
                matrix.update(truth, to_image_size(prediction, truth.shape[:2]))
    miou, expected_miou = (float(m.scores().miou) if labelled else None for m in matrices)
    error, span, confidence_error = max(errors), max(spans), max(confidences)
    return Verification(reference.name, len(frames), same / pixels, error, span, confidence_error, miou, expected_miou)


def agreement_in_openvino(
    reference: Reference, model: Any, frames: Sequence[ExportFrame], size: tuple[int, int]
) -> float:
    """Share of labels of `model` in OpenVINO on the CPU that are those of `reference`.

    Raises:
        ImportError: OpenVINO is not installed.
        RuntimeError: it refuses the model.
    """
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request, same, pixels = None, 0, 0
    for frame in frames:
        inputs = frame.inputs(reference.inputs, *size)
        if request is None:
            shapes = {name: image.shape for name, image in inputs.items()}
            request = load_model(model.SerializeToString(), shapes, "CPU", config)
        _, expected, _ = reference(inputs)
        label = request.infer(dict(inputs))[OUTPUTS[0]]
        same += int((label == expected).sum())
        pixels += label.size
    return same / pixels


def _session(model: Any, classes: int) -> Any:
    """ONNX Runtime on a copy of `model` that also gives the class scores (what the choice of the class reads)."""
    import onnx
    import onnxruntime

    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    graph = extended.graph
    graph.node.append(onnx.helper.make_node("Concat", _score_planes(graph, classes), [_SCORES], axis=0))
    graph.output.append(onnx.helper.make_tensor_value_info(_SCORES, onnx.TensorProto.FLOAT, None))
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(extended.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def _score_planes(graph: Any, classes: int) -> list[str]:
    """Names of the scores of class 0, 1, ... in an exported graph.

    Read from the choice of the class, `where(plane 0 == best, 0, where(plane 1 == best, 1, ...))`: the order of the
    nodes is not that of the classes once a tool has rewritten the graph.
    """
    producers = {name: node for node in graph.node for name in node.output}
    node = producers[OUTPUTS[0]]
    while node.op_type != "Where":
        node = producers[node.input[0]]
    planes = []
    while node is not None and node.op_type == "Where":
        planes.append(producers[node.input[0]].input[0])
        node = producers.get(node.input[2])
    if len(planes) != classes:
        raise RuntimeError(f"the exported graph chooses among {len(planes)} classes, not {classes}")
    return planes

"""A labelling graph as an ONNX file, free of traces of the machine that wrote it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.manifest import DYNAMIC_STEP, MAX_SIDE
from rgbd_seg_training.export.graph import LabellingGraph, example_images

OUTPUTS = ("label", "confidence")


def to_onnx(graph: LabellingGraph, height: int, width: int, dynamic: bool = False) -> Any:
    """The `onnx.ModelProto` of `graph`, constants folded.

    Args:
        graph: in eval mode, on the CPU.
        height, width: size that the graph is made for.
        dynamic: leave height and width open; inputs must then be multiples of 32.

    Raises:
        UserError: the size does not fit the network, or the exporter cannot express it.
    """
    if dynamic and (height % DYNAMIC_STEP or width % DYNAMIC_STEP):
        raise UserError(f"network size {width}x{height} is no multiple of {DYNAMIC_STEP}, as dynamic size needs.")
    inputs = list(graph.model.spec.inputs)
    with quiet(), torch.inference_mode():
        try:
            program = torch.onnx.export(
                graph,
                example_images(graph.model, height, width),
                dynamo=True,
                optimize=True,
                input_names=inputs,
                output_names=list(OUTPUTS),
                dynamic_shapes=_dynamic_shapes(len(inputs)) if dynamic else None,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{graph.model.spec.architecture} cannot be exported to ONNX: {reason}.") from error
    assert program is not None
    model = program.model_proto
    strip(model.graph)
    for function in model.functions:
        strip(function)
    return model


def _dynamic_shapes(inputs: int) -> tuple[tuple[dict[int, Any], ...]]:
    """Height and width of all images, the same for all, as multiples of 32."""
    most = MAX_SIDE // DYNAMIC_STEP
    rows, columns = torch.export.Dim("rows", min=2, max=most), torch.export.Dim("columns", min=2, max=most)
    size = {1: DYNAMIC_STEP * rows, 2: DYNAMIC_STEP * columns}
    return ((size,) * inputs,)


def strip(container: Any) -> None:
    """Removes what the exporter notes for its own debugging: source paths and stack traces."""
    del container.metadata_props[:]
    container.doc_string = ""
    for node in container.node:
        del node.metadata_props[:]
        node.doc_string = ""
        for attribute in node.attribute:
            if attribute.HasField("g"):
                strip(attribute.g)
    for value in (*getattr(container, "value_info", ()), *getattr(container, "initializer", ())):
        del value.metadata_props[:]
        value.doc_string = ""


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the exporter's own progress and deprecation notes off the terminal; errors still come as exceptions."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)

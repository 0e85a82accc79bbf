"""ONNX Runtime with images and results at fixed places in the memory of a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rgbd_seg_ros.inference.backends.base import Inputs, Session, UInt8, as_image, backend_errors

OUTPUTS = ("label", "confidence")
_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
_RUNS_TO_RECORD = 3
"""ONNX Runtime records a CUDA graph after a run or two that let it allocate; then it replays."""


class BoundSession(Session):
    """A session whose tensors are allocated once: one copy per image to the device, one per result back.

    Without it ONNX Runtime allocates and binds at every run, and it cannot replay a CUDA graph, which reads and writes
    fixed addresses. The network has run when the session is made, so what cannot be recorded fails here.

    Args:
        session: an `onnxruntime.InferenceSession`.
        device: `cuda`, or `cpu`, where it gains nothing and the tests can see it.
        size: (height, width) of the network input.
        fast: the graph labels at a quarter of that size (`fast` up-sampling); matters where its size is open.

    Raises:
        BackendError: the runtime refuses the memory or the first runs.
    """

    def __init__(self, session: Any, device: str, size: tuple[int, int], fast: bool = False) -> None:
        from onnxruntime import OrtValue

        self._session = session
        with backend_errors(f"ONNX Runtime cannot bind its tensors on {device}"):
            self._binding = session.io_binding()
            self._inputs = {}
            for node in session.get_inputs():
                zeros = np.zeros((1, *size, *node.shape[3:]), _TYPES[node.type])
                self._inputs[node.name] = OrtValue.ortvalue_from_numpy(zeros, device, 0)
                self._binding.bind_ortvalue_input(node.name, self._inputs[node.name])
            labels = (1, size[0] // 4, size[1] // 4) if fast else (1, *size)
            fixed = {node.name: node.shape for node in session.get_outputs() if _is_fixed(node.shape)}
            self._outputs = []
            for name in OUTPUTS:
                shape = tuple(fixed.get(name, labels))
                self._outputs.append(OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, device, 0))
                self._binding.bind_ortvalue_output(name, self._outputs[-1])
            for _ in range(_RUNS_TO_RECORD):
                session.run_with_iobinding(self._binding)

    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        """See the base class."""
        with backend_errors("ONNX Runtime failed"):
            for name, image in inputs.items():
                self._inputs[name].update_inplace(np.ascontiguousarray(image))
            self._session.run_with_iobinding(self._binding)
            label, confidence = (value.numpy() for value in self._outputs)
        return as_image(label), as_image(confidence)


def _is_fixed(shape: Sequence[Any]) -> bool:
    """Whether no dimension is left open; open ones are names or None."""
    return all(isinstance(dimension, int) for dimension in shape)

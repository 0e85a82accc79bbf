"""ONNX Runtime on the CPU: runs everywhere, and is the one backend that every installation has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends.base import Backend, BackendError, BackendOptions, Session, UInt8, as_image
from rgbd_seg_ros.inference.bundle import Bundle

_OUTPUTS = ["label", "confidence"]


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime with its CPU provider."""

    name = "onnxruntime"

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`."""
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(f"onnxruntime cannot be imported ({error}); pip install onnxruntime") from error
        return f"ONNX Runtime {onnxruntime.__version__}, CPU"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`."""
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        # Spinning workers would burn the cores that the executor and the camera drivers need.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                bundle.model_bytes(mode), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class of their own
            raise BackendError(f"ONNX Runtime refuses the model of mode {mode.value}: {error}") from error
        return _OnnxRuntimeSession(session)


class _OnnxRuntimeSession(Session):
    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> tuple[UInt8, UInt8]:
        try:
            label, confidence = self._session.run(_OUTPUTS, dict(inputs))
        except Exception as error:
            raise BackendError(f"ONNX Runtime failed: {error}") from error
        return as_image(label), as_image(confidence)

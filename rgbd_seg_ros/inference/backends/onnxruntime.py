"""ONNX Runtime: on the CPU the backend that every installation has; on NVIDIA GPUs through its CUDA provider."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends.base import (
    Backend,
    BackendError,
    BackendOptions,
    Inputs,
    Session,
    UInt8,
    as_image,
    backend_errors,
)
from rgbd_seg_ros.inference.backends.cuda_device import find_gpu
from rgbd_seg_ros.inference.bundle import Bundle

_OUTPUTS = ["label", "confidence"]
_ERRORS_ONLY = 3


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime with its CPU provider.

    Settings:
        spinning: let idle workers wait in a busy loop. Off, because they would burn the cores that the executor and
            the camera drivers need; see docs/inference.md for what it costs and gains.
    """

    name = "onnxruntime"
    defaults = MappingProxyType({"spinning": False})

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`."""
        return f"ONNX Runtime {_import().__version__}, CPU"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`."""
        settings = _settings(options, spinning=self.setting(options, "spinning"))
        return _open(bundle, mode, settings, ["CPUExecutionProvider"])


class OnnxRuntimeCudaBackend(Backend):
    """ONNX Runtime with its CUDA provider; single operations that CUDA lacks run on the CPU."""

    name = "onnxruntime_cuda"

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`."""
        gpu = find_gpu()
        runtime = _import()
        if hasattr(runtime, "preload_dlls"):  # from version 1.21 on: finds CUDA and cuDNN that came with pip
            runtime.preload_dlls()
        if "CUDAExecutionProvider" not in runtime.get_available_providers():
            raise BackendError("this onnxruntime has no CUDA provider; pip install onnxruntime-gpu in its place")
        return f"ONNX Runtime {runtime.__version__}, CUDA on {gpu.name}"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`."""
        providers = [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
        session = _open(bundle, mode, _settings(options, spinning=False), providers)
        # A provider whose libraries do not load is dropped with no more than a log line.
        if session.providers[0] != "CUDAExecutionProvider":
            raise BackendError("the CUDA provider of ONNX Runtime does not start; check its CUDA and cuDNN versions")
        return session


def _import() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"onnxruntime cannot be imported ({error}); pip install onnxruntime") from error
    return onnxruntime


def _settings(options: BackendOptions, spinning: bool) -> Any:
    settings = _import().SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _ERRORS_ONLY
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    return settings


def _open(bundle: Bundle, mode: Mode, settings: Any, providers: list[Any]) -> _OnnxRuntimeSession:
    with backend_errors(f"ONNX Runtime refuses the model of mode {mode.value}"):
        # Its own fallback would run on the CPU under the name of the GPU, with no more than a printed line.
        session = _import().InferenceSession(bundle.model_bytes(mode), settings, providers=providers, enable_fallback=0)
    return _OnnxRuntimeSession(session)


class _OnnxRuntimeSession(Session):
    def __init__(self, session: Any) -> None:
        self._session = session
        self.providers: list[str] = session.get_providers()

    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        with backend_errors("ONNX Runtime failed"):
            label, confidence = self._session.run(_OUTPUTS, dict(inputs))
        return as_image(label), as_image(confidence)

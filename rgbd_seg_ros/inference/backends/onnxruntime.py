"""ONNX Runtime: on the CPU the backend that every installation has; on NVIDIA GPUs through its CUDA provider."""

from __future__ import annotations

import logging
import re
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
from rgbd_seg_ros.inference.backends.onnxruntime_bound import OUTPUTS, BoundSession
from rgbd_seg_ros.inference.bundle import Bundle

logger = logging.getLogger(__name__)

_CUDA = "CUDAExecutionProvider"
_ERRORS_ONLY = 3


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime with its CPU provider.

    Settings:
        spin_us: microseconds for which an idle worker looks for work before it sleeps. The default bridges the gaps
            between the operations of a network, and is over before the executor and the camera drivers miss the core;
            docs/measurements.md has the figures. 0: workers sleep at once, as they do under versions before 1.26,
            which know no limit.
    """

    name = "onnxruntime"
    defaults = MappingProxyType({"spin_us": 20.0})

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`."""
        return f"ONNX Runtime {_import().__version__}, CPU"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`."""
        settings = _settings(options, self.setting(options, "spin_us"))
        return _CpuSession(_session(bundle, mode, settings, ["CPUExecutionProvider"]))


class OnnxRuntimeCudaBackend(Backend):
    """ONNX Runtime with its CUDA provider; single operations that CUDA lacks run on the CPU.

    Settings:
        cuda_graph: replay the network as a CUDA graph. Where it cannot be recorded it runs without, with a warning.
    """

    name = "onnxruntime_cuda"
    defaults = MappingProxyType({"cuda_graph": True})

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`."""
        gpu = find_gpu()
        runtime = _import()
        if hasattr(runtime, "preload_dlls"):  # from version 1.21 on: finds CUDA and cuDNN that came with pip
            runtime.preload_dlls()
        if _CUDA not in runtime.get_available_providers():
            raise BackendError("this onnxruntime has no CUDA provider; pip install onnxruntime-gpu in its place")
        return f"ONNX Runtime {runtime.__version__}, CUDA on {gpu.name}"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`."""
        if not self.setting(options, "cuda_graph"):
            return self._open_bound(bundle, mode, options, graph=False)
        try:
            return self._open_bound(bundle, mode, options, graph=True)
        except BackendError as error:
            session = self._open_bound(
                bundle, mode, options, graph=False
            )  # what fails here too is no fault of the graph
            logger.warning("mode %s cannot be recorded as a CUDA graph (%s): it runs without", mode.value, error)
            return session

    def _open_bound(self, bundle: Bundle, mode: Mode, options: BackendOptions, graph: bool) -> Session:
        cuda = (_CUDA, {"use_tf32": "0", "enable_cuda_graph": str(int(graph))})
        session = _session(bundle, mode, _settings(options), [cuda, "CPUExecutionProvider"])
        # A provider whose libraries do not load is dropped with no more than a log line.
        if session.get_providers()[0] != _CUDA:
            raise BackendError("the CUDA provider of ONNX Runtime does not start; check its CUDA and cuDNN versions")
        return BoundSession(session, "cuda", options.size, fast=bundle.manifest.upsampling == "fast")


def _import() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(f"onnxruntime cannot be imported ({error}); pip install onnxruntime") from error
    return onnxruntime


def _settings(options: BackendOptions, spin_us: float = 0.0) -> Any:
    runtime = _import()
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _ERRORS_ONLY
    spins = spin_us >= 1 and _limits_spinning(runtime.__version__)
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    if spins:
        settings.add_session_config_entry("session.intra_op.spin_duration_us", str(int(spin_us)))
    return settings


def _limits_spinning(version: str) -> bool:
    """Whether this version knows `spin_duration_us`. Earlier ones ignore it and spin for tens of milliseconds."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (1, 26)


def _session(bundle: Bundle, mode: Mode, settings: Any, providers: list[Any]) -> Any:
    with backend_errors(f"ONNX Runtime refuses the model of mode {mode.value}"):
        # Its own fallback would run on the CPU under the name of the GPU, with no more than a printed line.
        return _import().InferenceSession(bundle.model_bytes(mode), settings, providers=providers, enable_fallback=0)


class _CpuSession(Session):
    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        with backend_errors("ONNX Runtime failed"):
            label, confidence = self._session.run(OUTPUTS, dict(inputs))
        return as_image(label), as_image(confidence)

"""TensorRT 10 and 11 on NVIDIA GPUs."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends.base import (
    Backend,
    BackendError,
    BackendOptions,
    Inputs,
    Session,
    UInt8,
    backend_errors,
    resident_mib,
)
from rgbd_seg_ros.inference.backends.cuda_device import find_gpu
from rgbd_seg_ros.inference.backends.cuda_memory import CudaStream, device_used_mib, start_cuda
from rgbd_seg_ros.inference.backends.tensorrt_engine import (
    EngineCache,
    EngineKey,
    build_engine,
    default_cache,
    engine_log,
)
from rgbd_seg_ros.inference.bundle import Bundle

logger = logging.getLogger(__name__)

_ALIGNMENT = 256  # what TensorRT asks of the address of a tensor
_ITEM_BYTES = {"rgb": 1, "depth": 4}  # the graph contract: uint8 and float32
_OLDEST = 10


class TensorRtBackend(Backend):
    """TensorRT.

    Settings:
        cache: folder for built engines; empty = `default_cache()`.
        tf32: let fp32 products be rounded to TF32; faster, and labels change a little.
        cuda_graph: record the network once and replay it.
        timeout_s: longest time that the build of an engine may take.
    """

    name = "tensorrt"
    defaults = MappingProxyType({"cache": "", "tf32": False, "cuda_graph": True, "timeout_s": 600.0})
    prepares = True

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`; asks for the GPU before TensorRT is imported."""
        gpu = find_gpu()
        start_cuda()
        trt = _import()
        if int(trt.__version__.split(".")[0]) < _OLDEST:
            raise BackendError(f"TensorRT {trt.__version__} is too old; install version {_OLDEST} or newer")
        if bundle.manifest.precision == "int8":
            raise BackendError("TensorRT takes no 8-bit models with zero points; export the bundle with fp16")
        with backend_errors(f"TensorRT {trt.__version__} does not start"):
            trt.Runtime(engine_log(trt))
        return f"TensorRT {trt.__version__} on {gpu.name}"

    def prepare(self, bundle: Bundle, modes: Iterable[Mode], options: BackendOptions) -> None:
        """Builds the engines of all modes that the cache lacks."""
        for mode in modes:
            self._engine(bundle, mode, options)

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`. An engine that cannot be loaded is built again, once."""
        trt, graph = _import(), self.setting(options, "cuda_graph")
        shapes = _shapes(bundle, mode, options)
        with backend_errors(f"TensorRT cannot set up mode {mode.value}"):
            runtime = trt.Runtime(engine_log(trt))
            engine = runtime.deserialize_cuda_engine(self._engine(bundle, mode, options))
            if engine is None:
                self._cache(options).forget(_key(trt, bundle, mode, options, self.setting(options, "tf32")))
                engine = runtime.deserialize_cuda_engine(self._engine(bundle, mode, options))
            if engine is None:
                raise BackendError("TensorRT cannot load the engine that it has just built; GPU memory may be short")
            return _TensorRtSession(engine, shapes, graph=graph)

    def memory_mib(self) -> float:
        """See `Backend.memory_mib`."""
        return resident_mib() + device_used_mib()

    def _cache(self, options: BackendOptions) -> EngineCache:
        return EngineCache(Path(self.setting(options, "cache") or default_cache()))

    def _engine(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> bytes:
        trt, tf32 = _import(), self.setting(options, "tf32")
        timeout_s = float(self.setting(options, "timeout_s"))
        shapes = _shapes(bundle, mode, options)
        with backend_errors(f"TensorRT cannot build the engine of mode {mode.value}"):
            return self._cache(options).engine(
                _key(trt, bundle, mode, options, tf32),
                lambda: build_engine(trt, bundle.model_bytes(mode), shapes, tf32=tf32, timeout_s=timeout_s),
                timeout_s,
            )


def _shapes(bundle: Bundle, mode: Mode, options: BackendOptions) -> dict[str, tuple[int, ...]]:
    height, width = options.size
    all_shapes = {"rgb": (1, height, width, 3), "depth": (1, height, width)}
    return {name: all_shapes[name] for name in bundle.manifest.modes[mode].inputs}


def _key(trt: Any, bundle: Bundle, mode: Mode, options: BackendOptions, tf32: bool) -> EngineKey:
    gpu = find_gpu()
    return EngineKey(
        model=bundle.manifest.modes[mode].model.sha256,
        gpu=gpu.name,
        capability=gpu.capability,
        runtime=f"tensorrt {trt.__version__}",
        precision=f"{bundle.manifest.precision}{' tf32' if tf32 else ''}",
        shapes=_shapes(bundle, mode, options),
    )


def _import() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise BackendError(f"tensorrt cannot be imported ({error}); install TensorRT 10 or 11") from error
    return tensorrt


class _TensorRtSession(Session):
    """One upload per image through page-locked memory, one download of labels and confidence together."""

    def __init__(self, engine: Any, shapes: dict[str, tuple[int, ...]], graph: bool) -> None:
        self._engine = engine
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError("TensorRT cannot set its engine up; GPU memory may be short")
        self._stream = CudaStream()
        try:
            self._set_up(shapes)
            self._graph = self._record() if graph else None
        except BaseException:
            self.close()
            raise

    def _set_up(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Gives every tensor its memory and runs once."""
        self._inputs = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape)) * _ITEM_BYTES[name]
            buffers = (self._stream.pinned_buffer(size), self._stream.device_buffer(size))
            if not self._context.set_input_shape(name, shape):
                raise BackendError(f"TensorRT refuses the shape {shape} of input {name}")
            self._at(name, buffers[1])
            self._inputs[name] = buffers
        _, height, width = self._context.get_tensor_shape("label")
        self._shape = (int(height), int(width))
        self._offset = -(-height * width // _ALIGNMENT) * _ALIGNMENT
        self._output = self._stream.device_buffer(2 * self._offset)
        self._result = self._stream.pinned_buffer(2 * self._offset)
        self._at("label", self._output)
        self._at("confidence", self._output + self._offset)
        self._execute()  # TensorRT sets itself up in the first run, which a recording must not contain
        self._stream.wait()

    def _at(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise BackendError(f"TensorRT refuses the memory of tensor {name}; export the bundle again")

    def _record(self) -> Any:
        """The network as a CUDA graph, None where this network or driver has none."""
        try:
            return self._stream.record(self._execute)
        except BackendError as error:
            logger.warning("the network cannot be recorded as a CUDA graph (%s): it runs without", error)
            return None

    def _execute(self) -> None:
        if not self._context.execute_async_v3(int(self._stream.handle)):
            raise BackendError("TensorRT failed to run the network")

    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        with backend_errors("TensorRT failed"):
            for name, image in inputs.items():
                pinned, device = self._inputs[name]
                np.copyto(pinned, np.ascontiguousarray(image).reshape(-1).view(np.uint8))
                self._stream.upload(device, pinned)
            if self._graph is None:
                self._execute()
            else:
                self._stream.launch(self._graph)
            self._stream.download(self._result, self._output)
            self._stream.wait()
        size = self._shape[0] * self._shape[1]
        label, confidence = (self._result[at : at + size] for at in (0, self._offset))
        return label.reshape(self._shape), confidence.reshape(self._shape)

    def close(self) -> None:
        """Frees GPU memory; the session cannot be used afterwards."""
        # Context and engine may still use the buffers and must go before them.
        self._context = self._engine = None
        self._stream.close()

"""TensorRT 10 and 11 on NVIDIA GPUs."""

from __future__ import annotations

import logging
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends.base import Backend, BackendError, BackendOptions, Inputs, Session, UInt8
from rgbd_seg_ros.inference.backends.cuda_device import find_gpu
from rgbd_seg_ros.inference.backends.cuda_memory import CudaStream, cuda_runtime
from rgbd_seg_ros.inference.backends.tensorrt_engine import EngineKey, build_engine, cached_engine, default_cache
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

    def check(self, bundle: Bundle) -> str:
        """See `Backend.check`; asks for the GPU before TensorRT is imported."""
        gpu = find_gpu()
        cuda_runtime()
        trt = _import()
        if int(trt.__version__.split(".")[0]) < _OLDEST:
            raise BackendError(f"TensorRT {trt.__version__} is too old; install version {_OLDEST} or newer")
        return f"TensorRT {trt.__version__} on {gpu.name}"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """See `Backend.open`."""
        trt, gpu = _import(), find_gpu()
        entry, (height, width) = bundle.manifest.modes[mode], options.size
        all_shapes = {"rgb": (1, height, width, 3), "depth": (1, height, width)}
        shapes = {name: all_shapes[name] for name in entry.inputs}
        tf32 = self.setting(options, "tf32")
        key = EngineKey(
            model=entry.model.sha256,
            gpu=gpu.name,
            capability=gpu.capability,
            runtime=f"tensorrt {trt.__version__}",
            precision=f"{bundle.manifest.precision}{' tf32' if tf32 else ''}",
            shapes=shapes,
        )
        cache = Path(self.setting(options, "cache") or default_cache())
        timeout_s = float(self.setting(options, "timeout_s"))
        engine = cached_engine(
            cache,
            key,
            lambda: build_engine(trt, bundle.model_bytes(mode), shapes, tf32=tf32, timeout_s=timeout_s),
        )
        return _TensorRtSession(trt, engine, shapes, graph=self.setting(options, "cuda_graph"))


def _import() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise BackendError(f"tensorrt cannot be imported ({error}); install TensorRT 10 or 11") from error
    return tensorrt


class _TensorRtSession(Session):
    """One upload per image through page-locked memory, one download of labels and confidence together."""

    def __init__(self, trt: Any, engine: bytes, shapes: dict[str, tuple[int, ...]], graph: bool) -> None:
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise BackendError("TensorRT cannot load its engine; empty the engine cache")
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
            self._context.set_tensor_address(name, buffers[1])
            self._inputs[name] = buffers
        _, height, width = self._context.get_tensor_shape("label")
        self._shape = (int(height), int(width))
        self._offset = -(-height * width // _ALIGNMENT) * _ALIGNMENT
        self._output = self._stream.device_buffer(2 * self._offset)
        self._result = self._stream.pinned_buffer(2 * self._offset)
        self._context.set_tensor_address("label", self._output)
        self._context.set_tensor_address("confidence", self._output + self._offset)
        self._execute()  # TensorRT sets itself up in the first run, which a recording must not contain
        self._stream.wait()

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

"""Memory and streams of an NVIDIA GPU, as thin as the TensorRT runner needs them; over the `cuda-python` package."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.inference.backends.base import BackendError, backend_errors
from rgbd_seg_ros.inference.backends.cuda_device import find_gpu


def cuda_runtime() -> Any:
    """The runtime module of cuda-python.

    Raises:
        BackendError: it is not installed.
    """
    try:
        from cuda.bindings import runtime
    except ImportError:
        try:
            from cuda import cudart as runtime  # its name before version 12.6
        except ImportError as error:
            raise BackendError(f"cuda-python cannot be imported ({error}); pip install cuda-python") from error
    return runtime


def start_cuda() -> None:
    """Makes sure that the runtime of cuda-python works with this machine's driver, before minutes go into an engine.

    Raises:
        BackendError: it is not installed, or does not start.
    """
    runtime, driver = cuda_runtime(), find_gpu().driver
    with backend_errors("cuda-python does not work"):
        status, count = runtime.cudaGetDeviceCount()
        if int(status) != 0 or count < 1:
            version = f"CUDA {driver // 1000}.{driver % 1000 // 10}"
            raise BackendError(
                f"cuda-python does not start ({status.name}): the driver knows {version}; install the cuda-python "
                "of the same major version, or a newer driver"
            )


def device_used_mib() -> float:
    """Memory of the GPU that is in use, by whatever program, in MiB."""
    status, free, total = cuda_runtime().cudaMemGetInfo()
    return (total - free) / 2**20 if int(status) == 0 else 0.0


class CudaStream:
    """One stream, and the memory and graphs that are used on it."""

    def __init__(self) -> None:
        self._cuda = cuda_runtime()
        self._freers: list[tuple[Any, Any]] = []
        self.handle = self._own(self._cuda.cudaStreamDestroy, self.call(self._cuda.cudaStreamCreate))

    def call(self, function: Any, *args: Any) -> Any:
        """Calls a function of the runtime: its result, or its error as `BackendError`."""
        status, *values = function(*args)
        if int(status) != 0:
            raise BackendError(f"{function.__name__} failed with {status.name}")
        return values[0] if values else None

    def device_buffer(self, size: int) -> int:
        """Address of `size` bytes on the GPU."""
        return int(self._own(self._cuda.cudaFree, self.call(self._cuda.cudaMalloc, size)))

    def pinned_buffer(self, size: int) -> npt.NDArray[np.uint8]:
        """`size` bytes of page-locked memory of the host."""
        address = int(self._own(self._cuda.cudaFreeHost, self.call(self._cuda.cudaMallocHost, size)))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def upload(self, device: int, pinned: npt.NDArray[np.uint8]) -> None:
        """Queues the copy of `pinned` to address `device`."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call(self._cuda.cudaMemcpyAsync, device, pinned.ctypes.data, pinned.nbytes, kind, self.handle)

    def download(self, pinned: npt.NDArray[np.uint8], device: int) -> None:
        """Queues the copy from address `device` to `pinned`."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call(self._cuda.cudaMemcpyAsync, pinned.ctypes.data, device, pinned.nbytes, kind, self.handle)

    def wait(self) -> None:
        """Returns when everything queued is done."""
        self.call(self._cuda.cudaStreamSynchronize, self.handle)

    def record(self, work: Any) -> Any:
        """What `work()` queues, as a graph for `launch`; nothing runs yet.

        Raises:
            BackendError: it cannot be recorded; the stream can be used on.
        """
        self.call(
            self._cuda.cudaStreamBeginCapture,
            self.handle,
            self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal,
        )
        try:
            work()
        except BaseException:
            # Ends the recording whatever it has come to; the error of `work` is the one that tells the cause.
            _, graph = self._cuda.cudaStreamEndCapture(self.handle)
            if int(graph or 0):
                self._own(self._cuda.cudaGraphDestroy, graph)
            raise
        graph = self._own(self._cuda.cudaGraphDestroy, self.call(self._cuda.cudaStreamEndCapture, self.handle))
        return self._own(self._cuda.cudaGraphExecDestroy, self.call(self._cuda.cudaGraphInstantiate, graph, 0))

    def launch(self, graph: Any) -> None:
        """Queues a recorded graph."""
        self.call(self._cuda.cudaGraphLaunch, graph, self.handle)

    def close(self) -> None:
        """Frees everything, last made first."""
        while self._freers:
            free, handle = self._freers.pop()
            free(handle)

    def _own(self, free: Any, handle: Any) -> Any:
        self._freers.append((free, handle))
        return handle

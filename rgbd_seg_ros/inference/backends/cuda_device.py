"""Is there an NVIDIA GPU? Asked of the driver itself, because some runtimes crash when they find none."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass

from rgbd_seg_ros.inference.backends.base import BackendError

# Numbers of CUdevice_attribute in cuda.h, fixed by the driver's binary interface.
_CAPABILITY_MAJOR = 75
_CAPABILITY_MINOR = 76
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """The GPU with number 0.

    Attributes:
        name: e.g. `NVIDIA H200`.
        capability: compute capability, e.g. (9, 0).
        driver: CUDA version of the driver, e.g. 12080 for 12.8.
    """

    name: str
    capability: tuple[int, int]
    driver: int


@functools.lru_cache(maxsize=1)
def find_gpu() -> Gpu:
    """The first GPU.

    Raises:
        BackendError: there is no driver or no GPU.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise BackendError("there is no NVIDIA driver on this machine") from error
    status = cuda.cuInit(0)
    if status != 0:
        raise BackendError(f"the NVIDIA driver does not start (cuInit gives {status})")
    device = ctypes.c_int()
    if cuda.cuDeviceGet(ctypes.byref(device), 0) != 0:
        raise BackendError("the NVIDIA driver finds no GPU")
    name = ctypes.create_string_buffer(_NAME_BYTES)
    version = ctypes.c_int()
    if cuda.cuDeviceGetName(name, _NAME_BYTES, device) != 0 or cuda.cuDriverGetVersion(ctypes.byref(version)) != 0:
        raise BackendError("the NVIDIA driver does not describe its GPU")
    capability = (_attribute(cuda, _CAPABILITY_MAJOR, device), _attribute(cuda, _CAPABILITY_MINOR, device))
    return Gpu(name.value.decode(errors="replace"), capability, version.value)


def _attribute(cuda: ctypes.CDLL, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    if cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device) != 0:
        raise BackendError("the NVIDIA driver does not tell the compute capability of its GPU")
    return value.value

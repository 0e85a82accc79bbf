"""What a runtime has to offer: the interface between `segmenter.py` and the backends."""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.bundle import Bundle

UInt8 = npt.NDArray[np.uint8]
Inputs = Mapping[str, npt.NDArray[Any]]


class BackendError(Exception):
    """A runtime cannot be used, cannot load a model or failed while it ran; the text says why."""


@contextlib.contextmanager
def backend_errors(what: str) -> Iterator[None]:
    """Turns every exception of a runtime into a `BackendError` that begins with `what`.

    Runtimes raise what they like: TensorRT a TypeError where CUDA does not start, others a RuntimeError. Only a
    `BackendError` lets the next backend take over.
    """
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"{what}: {str(error).strip() or type(error).__name__}") from error


@dataclass(frozen=True)
class BackendOptions:
    """How a model is to be run.

    Attributes:
        threads: worker threads on the CPU.
        size: (height, width) of the network input.
        settings: settings of single backends as `name.setting`, e.g. `openvino.precision`.
    """

    threads: int
    size: tuple[int, int]
    settings: Mapping[str, Any] = field(default_factory=dict)


class Session(abc.ABC):
    """One model, loaded and ready; used by one thread at a time."""

    @abc.abstractmethod
    def run(self, inputs: Inputs) -> tuple[UInt8, UInt8]:
        """Labels and confidence, each h x w uint8, of graph `inputs` (see the graph contract in docs/design.md).

        The arrays may be overwritten by the next call.

        Raises:
            BackendError: the runtime failed.
        """

    def close(self) -> None:  # noqa: B027 - most runtimes free everything with the object
        """Frees what the garbage collector would not."""


class Backend(abc.ABC):
    """One runtime.

    Attributes:
        name: as users write it.
        defaults: its settings and their default values; a setting must have the type of its default.
        choices: what may be chosen, for settings that do not take any text.
        prepares: its models have to be built first, which takes minutes; it is then no backend to fall back to while
            images are waiting.
    """

    name: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    prepares: ClassVar[bool] = False

    @abc.abstractmethod
    def check(self, bundle: Bundle) -> str:
        """Makes sure that the runtime can really be used here, and says what it runs on (version, device).

        Raises:
            BackendError: it is not installed, lacks its device, or cannot run this bundle.
        """

    @abc.abstractmethod
    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        """Loads the model of `mode`.

        Raises:
            BackendError: the runtime refuses the model.
        """

    def prepare(self, bundle: Bundle, modes: Iterable[Mode], options: BackendOptions) -> None:  # noqa: B027 - few need it
        """Does once what a later `open` of any of `modes` would take minutes for.

        Raises:
            BackendError: the runtime refuses a model.
        """

    def memory_mib(self) -> float:
        """Memory in use now, of which the difference counts: resident memory of this process, with that of the GPU."""
        return resident_mib()

    def setting(self, options: BackendOptions, key: str) -> Any:
        """The value of one of the backend's own settings."""
        return options.settings.get(f"{self.name}.{key}", self.defaults[key])


def as_image(output: npt.NDArray[Any]) -> UInt8:
    """The h x w plane of a 1 x h x w uint8 graph output, refused if it is anything else."""
    if output.dtype != np.uint8 or output.ndim != 3 or output.shape[0] != 1:
        raise BackendError(f"the graph gives {output.dtype} {output.shape}, not uint8 (1, h, w); export it again")
    plane: UInt8 = output[0]
    return plane


def resident_mib() -> float:
    """Resident memory of this process in MiB (Linux; 0 elsewhere)."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if statm.is_file() else 0.0

"""What a runtime has to offer: the interface between `segmenter.py` and the backends."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """

    name: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})

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

    def setting(self, options: BackendOptions, key: str) -> Any:
        """The value of one of the backend's own settings."""
        return options.settings.get(f"{self.name}.{key}", self.defaults[key])


def as_image(output: npt.NDArray[Any]) -> UInt8:
    """The h x w plane of a 1 x h x w uint8 graph output, refused if it is anything else."""
    if output.dtype != np.uint8 or output.ndim != 3 or output.shape[0] != 1:
        raise BackendError(f"the graph gives {output.dtype} {output.shape}, not uint8 (1, h, w); export it again")
    plane: UInt8 = output[0]
    return plane

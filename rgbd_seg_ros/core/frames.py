"""Frames, sensors and modes: the vocabulary that every room of the package shares."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


class Sensor(str, enum.Enum):
    """The two cameras of an RGB-D stream."""

    RGB = "rgb"
    DEPTH = "depth"

    @property
    def other(self) -> Sensor:
        """The partner sensor."""
        return Sensor.DEPTH if self is Sensor.RGB else Sensor.RGB

    @property
    def mode(self) -> Mode:
        """The mode that needs this sensor alone."""
        return Mode.RGB if self is Sensor.RGB else Mode.DEPTH


class Mode(str, enum.Enum):
    """Which model labels the frames; `NONE` when no sensor is usable."""

    FUSION = "fusion"
    RGB = "rgb"
    DEPTH = "depth"
    NONE = "none"

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """The sensors whose frames this mode reads."""
        return {
            Mode.FUSION: (Sensor.RGB, Sensor.DEPTH),
            Mode.RGB: (Sensor.RGB,),
            Mode.DEPTH: (Sensor.DEPTH,),
            Mode.NONE: (),
        }[self]


UNLABELLED = 255
"""Label value of a pixel that has no class (and of an ignored pixel in ground truth)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of one sensor.

    Attributes:
        sensor: which camera it came from.
        stamp_ns: header stamp in nanoseconds (epoch of the publisher's clock).
        arrival_ns: steady-clock time at which the message arrived.
        image: RGB uint8 H x W x 3, or depth H x W as uint16 or float32 (units of `metres_per_unit`).
        frame_id: TF frame of the optical centre.
        metres_per_unit: scale of a depth image: 0.001 for 16UC1, 1.0 for 32FC1; 1.0 for colour.
        ready_ns: steady-clock time at which it was decoded; 0 = as soon as it had arrived.
    """

    sensor: Sensor
    stamp_ns: int
    arrival_ns: int
    image: npt.NDArray[np.number] = field(repr=False, compare=False)
    frame_id: str = ""
    metres_per_unit: float = 1.0
    ready_ns: int = 0

    @property
    def available_ns(self) -> int:
        """Steady-clock time from which it can be labelled: it has arrived and is decoded."""
        return max(self.arrival_ns, self.ready_ns)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.image.shape[0]), int(self.image.shape[1])

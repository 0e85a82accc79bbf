"""One message on its way from a camera to the node, before ROS: the unit that faults work on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Sensor

Image = npt.NDArray[Any]

ENCODINGS = {("uint8", 3): "rgb8", ("uint8", 2): "mono8", ("uint16", 2): "16UC1", ("float32", 2): "32FC1"}
"""(dtype, number of axes) -> ROS encoding of an array."""


@dataclass(frozen=True, slots=True)
class Record:
    """An image message as data.

    Attributes:
        sensor: the stream it belongs to.
        index: number of the frame within its stream, counted from 0 before any fault.
        time_ns: when it is sent, nanoseconds after the start of the play.
        stamp_ns: header stamp in nanoseconds.
        encoding: ROS encoding that the header claims.
        height: rows that the header claims.
        width: columns that the header claims.
        step: bytes in a row that the header claims.
        image: the pixels; their bytes are the payload, which need not agree with the header (`truncated`).
        faults: names of the faults that were active on this stream when the frame was taken.
    """

    sensor: Sensor
    index: int
    time_ns: int
    stamp_ns: int
    encoding: str
    height: int
    width: int
    step: int
    image: Image = field(repr=False, compare=False)
    faults: tuple[str, ...] = ()

    @classmethod
    def of_image(cls, sensor: Sensor, index: int, time_ns: int, stamp_ns: int, image: Image) -> Record:
        """A healthy record whose header says what `image` is."""
        return cls(sensor, index, time_ns, stamp_ns, **_header(image), image=image)

    def with_image(self, image: Image) -> Record:
        """The same record carrying another image; the header follows it where size or type changed."""
        if (image.shape, image.dtype) == (self.image.shape, self.image.dtype):
            return replace(self, image=image)
        return replace(self, image=image, **_header(image))

    @property
    def payload(self) -> memoryview:
        """The bytes of `image`, without a copy where it is contiguous."""
        if not self.image.size:
            return memoryview(b"")
        return np.ascontiguousarray(self.image).data.cast("B")


def _header(image: Image) -> dict[str, Any]:
    key = (image.dtype.name, image.ndim)
    if key not in ENCODINGS:
        raise ValueError(f"no ROS encoding for an image of {image.dtype} with {image.ndim} axes")
    step = image.dtype.itemsize * int(np.prod(image.shape[1:]))
    return {"encoding": ENCODINGS[key], "height": int(image.shape[0]), "width": int(image.shape[1]), "step": step}

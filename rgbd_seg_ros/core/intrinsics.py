"""The pinhole camera."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

_Camera = TypeVar("_Camera", bound="Intrinsics")


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """Pinhole parameters, without distortion, in pixels of an image of `width` x `height`.

    Pixel centres lie at integer coordinates.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def resized(self: _Camera, width: int, height: int) -> _Camera:
        """The same view at another image size."""
        sx, sy = width / self.width, height / self.height
        cx, cy = scaled_centre(self.cx, sx), scaled_centre(self.cy, sy)
        return dataclasses.replace(self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=cx, cy=cy)


def scaled_centre(centre: float, scale: float) -> float:
    """The principal point on one axis of an image scaled by `scale`."""
    return (centre + 0.5) * scale - 0.5

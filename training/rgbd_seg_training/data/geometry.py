"""Joint geometry of an augmented image: flip, scale, crop and padding, with the right interpolation for each kind.

Colour is averaged when it shrinks and interpolated linearly when it grows. Depth, labels and HHA are taken from the
nearest source pixel, so that no value arises that no sensor measured: a hole never mixes with a distance, the edge of
a table never becomes a distance between table and floor, and a label stays a class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.errors import UserError

Image = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Geometry:
    """One drawn geometry.

    Attributes:
        source: (height, width) of the source image.
        scaled: (height, width) of the source after scaling.
        offset: (row, column) of the output's first pixel within the scaled image; negative where padding precedes it.
        size: (height, width) of the output.
        flip: whether the scaled image is mirrored left to right before it is cropped.
    """

    source: tuple[int, int]
    scaled: tuple[int, int]
    offset: tuple[int, int]
    size: tuple[int, int]
    flip: bool

    def _source_indices(self, axis: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """Source index of every output row (axis 0) or column (axis 1), and where the output lies inside the source."""
        places = np.arange(self.size[axis]) + self.offset[axis]
        inside = (places >= 0) & (places < self.scaled[axis])
        if axis == 1 and self.flip:
            places = self.scaled[axis] - 1 - places
        indices = ((places + 0.5) * (self.source[axis] / self.scaled[axis])).astype(np.intp)
        return np.clip(indices, 0, self.source[axis] - 1), inside

    def nearest(self, image: Image, fill: int | tuple[int, int, int]) -> Image:
        """Warp depth, labels (H x W) or HHA (H x W x 3) by nearest neighbour; padding becomes `fill`."""
        rows, rows_inside = self._source_indices(0)
        columns, columns_inside = self._source_indices(1)
        warped = image[rows[:, None], columns[None, :]]
        warped[~rows_inside] = fill
        warped[:, ~columns_inside] = fill
        return warped

    def colour(self, image: npt.NDArray[np.uint8], fill: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
        """Warp colour (uint8 H x W x 3); padding becomes `fill`."""
        shrinks = self.scaled[0] < self.source[0]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        scaled: Image = image
        if self.scaled != self.source:
            scaled = cv2.resize(image, (self.scaled[1], self.scaled[0]), interpolation=interpolation)
        if self.flip:
            scaled = scaled[:, ::-1]
        warped = np.empty((*self.size, 3), np.uint8)
        warped[:] = fill
        top, left = (max(0, -o) for o in self.offset)
        first_row, first_column = (max(0, o) for o in self.offset)
        piece = scaled[first_row : first_row + self.size[0] - top, first_column : first_column + self.size[1] - left]
        warped[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
        return warped

    def matrix(self) -> npt.NDArray[np.float32]:
        """2 x 3 map from output pixel (x, y, 1) to source pixel (x, y); pixel centres at integers."""
        ratio_y, ratio_x = (s / t for s, t in zip(self.source, self.scaled, strict=True))
        row, column = self.offset
        if self.flip:
            step_x, start_x = -ratio_x, (self.scaled[1] - 0.5 - column) * ratio_x - 0.5
        else:
            step_x, start_x = ratio_x, (column + 0.5) * ratio_x - 0.5
        return np.array([[step_x, 0, start_x], [0, ratio_y, (row + 0.5) * ratio_y - 0.5]], np.float32)

    def source_window(self) -> tuple[float, float, float, float]:
        """Part of the source that the output shows: top, left, bottom, right in source pixels."""
        ratios = [s / t for s, t in zip(self.source, self.scaled, strict=True)]
        starts = [max(0, o) for o in self.offset]
        ends = [min(o + n, t) for o, n, t in zip(self.offset, self.size, self.scaled, strict=True)]
        if self.flip:
            starts[1], ends[1] = self.scaled[1] - ends[1], self.scaled[1] - starts[1]
        return starts[0] * ratios[0], starts[1] * ratios[1], ends[0] * ratios[0], ends[1] * ratios[1]


def overlap(first: Geometry, second: Geometry) -> float:
    """Area of the source that both outputs show, relative to the smaller of the two areas: 0 to 1."""
    a, b = first.source_window(), second.source_window()
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((w[2] - w[0]) * (w[3] - w[1]) for w in (a, b))
    return max(height, 0.0) * max(width, 0.0) / smaller


@dataclass(frozen=True, slots=True)
class GeometryOptions:
    """What geometries are drawn.

    Attributes:
        size: (height, width) of the output.
        scales: factors of the source size; one is drawn for each image.
        between: draw any factor between the smallest and the largest instead.
        flip: probability of a mirror image.
    """

    size: tuple[int, int]
    scales: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    between: bool = False
    flip: float = 0.5

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise UserError(f"Augmentation scales must be positive numbers, not {self.scales}.")
        if min(self.size) <= 0:
            raise UserError(f"Augmentation size must be positive, not {self.size}.")

    def draw(self, source: tuple[int, int], rng: np.random.Generator) -> Geometry:
        """Draw a geometry for a source of (height, width): crop where it is larger than the output, else centre it."""
        if self.between:
            scale = float(rng.uniform(min(self.scales), max(self.scales)))
        else:
            scale = self.scales[int(rng.integers(len(self.scales)))]
        flip = bool(rng.random() < self.flip)
        scaled = (max(1, int(source[0] * scale)), max(1, int(source[1] * scale)))
        row, column = (_draw_offset(s, n, rng) for s, n in zip(scaled, self.size, strict=True))
        return Geometry(source, scaled, (row, column), self.size, flip)

    def draw_overlapping(self, other: Geometry, least: float, rng: np.random.Generator, tries: int = 10) -> Geometry:
        """Draw a geometry that shows at least `least` of what `other` shows; the best of `tries` when none does."""
        best = self.draw(other.source, rng)
        for _ in range(tries - 1):
            if overlap(best, other) >= least:
                break
            best = max(best, self.draw(other.source, rng), key=lambda g: overlap(g, other))
        return best


def _draw_offset(scaled: int, wanted: int, rng: np.random.Generator) -> int:
    if scaled > wanted:
        return int(rng.integers(scaled - wanted + 1))
    return -((wanted - scaled) // 2)


def centred(source: tuple[int, int], size: tuple[int, int]) -> Geometry:
    """The whole source scaled to `size`, without crop: for validation at a fixed size."""
    return Geometry(source, size, (0, 0), size, False)

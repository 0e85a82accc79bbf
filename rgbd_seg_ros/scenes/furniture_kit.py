"""What furniture makers share: random draws, labels, materials, and the finished item with its footprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.scenes.palette import Palette
from rgbd_seg_ros.scenes.parts import Assembly
from rgbd_seg_ros.scenes.primitives import Shape

LABEL = {name: index for index, name in enumerate(LABEL_SETS["nyu13"].classes)}
"""NYU-13 class name to label. Doors are wall, pillows and lamps objects, curtains window (as in NYU-40 -> 13)."""


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of furniture: x in -width/2..width/2, y in 0 (back) .. depth (front), z up from 0.

    Attributes:
        top: height of a surface that things may stand on, or 0.
        low: whether the wall above it stays visible (pictures may hang there).
    """

    assembly: Assembly
    width: float
    depth: float
    height: float
    top: float = 0.0
    low: bool = field(default=True)


@dataclass(frozen=True)
class Kit:
    """Random draws and materials for one scene."""

    rng: np.random.Generator
    palette: Palette

    def u(self, low: float, high: float) -> float:
        """Uniform draw."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self.rng.random() < probability)

    def count(self, low: int, high: int) -> int:
        """Integer draw, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def wood(self) -> int:
        """Board material, sometimes shared with something else in the room."""
        return self.palette.borrowed(self.palette.wood())

    def cloth(self) -> int:
        """Cloth, sometimes shared with something else in the room."""
        return self.palette.borrowed(self.palette.cloth())


Maker = Callable[[Kit], Item]


def legs(
    kit: Kit, into: Assembly, width: float, depth: float, height: float, label: int, material: int, thick: float
) -> None:
    """Four legs, round or square, under a rectangle that spans y = 0..depth."""
    shape = Shape.CYLINDER if kit.chance(0.4) else Shape.BOX
    inset = thick / 2 + kit.u(0, 0.05)
    for x in (-width / 2 + inset, width / 2 - inset):
        for y in (inset, depth - inset):
            into.add(shape, (x, y, height / 2), (thick, thick, height), label, material)

"""Which part of a rectangular floor is taken: placement of furniture and free space for the camera."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rgbd_seg_ros.scenes.furniture_kit import Item, Kit
from rgbd_seg_ros.scenes.parts import Assembly
from rgbd_seg_ros.scenes.walls import Wall

Rect = tuple[float, float, float, float]
TRIES = 16
CLEARANCE = 0.35
"""Metres that a camera keeps above furniture, because of the things that stand on it."""


@dataclass
class FloorPlan:
    """A floor 0..width x 0..depth with obstacles (x0, y0, x1, y1, height), metres."""

    width: float
    depth: float
    walls: list[Wall]
    taken: list[tuple[float, float, float, float, float]] = field(default_factory=list)

    def is_clear(self, rect: Rect, gap: float = 0.03) -> bool:
        """Whether a rectangle lies inside the room and touches no obstacle."""
        x0, y0, x1, y1 = rect
        if x0 < 0 or y0 < 0 or x1 > self.width or y1 > self.depth:
            return False
        return not any(x0 < b[2] + gap and x1 > b[0] - gap and y0 < b[3] + gap and y1 > b[1] - gap for b in self.taken)

    def is_free_point(self, x: float, y: float, z: float, margin: float) -> bool:
        """Whether a camera fits: inside the walls, not in or close above an obstacle and what stands on it."""
        if not (margin < x < self.width - margin and margin < y < self.depth - margin):
            return False
        return not any(
            b[0] - margin < x < b[2] + margin and b[1] - margin < y < b[3] + margin and b[4] > z - CLEARANCE
            for b in self.taken
        )

    def against_wall(self, kit: Kit, item: Item, into: Assembly) -> tuple[Wall, float] | None:
        """Put an item with its back to a wall; returns the wall and the position along it, or None if nothing fits."""
        for _ in range(TRIES):
            wall = self.walls[int(kit.rng.integers(4))]
            slack = wall.length - item.width
            if slack < 0.06:
                continue
            along = item.width / 2 + 0.03 + kit.rng.random() * (slack - 0.06)
            if not wall.is_free(along - item.width / 2, along + item.width / 2, 0.0, item.height):
                continue
            gap = kit.u(0.01, 0.08) if kit.chance(0.8) else kit.u(0.08, 0.4)
            rect = _bounds(wall, along, item.width, gap, gap + item.depth)
            if not self.is_clear(rect):
                continue
            x, y = wall.point(along, gap)
            into.place(item.assembly, x, y, 0.0, wall.yaw)
            self.taken.append((*rect, item.height))
            wall.blocked.append((along - item.width / 2, along + item.width / 2, 0.0, item.height))
            return wall, along
        return None

    def anywhere(
        self, kit: Kit, item: Item, into: Assembly, yaw: float | None = None
    ) -> tuple[float, float, float] | None:
        """Put an item anywhere on the floor; returns its centre x, y and its yaw, or None if nothing fits."""
        for _ in range(TRIES):
            turn = kit.u(-math.pi, math.pi) if yaw is None else yaw
            x, y = kit.u(0.2, self.width - 0.2), kit.u(0.2, self.depth - 0.2)
            if self.at(item, into, x, y, turn):
                return x, y, turn
        return None

    def at(self, item: Item, into: Assembly, x: float, y: float, yaw: float, gap: float = 0.03) -> bool:
        """Put an item with its middle at (x, y), if that place is free."""
        c, s = abs(math.cos(yaw)), abs(math.sin(yaw))
        half_x, half_y = (c * item.width + s * item.depth) / 2, (s * item.width + c * item.depth) / 2
        rect = (x - half_x, y - half_y, x + half_x, y + half_y)
        if not self.is_clear(rect, gap):
            return False
        # The item's origin is the middle of its back edge.
        back_x, back_y = x + math.sin(yaw) * item.depth / 2, y - math.cos(yaw) * item.depth / 2
        into.place(item.assembly, back_x, back_y, 0.0, yaw)
        self.taken.append((*rect, item.height))
        return True


def _bounds(wall: Wall, along: float, width: float, near: float, far: float) -> Rect:
    ax, ay = wall.point(along - width / 2, near)
    bx, by = wall.point(along + width / 2, far)
    return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)

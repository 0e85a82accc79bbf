"""Room shells: floor, ceiling and walls with windows, doors, doorways, pictures, screens and curtains."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from rgbd_seg_ros.scenes.furniture_kit import LABEL, Kit
from rgbd_seg_ros.scenes.furniture_storage import book_row, flat_screen
from rgbd_seg_ros.scenes.parts import Assembly
from rgbd_seg_ros.scenes.primitives import Shape

THICK = 0.14
"""Wall thickness, metres: the depth available to window reveals."""
WALL, WINDOW = LABEL["wall"], LABEL["window"]


@dataclass(frozen=True, slots=True)
class Opening:
    """A hole in a wall from `start` to `end` along it and from `low` to `high` above the floor, metres."""

    kind: str
    start: float
    end: float
    low: float
    high: float


@dataclass
class Wall:
    """One wall: local x along it, y into the room, z up.

    Attributes:
        x, y, yaw: where the local frame lies in the room.
        length: metres.
        openings: windows, doors and doorways in ascending order.
        blocked: (start, end, low, high) of what stands before it, hangs on it or is cut into it.
    """

    x: float
    y: float
    yaw: float
    length: float
    openings: list[Opening] = field(default_factory=list)
    blocked: list[tuple[float, float, float, float]] = field(default_factory=list)

    def is_free(self, start: float, end: float, low: float, high: float) -> bool:
        """Whether the part of the wall from `start` to `end` and from `low` to `high` is uncovered."""
        return not any(s < end and e > start and b < high and t > low for s, e, b, t in self.blocked)

    def point(self, along: float, inward: float) -> tuple[float, float]:
        """Room coordinates of a place in front of the wall."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + c * along - s * inward, self.y + s * along + c * inward


def four_walls(width: float, depth: float) -> list[Wall]:
    """The walls of a rectangle 0..width x 0..depth."""
    return [
        Wall(0, 0, 0, width),
        Wall(width, 0, math.pi / 2, depth),
        Wall(width, depth, math.pi, width),
        Wall(0, depth, 3 * math.pi / 2, depth),
    ]


def plan_openings(kit: Kit, wall: Wall, room_height: float, windows: int, door: str) -> None:
    """Cut up to `windows` windows and one `door` (`door`, `doorway` or nothing) into a wall where they fit."""
    place = kit.u(0.1, 0.5)
    found: list[Opening] = []
    if door and wall.length > 1.6:
        wide = kit.u(0.75, 1.0) if door == "door" else kit.u(0.8, min(1.8, wall.length - 0.6))
        start = place if kit.chance(0.5) else wall.length - wide - place
        found.append(Opening(door, start, start + wide, 0.0, kit.u(1.95, 2.1)))
        wall.blocked.append((start - 0.1, start + wide + 0.1, 0.0, 99.0))
    for _ in range(windows):
        wide = kit.u(0.6, min(2.4, max(0.7, wall.length * 0.6)))
        low = kit.u(0.7, 1.1) if kit.chance(0.75) else kit.u(0.05, 0.3)
        high = min(room_height - kit.u(0.1, 0.4), low + kit.u(0.9, 2.0))
        if wall.length - wide < 0.5 or high - low < 0.5:
            continue
        start = kit.u(0.2, wall.length - wide - 0.2)
        if all(start > o.end + 0.12 or start + wide < o.start - 0.12 for o in found):
            found.append(Opening("window", start, start + wide, low, high))
            wall.blocked.append((start - 0.1, start + wide + 0.1, low, 99.0))
    wall.openings = sorted(found, key=lambda o: o.start)


def build_wall(kit: Kit, wall: Wall, height: float, paint: int, daylight: float) -> Assembly:
    """The wall's body around its openings, the fillings of the openings, and a skirting board."""
    out, at = Assembly(), -THICK
    for o in wall.openings:
        out.box((at, -THICK, 0), (o.start, 0, height), WALL, paint)
        if o.low > 0:
            out.box((o.start, -THICK, 0), (o.end, 0, o.low), WALL, paint)
        out.box((o.start, -THICK, o.high), (o.end, 0, height), WALL, paint)
        {"window": _window, "door": _door, "doorway": _doorway}[o.kind](kit, out, o, height, daylight)
        at = o.end
    out.box((at, -THICK, 0), (wall.length + THICK, 0, height), WALL, paint)
    if kit.chance(0.6):
        _skirting(kit, out, wall)
    return out


def _skirting(kit: Kit, out: Assembly, wall: Wall) -> None:
    high, board, at = kit.u(0.05, 0.14), kit.palette.wood(), 0.0
    for o in [o for o in wall.openings if o.low < 0.2]:
        out.box((at, 0, 0), (o.start - 0.06, 0.015, high), WALL, board)
        at = o.end + 0.06
    out.box((at, 0, 0), (wall.length, 0.015, high), WALL, board)


def _frame(out: Assembly, o: Opening, label: int, material: int, wide: float, out_of_wall: float) -> None:
    for x in (o.start, o.end):
        out.box(
            (x - wide / 2, -THICK, max(o.low - wide / 2, 0)),
            (x + wide / 2, out_of_wall, o.high + wide / 2),
            label,
            material,
        )
    out.box((o.start, -THICK, o.high - wide / 2), (o.end, out_of_wall, o.high + wide / 2), label, material)
    if o.low > 0:
        out.box((o.start, -THICK, o.low - wide / 2), (o.end, out_of_wall, o.low + wide / 2), label, material)


def _window(kit: Kit, out: Assembly, o: Opening, height: float, daylight: float) -> None:
    pane_at = -kit.u(0.015, THICK - 0.02)
    frame = kit.palette.white_cloth() if kit.chance(0.6) else kit.palette.wood()
    out.box((o.start, -THICK, o.low), (o.end, pane_at, o.high), WINDOW, kit.palette.window_view(daylight))
    _frame(out, o, WINDOW, frame, kit.u(0.05, 0.12), kit.u(0.005, 0.04))
    across, up = kit.count(1, 3), kit.count(1, 3)
    bar = kit.u(0.02, 0.05)
    for i in range(1, across):
        x = o.start + (o.end - o.start) * i / across
        out.box((x - bar / 2, pane_at, o.low), (x + bar / 2, pane_at + 0.02, o.high), WINDOW, frame)
    for j in range(1, up):
        z = o.low + (o.high - o.low) * j / up
        out.box((o.start, pane_at, z - bar / 2), (o.end, pane_at + 0.02, z + bar / 2), WINDOW, frame)
    style = kit.rng.random()
    if style < 0.22:
        _blinds(kit, out, o)
    elif style < 0.55:
        _curtains(kit, out, o, height, daylight)


def _blinds(kit: Kit, out: Assembly, o: Opening) -> None:
    slat, pitch = kit.palette.white_cloth() if kit.chance(0.6) else kit.palette.wood(), kit.u(0.03, 0.06)
    bottom = o.low + (o.high - o.low) * max(0.0, kit.u(-0.3, 0.7))
    for z in np.arange(o.high, bottom, -pitch):
        out.box((o.start, 0.0, z - pitch * 0.8), (o.end, 0.012, z), WINDOW, slat)


def _curtains(kit: Kit, out: Assembly, o: Opening, height: float, daylight: float) -> None:
    cloth = kit.palette.cloth(0.7) if kit.chance(0.7) else kit.palette.white_cloth()
    top = min(o.high + kit.u(0.05, 0.2), height - 0.03)
    bottom = kit.u(0.02, 0.15) if kit.chance(0.6) else max(0.05, o.low - 0.15)
    wide = (o.end - o.start) * kit.u(0.15, 0.5)
    spans = [(o.start - 0.15, o.start - 0.15 + wide), (o.end + 0.15 - wide, o.end + 0.15)]
    if kit.chance(0.2):
        spans = [(o.start - 0.1, o.end + 0.1)]
    for start, end in spans:
        folds = max(2, round((end - start) / kit.u(0.1, 0.2)))
        x = np.linspace(start, end, folds * 6 + 1)
        z = np.linspace(top, bottom, 4)
        grid_x, grid_z = np.meshgrid(x, z)
        deep = kit.u(0.015, 0.05)
        y = 0.06 + deep * np.sin(2 * np.pi * folds * (grid_x - start) / (end - start)) * (1.2 - grid_z / height * 0.5)
        out.sheet(np.stack([grid_x, y, grid_z], -1).astype(np.float32), WINDOW, cloth)
    rail = (spans[0][0] - 0.1, spans[-1][1] + 0.1)
    center = ((rail[0] + rail[1]) / 2, 0.06, top + 0.02)
    out.add(Shape.BOX, center, (rail[1] - rail[0], 0.025, 0.025), WINDOW, kit.palette.metal())


def _door(kit: Kit, out: Assembly, o: Opening, height: float, daylight: float) -> None:
    """A closed door; NYU-13 counts doors as wall."""
    leaf = kit.palette.wood()
    at = -kit.u(0.005, 0.08)
    out.box((o.start, -THICK, 0), (o.end, at, o.high), WALL, leaf)
    _frame(out, o, WALL, kit.palette.wood() if kit.chance(0.5) else leaf, kit.u(0.06, 0.14), kit.u(0.005, 0.03))
    if kit.chance(0.5):
        for low, high in ((0.12, 0.45), (0.52, 0.94)):
            out.box((o.start + 0.13, at, o.high * low), (o.end - 0.13, at + 0.012, o.high * high), WALL, leaf)
    x = o.start + 0.1 if kit.chance(0.5) else o.end - 0.1
    out.add(Shape.BOX, (x, at + 0.04, 1.0), (0.12, 0.05, 0.03), WALL, kit.palette.metal())


def _doorway(kit: Kit, out: Assembly, o: Opening, height: float, daylight: float) -> None:
    """An opening into a dim neighbouring space."""
    far, left, right = -kit.u(1.0, 3.0) - THICK, o.start - kit.u(0.1, 1.5), o.end + kit.u(0.1, 1.5)
    paint = kit.palette.paint()
    out.box((left, far, -0.1), (right, -THICK, 0.0), LABEL["floor"], kit.palette.flooring())
    out.box((left, far, height), (right, -THICK, height + 0.1), LABEL["ceiling"], kit.palette.ceiling())
    out.box((left, far - 0.1, 0), (right, far, height), WALL, paint)
    out.box((left - 0.1, far, 0), (left, -THICK, height), WALL, paint)
    out.box((right, far, 0), (right + 0.1, -THICK, height), WALL, paint)
    _frame(out, o, WALL, kit.palette.wood(), kit.u(0.04, 0.14), kit.u(0.0, 0.03))


def hang_things(kit: Kit, wall: Wall, out: Assembly, height: float) -> None:
    """Pictures, screens, mirrors, boards and shelves on the free places of a wall."""
    for _ in range(kit.count(2, 8)):
        what = kit.rng.random()
        if what < 0.62:
            piece, wide, high = _framed_picture(kit)
        elif what < 0.78:
            piece, wide, high = flat_screen(kit)
        elif what < 0.9:
            piece, wide, high = _board(kit)
        else:
            piece, wide, high = _wall_shelf(kit)
        if wide > wall.length - 0.4:
            continue
        along, up = kit.u(wide / 2 + 0.1, wall.length - wide / 2 - 0.1), kit.u(1.25, 1.75)
        up = min(up, height - high / 2 - 0.05)
        area = (along - wide / 2 - 0.04, along + wide / 2 + 0.04, up - high / 2 - 0.04, up + high / 2 + 0.04)
        if wall.is_free(*area):
            out.place(piece, along, 0.0, up)
            wall.blocked.append(area)


def _framed_picture(kit: Kit) -> tuple[Assembly, float, float]:
    out, label = Assembly(), LABEL["picture"]
    wide, high = kit.u(0.25, 1.2), kit.u(0.25, 0.9)
    edge = kit.u(0.015, 0.06) if kit.chance(0.8) else 0.0
    deep = kit.u(0.008, 0.035)
    if edge:
        out.box((-wide / 2, 0, -high / 2), (wide / 2, deep, high / 2), label, kit.palette.wood())
    face = deep + 0.003
    out.box(
        (-wide / 2 + edge, 0, -high / 2 + edge), (wide / 2 - edge, face, high / 2 - edge), label, kit.palette.picture()
    )
    return out, wide, high


def _board(kit: Kit) -> tuple[Assembly, float, float]:
    """A mirror or white board (objects in NYU-13)."""
    out, label = Assembly(), LABEL["objects"]
    wide, high = kit.u(0.4, 1.6), kit.u(0.5, 1.1)
    face = kit.palette.mirror() if kit.chance(0.6) else kit.palette.white_cloth()
    out.box((-wide / 2, 0, -high / 2), (wide / 2, 0.02, high / 2), label, kit.palette.metal())
    out.box((-wide / 2 + 0.03, 0, -high / 2 + 0.03), (wide / 2 - 0.03, 0.024, high / 2 - 0.03), label, face)
    return out, wide, high


def _wall_shelf(kit: Kit) -> tuple[Assembly, float, float]:
    out = Assembly()
    wide, deep = kit.u(0.6, 1.4), kit.u(0.18, 0.28)
    out.box((-wide / 2, 0, -0.18), (wide / 2, deep, -0.15), LABEL["furniture"], kit.wood())
    spines = [kit.palette.spine() for _ in range(6)]
    book_row(kit, out, (-wide / 2 + 0.03, wide / 2 - 0.03), -0.15, 0.34, deep, spines)
    return out, wide, 0.5

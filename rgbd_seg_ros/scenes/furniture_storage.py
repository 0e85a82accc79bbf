"""Tables, desks, cabinets, shelves with books, kitchen counters, television stands."""

from __future__ import annotations

import numpy as np

from rgbd_seg_ros.scenes.furniture_kit import LABEL, Item, Kit, legs
from rgbd_seg_ros.scenes.parts import Assembly
from rgbd_seg_ros.scenes.primitives import Shape


def table(kit: Kit) -> Item:
    """A dining table, round or rectangular."""
    width, depth, height = kit.u(0.8, 2.0), kit.u(0.7, 1.1), kit.u(0.68, 0.8)
    return _table(kit, width, depth, height)


def coffee_table(kit: Kit) -> Item:
    """A low table or padded ottoman table."""
    width, depth, height = kit.u(0.6, 1.3), kit.u(0.45, 0.9), kit.u(0.3, 0.5)
    if kit.chance(0.2):
        out, label = Assembly(), LABEL["table"]
        out.add(Shape.BOX, (0, depth / 2, height - 0.1), (width, depth, 0.2), label, kit.cloth())
        legs(kit, out, width, depth, height - 0.2, label, kit.wood(), 0.06)
        return Item(out, width, depth, height, top=height)
    return _table(kit, width, depth, height)


def _table(kit: Kit, width: float, depth: float, height: float) -> Item:
    out, label = Assembly(), LABEL["table"]
    board = kit.wood() if kit.chance(0.9) else kit.palette.flooring()
    leg = board if kit.chance(0.65) else kit.palette.metal()
    thick = kit.u(0.02, 0.07)
    style = kit.rng.random()
    if style < 0.2:
        depth = width = min(width, 1.3)
        out.add(Shape.CYLINDER, (0, depth / 2, height - thick / 2), (width, depth, thick), label, board)
        out.add(Shape.CYLINDER, (0, depth / 2, height / 2), (0.09, 0.09, height - thick), label, leg)
        out.add(Shape.CYLINDER, (0, depth / 2, 0.02), (width * 0.5, depth * 0.5, 0.04), label, leg)
    else:
        out.box((-width / 2, 0, height - thick), (width / 2, depth, height), label, board)
        if style < 0.3:
            for x in (-width * 0.4, width * 0.4):
                out.box((x - 0.03, depth * 0.1, 0), (x + 0.03, depth * 0.9, height - thick), label, leg)
        else:
            legs(kit, out, width, depth, height - thick, label, leg, kit.u(0.03, 0.12))
            if kit.chance(0.4):
                out.box(
                    (-width / 2 + 0.06, 0.06, height - thick - 0.09),
                    (width / 2 - 0.06, depth - 0.06, height - thick),
                    label,
                    leg,
                )
            if kit.chance(0.15):
                out.box(
                    (-width / 2 + 0.04, 0.04, height * 0.25),
                    (width / 2 - 0.04, depth - 0.04, height * 0.25 + 0.02),
                    label,
                    board,
                )
    return Item(out, width, depth, height, top=height)


def desk(kit: Kit) -> Item:
    """A desk against a wall, often with a drawer unit and a monitor (NYU-13 counts desks as tables)."""
    width, depth, height = kit.u(0.9, 1.8), kit.u(0.5, 0.8), kit.u(0.68, 0.8)
    item = _table(kit, width, depth, height)
    out = item.assembly
    if item.depth > 0.85:
        return item
    if kit.chance(0.5):
        side = -1 if kit.chance(0.5) else 1
        x = side * (item.width / 2 - 0.22)
        _fronts(
            kit, out, x - 0.18, x + 0.18, 0.05, item.depth - 0.04, 0.05, height - 0.08, kit.wood(), 1, 3, LABEL["table"]
        )
    if kit.chance(0.6):
        monitor(kit, out, kit.u(-0.2, 0.2) * item.width, kit.u(0.12, 0.25), height, kit.u(0.4, 0.65))
    return item


def monitor(kit: Kit, out: Assembly, x: float, y: float, z: float, width: float) -> None:
    """A screen on a foot, facing +y."""
    high = width * kit.u(0.55, 0.65)
    frame = kit.palette.plastic() if kit.chance(0.2) else kit.palette.screen(False)
    label = LABEL["tv"]
    bottom = z + kit.u(0.04, 0.14)
    out.box((x - width / 2, y, bottom), (x + width / 2, y + kit.u(0.03, 0.06), bottom + high), label, frame)
    screen = kit.palette.screen(kit.chance(0.45))
    out.box(
        (x - width / 2 + 0.015, y + 0.06, bottom + 0.015),
        (x + width / 2 - 0.015, y + 0.065, bottom + high - 0.015),
        label,
        screen,
    )
    out.box((x - 0.03, y, z), (x + 0.03, y + 0.03, bottom), label, frame)
    out.box((x - 0.12, y - 0.05, z), (x + 0.12, y + 0.12, z + 0.015), label, frame)


def _fronts(
    kit: Kit, out: Assembly, left: float, right: float, back: float, front: float, low: float, high: float,
    material: int, columns: int, rows: int, label: int,
) -> None:  # fmt: skip
    """A closed carcass with door or drawer fronts, gaps between them, and handles."""
    out.box((left, back, low), (right, front, high), label, material)
    face = material if kit.chance(0.75) else kit.wood()
    handle = kit.palette.metal()
    wide, tall = (right - left) / columns, (high - low) / rows
    gap = kit.u(0.004, 0.012)
    for i in range(columns):
        for j in range(rows):
            x, z = left + i * wide, low + j * tall
            out.box((x + gap, front, z + gap), (x + wide - gap, front + 0.018, z + tall - gap), label, face)
            middle = (x + wide / 2, front + 0.035, z + tall * (0.75 if tall < 0.4 else 0.6))
            size = (min(0.16, wide * 0.4), 0.03, 0.02) if kit.chance(0.7) else (0.035, 0.03, 0.035)
            out.add(Shape.BOX, middle, size, label, handle)


def cabinet(kit: Kit) -> Item:
    """A chest of drawers, sideboard, wardrobe, fridge or night stand."""
    style = kit.rng.random()
    if style < 0.35:
        width, depth, height, columns, rows = (
            kit.u(0.6, 1.3),
            kit.u(0.35, 0.55),
            kit.u(0.6, 1.2),
            kit.count(1, 2),
            kit.count(2, 5),
        )
    elif style < 0.6:
        width, depth, height, columns, rows = (
            kit.u(1.0, 2.0),
            kit.u(0.35, 0.5),
            kit.u(0.5, 1.0),
            kit.count(2, 4),
            kit.count(1, 2),
        )
    elif style < 0.82:
        width, depth, height, columns, rows = (
            kit.u(0.8, 2.2),
            kit.u(0.45, 0.65),
            kit.u(1.7, 2.25),
            kit.count(2, 4),
            kit.count(1, 2),
        )
    else:
        width, depth, height, columns, rows = kit.u(0.35, 0.65), kit.u(0.35, 0.65), kit.u(0.45, 0.9), 1, kit.count(1, 3)
    out, label = Assembly(), LABEL["furniture"]
    material = kit.wood()
    foot = kit.u(0, 0.12)
    _fronts(kit, out, -width / 2, width / 2, 0, depth, foot, height, material, columns, rows, label)
    if kit.chance(0.4):
        out.box((-width / 2 - 0.02, 0, height), (width / 2 + 0.02, depth + 0.03, height + 0.03), label, kit.wood())
        height += 0.03
    if foot > 0.03:
        legs(kit, out, width, depth, foot, label, material, 0.05)
    return Item(out, width + 0.04, depth + 0.06, height, top=height if height < 1.4 else 0.0, low=height < 1.4)


def counter(kit: Kit) -> Item:
    """A kitchen run: base units, worktop, sometimes wall units above."""
    width, depth, height = kit.u(1.2, 3.2), kit.u(0.55, 0.65), kit.u(0.85, 0.95)
    out, label = Assembly(), LABEL["furniture"]
    material = kit.wood()
    columns = max(2, round(width / kit.u(0.45, 0.65)))
    _fronts(
        kit, out, -width / 2, width / 2, 0, depth - 0.04, 0.08, height - 0.04, material, columns, kit.count(1, 2), label
    )
    top = kit.palette.flooring() if kit.chance(0.6) else kit.wood()
    out.box((-width / 2, 0, height - 0.04), (width / 2, depth, height), label, top)
    wall_units = kit.chance(0.6)
    if wall_units:
        _fronts(kit, out, -width / 2, width / 2, 0, 0.32, 1.42, kit.u(1.9, 2.2), material, columns, 1, label)
    return Item(out, width, depth + 0.03, 2.2 if wall_units else height, top=height, low=not wall_units)


def bookshelf(kit: Kit) -> Item:
    """Open shelves, filled with books and a few other things."""
    width, depth, height = kit.u(0.6, 1.9), kit.u(0.24, 0.38), kit.u(0.8, 2.2)
    out, label = Assembly(), LABEL["furniture"]
    board, thick = kit.wood(), kit.u(0.015, 0.035)
    columns, rows = max(1, round(width / kit.u(0.5, 1.0))), max(2, round(height / kit.u(0.28, 0.42)))
    if kit.chance(0.8):
        out.box((-width / 2, 0, 0), (width / 2, 0.012, height), label, board)
    for i in range(columns + 1):
        x = -width / 2 + i * width / columns
        out.box((x - thick / 2, 0, 0), (x + thick / 2, depth, height), label, board)
    tall = (height - 0.05) / rows
    for j in range(rows + 1):
        z = 0.05 + j * tall
        out.box((-width / 2, 0, z - thick), (width / 2, depth, z), label, board)
    spines = [kit.palette.spine() for _ in range(kit.count(4, 9))]
    full = kit.u(0.5, 1.0)
    for i in range(columns):
        for j in range(rows):
            if kit.chance(full):
                left = -width / 2 + i * width / columns + thick / 2
                bay = (left + 0.01, left + width / columns - thick - 0.01)
                book_row(kit, out, bay, 0.05 + j * tall, tall - thick, depth, spines)
    return Item(out, width, depth, height, top=height if height < 1.4 else 0.0, low=height < 1.2)


def book_row(
    kit: Kit, out: Assembly, bay: tuple[float, float], floor: float, room: float, depth: float, spines: list[int]
) -> None:
    """Upright books from one end of a bay, the last one leaning, or a small pile."""
    label, x = LABEL["books"], bay[0]
    end = bay[0] + (bay[1] - bay[0]) * kit.u(0.6, 1.0)
    usual = room * kit.u(0.6, 0.85)
    deep = depth * kit.u(0.65, 0.9)
    widths = kit.rng.uniform(0.018, 0.055, 60)
    heights = np.minimum(usual * kit.rng.uniform(0.8, 1.15, 60), room * 0.97)
    which = kit.rng.integers(len(spines), size=60)
    for wide, high, spine in zip(widths, heights, which, strict=True):
        if x + wide > end:
            break
        out.box((x, 0.02, floor), (x + wide * 0.96, 0.02 + deep, floor + high), label, spines[spine])
        x += wide


def book_pile(kit: Kit, most: int = 5) -> Assembly:
    """A few books lying on each other, centred on the origin."""
    out, z = Assembly(), 0.0
    for _ in range(kit.count(1, most)):
        thick = kit.u(0.02, 0.05)
        size = (kit.u(0.16, 0.26), kit.u(0.22, 0.34), thick)
        out.add(
            Shape.BOX,
            (kit.u(-0.02, 0.02), 0, z + thick / 2),
            size,
            LABEL["books"],
            kit.palette.spine(),
            yaw=kit.u(-0.4, 0.4),
        )
        z += thick
    return out


def television(kit: Kit) -> Item:
    """A television on a low stand."""
    width, depth, height = kit.u(0.9, 1.9), kit.u(0.35, 0.5), kit.u(0.35, 0.65)
    out, label = Assembly(), LABEL["furniture"]
    _fronts(kit, out, -width / 2, width / 2, 0, depth, 0.04, height, kit.wood(), kit.count(1, 3), 1, label)
    screen = min(width, kit.u(0.7, 1.4))
    if kit.chance(0.15):
        old = min(screen, 0.7)
        shell = kit.palette.plastic()
        out.box((-old / 2, 0.02, height), (old / 2, depth - 0.05, height + old * 0.8), LABEL["tv"], shell)
        glass = kit.palette.screen(kit.chance(0.4))
        out.add(
            Shape.CUSHION, (0, depth - 0.06, height + old * 0.42), (old * 0.86, 0.06, old * 0.64), LABEL["tv"], glass
        )
    else:
        monitor(kit, out, 0, kit.u(0.08, 0.2), height, screen)
    return Item(out, width, depth + 0.05, height + 0.6, low=False)


def flat_screen(kit: Kit) -> tuple[Assembly, float, float]:
    """A television for a wall: assembly facing +y with its back at y = 0, centred; width; height."""
    width = kit.u(0.7, 1.6)
    high = width * kit.u(0.54, 0.62)
    out = Assembly()
    out.box((-width / 2, 0, -high / 2), (width / 2, 0.05, high / 2), LABEL["tv"], kit.palette.screen(False))
    face = kit.palette.screen(kit.chance(0.4))
    out.box((-width / 2 + 0.02, 0.05, -high / 2 + 0.02), (width / 2 - 0.02, 0.054, high / 2 - 0.02), LABEL["tv"], face)
    return out, width, high


__all__ = [
    "book_pile", "bookshelf", "cabinet", "coffee_table", "counter", "desk", "flat_screen", "monitor", "table",
    "television",
]  # fmt: skip

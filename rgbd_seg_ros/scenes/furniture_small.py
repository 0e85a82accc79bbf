"""Things that stand about: lamps, plants, boxes, bags, dishes, piles of books."""

from __future__ import annotations

import math

from rgbd_seg_ros.scenes.furniture_kit import LABEL, Item, Kit
from rgbd_seg_ros.scenes.furniture_storage import book_pile
from rgbd_seg_ros.scenes.parts import Assembly, tilted
from rgbd_seg_ros.scenes.primitives import Shape

OBJECTS = LABEL["objects"]


def floor_lamp(kit: Kit) -> Item:
    """A standing lamp."""
    out = Assembly()
    _lamp(kit, out, kit.u(1.2, 1.8), kit.u(0.25, 0.5))
    return Item(out, 0.4, 0.4, 1.7)


def _lamp(kit: Kit, out: Assembly, height: float, shade: float) -> None:
    metal = kit.palette.metal() if kit.chance(0.6) else kit.palette.plastic()
    y = 0.2
    out.add(Shape.CYLINDER, (0, y, 0.015), (shade * 0.6, shade * 0.6, 0.03), OBJECTS, metal)
    out.add(Shape.CYLINDER, (0, y, height / 2), (0.03, 0.03, height), OBJECTS, metal)
    shape = Shape.CONE if kit.chance(0.7) else Shape.CYLINDER
    out.add(shape, (0, y, height), (shade, shade, shade * kit.u(0.6, 0.9)), OBJECTS, kit.palette.lamp_shade())


def plant(kit: Kit) -> Item:
    """A pot with leaves."""
    out = Assembly()
    pot, high = kit.u(0.2, 0.4), kit.u(0.2, 0.4)
    out.add(Shape.CONE, (0, 0.2, high / 2), (pot, pot, high), OBJECTS, kit.palette.plastic(), tilt=tilted(x=math.pi))
    leaf, reach = kit.palette.leaf(), kit.u(0.15, 0.45)
    for _ in range(kit.count(6, 16)):
        turn = tilted(y=kit.u(0.2, 1.3), z=kit.u(-3.1, 3.1))
        tip = turn @ (0, 0, reach)
        center = (float(tip[0]), 0.2 + float(tip[1]), high + float(tip[2]))
        out.add(Shape.SPHERE, center, (0.12, 0.03, reach * 1.6), OBJECTS, leaf, tilt=turn)
    return Item(out, 0.5, 0.4, high + 2 * reach)


def carton(kit: Kit) -> Item:
    """One or two boxes, a bin or a suitcase."""
    out = Assembly()
    width, depth, height = kit.u(0.2, 0.6), kit.u(0.2, 0.5), kit.u(0.15, 0.5)
    if kit.chance(0.3):
        out.add(
            Shape.CONE,
            (0, depth / 2, height / 2),
            (width * 0.7, width * 0.7, height),
            OBJECTS,
            kit.palette.plastic(),
            tilt=tilted(x=math.pi),
        )
        return Item(out, width, depth, height)
    out.add(Shape.BOX, (0, depth / 2, height / 2), (width, depth, height), OBJECTS, kit.wood())
    if kit.chance(0.3):
        out.add(
            Shape.BOX,
            (0, depth / 2, height * 1.35),
            (width * 0.8, depth * 0.8, height * 0.7),
            OBJECTS,
            kit.wood(),
            yaw=kit.u(-0.4, 0.4),
        )
    return Item(out, width, depth, height * 1.5)


def bag(kit: Kit) -> Item:
    """A slumped bag, heap of clothes or bean bag."""
    out = Assembly()
    size = kit.u(0.3, 0.6)
    for _ in range(kit.count(1, 3)):
        center = (kit.u(-0.1, 0.1), size / 2 + kit.u(-0.05, 0.05), size * 0.25)
        out.add(
            Shape.CUSHION,
            center,
            (size, size * kit.u(0.6, 1), size * kit.u(0.4, 0.8)),
            OBJECTS,
            kit.cloth(),
            yaw=kit.u(0, 3),
            tilt=tilted(x=kit.u(-0.3, 0.3)),
        )
    return Item(out, size, size, size)


def toilet(kit: Kit) -> Item:
    """A toilet with its cistern."""
    out, white = Assembly(), kit.palette.enamel()
    out.add(Shape.CUSHION, (0, 0.1, 0.6), (0.4, 0.2, 0.42), OBJECTS, white)
    out.add(Shape.CONE, (0, 0.38, 0.2), (0.36, 0.48, 0.4), OBJECTS, white, tilt=tilted(x=math.pi))
    out.add(Shape.CYLINDER, (0, 0.4, 0.41), (0.38, 0.5, 0.04), OBJECTS, white)
    return Item(out, 0.42, 0.66, 0.82)


def washbasin(kit: Kit) -> Item:
    """A basin on a pedestal or in a cabinet."""
    out, white = Assembly(), kit.palette.enamel()
    width, height = kit.u(0.45, 0.8), kit.u(0.78, 0.9)
    if kit.chance(0.5):
        out.box((-width / 2, 0, 0.05), (width / 2, 0.42, height - 0.1), LABEL["furniture"], kit.wood())
    else:
        out.add(Shape.CYLINDER, (0, 0.2, height / 2 - 0.05), (0.16, 0.16, height - 0.1), OBJECTS, white)
    out.add(Shape.CUSHION, (0, 0.23, height - 0.06), (width, 0.46, 0.16), OBJECTS, white)
    out.add(Shape.CYLINDER, (0, 0.06, height + 0.08), (0.03, 0.03, 0.14), OBJECTS, kit.palette.metal())
    return Item(out, width, 0.46, height)


def bathtub(kit: Kit) -> Item:
    """A tub along the wall."""
    out, white = Assembly(), kit.palette.enamel()
    width, depth, height = kit.u(1.4, 1.8), kit.u(0.65, 0.8), kit.u(0.45, 0.6)
    rim = 0.07
    out.box((-width / 2, 0, 0), (width / 2, rim, height), OBJECTS, white)
    out.box((-width / 2, depth - rim, 0), (width / 2, depth, height), OBJECTS, white)
    for side in (-1, 1):
        out.box(
            (side * width / 2 - rim * (side > 0), 0, 0),
            (side * width / 2 + rim * (side < 0), depth, height),
            OBJECTS,
            white,
        )
    out.box((-width / 2, 0, 0), (width / 2, depth, 0.12), OBJECTS, white)
    return Item(out, width, depth, height)


def ornament(kit: Kit) -> Assembly:
    """Something small for a table top, centred on the origin, at most 0.4 m across."""
    style = kit.rng.random()
    out = Assembly()
    if style < 0.3:
        return book_pile(kit)
    if style < 0.5:
        out.add(
            Shape.CYLINDER, (0, 0, 0.07), (kit.u(0.07, 0.12),) * 2 + (kit.u(0.1, 0.16),), OBJECTS, kit.palette.plastic()
        )
    elif style < 0.65:
        wide = kit.u(0.08, 0.18)
        out.add(Shape.SPHERE, (0, 0, wide / 2), (wide, wide, wide * kit.u(0.8, 1.6)), OBJECTS, kit.palette.plastic())
    elif style < 0.8:
        size = (kit.u(0.1, 0.35), kit.u(0.1, 0.3), kit.u(0.05, 0.25))
        out.add(Shape.BOX, (0, 0, size[2] / 2), size, OBJECTS, kit.wood(), yaw=kit.u(0, 3))
    elif style < 0.92:
        lamp = Assembly()
        _lamp(kit, lamp, kit.u(0.3, 0.55), kit.u(0.2, 0.35))
        out.place(lamp, 0, -0.2)
    else:
        small = plant(kit)
        out.place(small.assembly, 0, -0.2)
    return out

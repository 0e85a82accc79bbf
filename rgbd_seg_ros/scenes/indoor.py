"""The indoor world: furnished rooms with NYU-13 labels."""

from __future__ import annotations

import math

import numpy as np

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.scenes import furniture_seats as seats
from rgbd_seg_ros.scenes import furniture_small as small
from rgbd_seg_ros.scenes import furniture_storage as storage
from rgbd_seg_ros.scenes.depth_sensor import DepthSensor
from rgbd_seg_ros.scenes.floor_plan import FloorPlan
from rgbd_seg_ros.scenes.furniture_kit import LABEL, Item, Kit, Maker
from rgbd_seg_ros.scenes.indoor_views import IndoorPlanner
from rgbd_seg_ros.scenes.lighting import Light, Lighting
from rgbd_seg_ros.scenes.palette import Palette, scaled, tint
from rgbd_seg_ros.scenes.parts import Assembly, build_mesh
from rgbd_seg_ros.scenes.primitives import Shape
from rgbd_seg_ros.scenes.scene import Scene
from rgbd_seg_ros.scenes.walls import build_wall, four_walls, hang_things, plan_openings

# Per kind of room: what stands at the walls, then what stands freely.
ROOMS: dict[str, tuple[tuple[Maker, ...], tuple[Maker, ...]]] = {
    "bedroom": ((seats.bed, storage.cabinet, storage.cabinet, storage.desk), (seats.chair, small.bag)),
    "living": ((seats.sofa, storage.television, storage.bookshelf, seats.sofa), (storage.coffee_table, seats.chair)),
    "office": ((storage.desk, storage.desk, storage.bookshelf, storage.cabinet), (seats.chair, small.carton)),
    "kitchen": ((storage.counter, storage.counter, storage.cabinet), (storage.table, seats.stool)),
    "bathroom": ((small.toilet, small.washbasin, small.bathtub, storage.cabinet), (small.bag, small.carton)),
    "dining": ((storage.cabinet, seats.sofa, storage.bookshelf), (storage.table, seats.chair)),
}
ANY_WALL: tuple[Maker, ...] = (
    seats.bed, seats.bed, seats.sofa, seats.sofa, storage.bookshelf, storage.cabinet, storage.counter, storage.desk,
    storage.television, storage.cabinet, seats.chair, small.carton, small.plant, small.bag, small.floor_lamp,
)  # fmt: skip
ANY_FREE: tuple[Maker, ...] = (
    storage.table, storage.coffee_table, seats.chair, seats.chair, small.plant, small.carton, small.bag,
    small.floor_lamp, seats.stool,
)  # fmt: skip


def build_indoor(seed: int, rng: np.random.Generator) -> Scene:
    """A furnished room, deterministic by `rng`."""
    kit = Kit(rng, Palette(rng))
    big = kit.chance(0.4)
    width, depth = (kit.u(4.5, 8.0), kit.u(4.0, 7.0)) if big else (kit.u(2.6, 5.0), kit.u(2.6, 4.6))
    height = kit.u(2.25, 3.1)
    plan = FloorPlan(width, depth, four_walls(width, depth))
    out = Assembly()
    daylight = kit.u(0.3, 5.0) if kit.chance(0.75) else kit.u(0.0, 0.1)
    _open_walls(kit, plan, height)
    _furnish(kit, plan, out)
    _shell(kit, plan, out, height, daylight)
    lighting = _light(kit, plan, out, height, daylight)
    return Scene(
        "indoor", seed, LABEL_SETS["nyu13"], DepthSensor.random, build_mesh(out), kit.palette.table.rows(), lighting,
        IndoorPlanner(plan, height),
    )  # fmt: skip


def _open_walls(kit: Kit, plan: FloorPlan, height: float) -> None:
    doors = ["door", "door" if kit.chance(0.4) else "", "doorway" if kit.chance(0.3) else "", ""]
    for wall, index in zip(plan.walls, kit.rng.permutation(4), strict=True):
        plan_openings(kit, wall, height, windows=kit.count(0, 2) if kit.chance(0.55) else 0, door=doors[index])


def _furnish(kit: Kit, plan: FloorPlan, out: Assembly) -> None:
    tops: list[tuple[Item, float, float, float]] = []
    at_wall, free = _shopping_list(kit)
    if kit.chance(0.2):
        _pillar(kit, plan, out)
    for make in at_wall:
        item = make(kit)
        spot = plan.against_wall(kit, item, out)
        if spot is None:
            continue
        wall, along = spot
        x, y = wall.point(along, item.depth / 2)
        if item.top:
            tops.append((item, x, y, wall.yaw))
        if make is storage.desk:
            _seat_at(kit, plan, out, wall.point(along + kit.u(-0.2, 0.2), item.depth + 0.28), wall.yaw + math.pi)
        if make is seats.sofa and kit.chance(0.5):
            table = storage.coffee_table(kit)
            x, y = wall.point(along, item.depth + 0.3 + table.depth / 2 + kit.u(0, 0.3))
            if plan.at(table, out, x, y, wall.yaw):
                tops.append((table, x, y, wall.yaw))
    for make in free:
        item = make(kit)
        yaw = None if make is not storage.table or kit.chance(0.3) else float(kit.count(0, 3)) * math.pi / 2
        spot_free = plan.anywhere(kit, item, out, yaw)
        if spot_free is None:
            continue
        if item.top:
            tops.append((item, *spot_free))
        if make is storage.table:
            _chairs_around(kit, plan, out, item, spot_free)
    for item, x, y, yaw in tops:
        _clutter(kit, out, item, x, y, yaw)


def _shopping_list(kit: Kit) -> tuple[list[Maker], list[Maker]]:
    if kit.chance(0.4):
        at_wall = [ANY_WALL[i] for i in kit.rng.integers(len(ANY_WALL), size=kit.count(6, 14))]
        free = [ANY_FREE[i] for i in kit.rng.integers(len(ANY_FREE), size=kit.count(2, 7))]
        return at_wall, free
    room = list(ROOMS)[int(kit.rng.integers(len(ROOMS)))]
    fixed, loose = ROOMS[room]
    extra = [ANY_WALL[i] for i in kit.rng.integers(len(ANY_WALL), size=kit.count(3, 9))]
    more = [ANY_FREE[i] for i in kit.rng.integers(len(ANY_FREE), size=kit.count(1, 5))]
    return [*fixed, *extra], [*(m for m in loose if kit.chance(0.8)), *more]


def _pillar(kit: Kit, plan: FloorPlan, out: Assembly) -> None:
    """A chimney breast or built-in wardrobe that makes the room less rectangular."""
    block = Assembly()
    width, depth = kit.u(0.4, 1.6), kit.u(0.2, 0.9)
    block.box((-width / 2, -0.05, 0), (width / 2, depth, 3.2), LABEL["wall"], kit.palette.paint())
    plan.against_wall(kit, Item(block, width, depth, 3.2, low=False), out)


def _seat_at(kit: Kit, plan: FloorPlan, out: Assembly, where: tuple[float, float], yaw: float) -> None:
    if kit.chance(0.75):
        plan.at(seats.chair(kit), out, *where, yaw + kit.u(-0.5, 0.5), gap=-0.12)


def _chairs_around(kit: Kit, plan: FloorPlan, out: Assembly, item: Item, at: tuple[float, float, float]) -> None:
    x, y, yaw = at
    state = kit.rng.bit_generator.state
    for side in range(4):
        # The same kind of chair all around the table: rewind the generator for each one.
        after = kit.rng.bit_generator.state
        kit.rng.bit_generator.state = state
        seat = seats.chair(kit)
        kit.rng.bit_generator.state = after if side else kit.rng.bit_generator.state
        if not kit.chance(0.75):
            continue
        turn = yaw + side * math.pi / 2
        reach = (item.depth if side % 2 == 0 else item.width) / 2 + kit.u(0.05, 0.3)
        cx, cy = x + math.sin(turn) * reach, y - math.cos(turn) * reach
        plan.at(seat, out, cx, cy, turn + kit.u(-0.3, 0.3), gap=-0.3)


def _clutter(kit: Kit, out: Assembly, item: Item, x: float, y: float, yaw: float) -> None:
    for _ in range(kit.count(0, 2 + int(4 * item.width * item.depth))):
        thing = small.ornament(kit)
        dx, dy = kit.u(-0.4, 0.4) * item.width, kit.u(-0.32, 0.32) * item.depth
        c, s = math.cos(yaw), math.sin(yaw)
        out.place(thing, x + c * dx - s * dy, y + s * dx + c * dy, item.top, kit.u(-math.pi, math.pi))


def _shell(kit: Kit, plan: FloorPlan, out: Assembly, height: float, daylight: float) -> None:
    width, depth = plan.width, plan.depth
    out.box((-0.3, -0.3, -0.2), (width + 0.3, depth + 0.3, 0), LABEL["floor"], kit.palette.flooring())
    out.box((-0.3, -0.3, height), (width + 0.3, depth + 0.3, height + 0.2), LABEL["ceiling"], kit.palette.ceiling())
    if kit.chance(0.4):
        rug = (kit.u(1.0, 0.8 * width), kit.u(0.8, 0.8 * depth), 0.012)
        center = (width / 2 + kit.u(-0.5, 0.5), depth / 2 + kit.u(-0.5, 0.5), 0.006)
        shape = Shape.CYLINDER if kit.chance(0.15) else Shape.BOX
        out.add(shape, center, rug, LABEL["floor"], kit.palette.cloth(0.3), yaw=kit.u(-0.1, 0.1))
    main = kit.palette.paint()
    for wall in plan.walls:
        paint = main if kit.chance(0.8) else kit.palette.paint()
        piece = build_wall(kit, wall, height, paint, daylight)
        hang_things(kit, wall, piece, height)
        out.place(piece, wall.x, wall.y, 0.0, wall.yaw)


def _light(kit: Kit, plan: FloorPlan, out: Assembly, height: float, daylight: float) -> Lighting:
    lights = []
    warm = kit.u(0.0, 0.5)
    color = (1.0, 1.0 - 0.25 * warm, 1.0 - 0.7 * warm)
    lamps = kit.count(1, 3) if kit.chance(0.85) else 0
    for _ in range(lamps):
        x, y = kit.u(0.25, 0.75) * plan.width, kit.u(0.25, 0.75) * plan.depth
        drop = kit.u(0.03, 0.6) if kit.chance(0.4) else 0.02
        size = kit.u(0.15, 0.6)
        out.add(
            Shape.CYLINDER,
            (x, y, height - drop),
            (size, size, 0.04 + 0.3 * min(drop, 0.4)),
            LABEL["objects"],
            kit.palette.shining(kit.u(1, 6)),
        )
        gain = kit.u(1.0, 5.0) / lamps
        lights.append(
            Light((x, y, height - drop - 0.1), (gain * color[0], gain * color[1], gain * color[2]), kit.u(0.08, 0.35))
        )
    for wall in plan.walls:
        for o in wall.openings:
            if o.kind == "window" and daylight > 0.2 and len(lights) < 4:
                x, y = wall.point((o.start + o.end) / 2, 0.25)
                gain = daylight * kit.u(0.3, 1.0) * (o.end - o.start) * (o.high - o.low) * 0.6
                lights.append(Light((x, y, (o.low + o.high) / 2), (gain * 0.9, gain * 0.95, gain), 0.4))
    base = kit.u(0.06, 0.5) + 0.02 * (not lights)
    bounce = tint(kit.rng, kit.u(0.02, 0.15), kit.u(0, 0.5), kit.u(0.4, 1.0))
    above = (base * (color[0] + 0.3), base * (color[1] + 0.3), base * (color[2] + 0.3))
    return Lighting(tuple(lights), above, scaled(bounce, 1.2 * base))


__all__ = ["build_indoor"]

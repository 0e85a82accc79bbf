"""The aerial world: town quarters seen straight down from 120 m, labels of ISPRS Potsdam.

Depth is the distance from the camera; the height above ground is `ALTITUDE - depth`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.scenes.camera import Pose
from rgbd_seg_ros.scenes.depth_sensor import DepthSensor
from rgbd_seg_ros.scenes.furniture_kit import Kit
from rgbd_seg_ros.scenes.outdoor_palette import OutdoorPalette
from rgbd_seg_ros.scenes.outdoor_parts import car, house, sun_and_sky, tree
from rgbd_seg_ros.scenes.parts import Assembly, build_mesh
from rgbd_seg_ros.scenes.primitives import Shape
from rgbd_seg_ros.scenes.scene import Scene

ALTITUDE = 120.0
"""Metres between the camera and the ground."""
EXTENT = 130.0
"""Side of the built-up square, metres."""
NADIR = -math.pi / 2 + 1e-3
_CLASSES = {name: i for i, name in enumerate(LABEL_SETS["potsdam6"].classes)}
PAVED, BUILDING, GREEN = _CLASSES["impervious"], _CLASSES["building"], _CLASSES["low_vegetation"]
TREE, CAR, CLUTTER = _CLASSES["tree"], _CLASSES["car"], _CLASSES["clutter"]


@dataclass(frozen=True)
class AerialPlanner:
    """Straight-down views and straight flight lines."""

    def sample_pose(self, scene: Scene, rng: np.random.Generator) -> Pose:
        """Anywhere over the built-up square, any heading."""
        x, y = rng.uniform(-0.32, 0.32, 2) * EXTENT
        return Pose.looking((x, y, ALTITUDE), rng.uniform(-np.pi, np.pi), NADIR)

    def trajectory(self, scene: Scene, duration_s: float, rate_hz: float, rng: np.random.Generator) -> list[Pose]:
        """A gently curved flight at 2 to 4 m/s."""
        count = round(duration_s * rate_hz)
        speed = rng.uniform(2, 4)
        turn = gaussian_filter1d(rng.normal(0, 1.0, count), max(1.0, 3 * rate_hz)) * 2
        heading = rng.uniform(-np.pi, np.pi) + np.cumsum(turn) / rate_hz
        step = speed / rate_hz * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        path = np.cumsum(step, axis=0)
        path -= (path.min(axis=0) + path.max(axis=0)) / 2
        return [Pose.looking((x, y, ALTITUDE), float(yaw), NADIR) for (x, y), yaw in zip(path, heading, strict=True)]


def build_aerial(seed: int, rng: np.random.Generator) -> Scene:
    """A town quarter, deterministic by `rng`."""
    palette = OutdoorPalette(rng, season=float(rng.uniform(0, 0.5)))
    kit = Kit(rng, palette)
    out = Assembly()
    half = EXTENT / 2 + 60
    out.box((-half, -half, -1), (half, half, 0), GREEN, palette.grass())
    roads = _roads(kit, palette, out)
    for x0, x1 in zip(roads[0][:-1], roads[0][1:], strict=True):
        for y0, y1 in zip(roads[1][:-1], roads[1][1:], strict=True):
            _block(kit, palette, out, x0 + 5, y0 + 5, x1 - 5, y1 - 5)
    lighting, sky = sun_and_sky(kit)
    return Scene(
        "aerial", seed, LABEL_SETS["potsdam6"], DepthSensor.surveyor, build_mesh(out), palette.table.rows(), lighting,
        AerialPlanner(), sky,
    )  # fmt: skip


def _roads(kit: Kit, palette: OutdoorPalette, out: Assembly) -> tuple[list[float], list[float]]:
    """Streets along both axes, with parked and driving cars; returns their centre lines."""
    surface = palette.asphalt()
    lines: list[list[float]] = []
    for axis in (0, 1):
        at, here = -EXTENT / 2, []
        while at < EXTENT / 2 + 20:
            here.append(at)
            wide = kit.u(2.5, 4.5)
            low, high = (at - wide, -EXTENT), (at + wide, EXTENT)
            if axis:
                low, high = (-EXTENT, at - wide), (EXTENT, at + wide)
            out.box((*low, 0), (*high, 0.02 + 0.01 * axis), PAVED, surface)
            for along in np.arange(-EXTENT / 2, EXTENT / 2, 6.0):
                if kit.chance(0.3):
                    side = (1 if kit.chance(0.5) else -1) * (wide - 1.2)
                    x, y = (at + side, along) if axis == 0 else (along, at + side)
                    out.place(_car(kit, palette), x, y, 0.0, (math.pi / 2 if axis == 0 else 0) + kit.u(-0.05, 0.05))
            at += kit.u(28, 50)
        lines.append(here)
    return lines[0], lines[1]


def _car(kit: Kit, palette: OutdoorPalette) -> Assembly:
    return car(kit, CAR, palette.lacquer(), palette.screen(False))


def _block(kit: Kit, palette: OutdoorPalette, out: Assembly, x0: float, y0: float, x1: float, y1: float) -> None:
    """Houses, yards, trees, parking and clutter between four streets."""
    if kit.chance(0.25):
        out.box((x0, y0, 0), (x1, y1, 0.05), PAVED, palette.asphalt())
        for x in np.arange(x0 + 3, x1 - 3, 2.8):
            if kit.chance(0.5):
                out.place(_car(kit, palette), x, y0 + 4, 0.05, math.pi / 2 + kit.u(-0.05, 0.05))
    wall, roof = palette.paint(), palette.roof()
    for x in np.arange(x0 + 7, x1 - 4, kit.u(12, 20)):
        for y in np.arange(y0 + 7, y1 - 4, kit.u(12, 20)):
            if kit.chance(0.85):
                if kit.chance(0.4):
                    wall, roof = palette.paint(), palette.roof()
                size = (kit.u(7, 18), kit.u(6, 13), kit.u(3, 14))
                turn = float(kit.count(0, 1)) * math.pi / 2
                out.place(house(kit, BUILDING, wall, roof, *size), x, y, 0, turn)
                if kit.chance(0.4):
                    out.box((x - 9, y + 3, 0), (x - 4, y + 7, 0.04), PAVED, palette.asphalt())
    for _ in range(kit.count(2, 12)):
        height = kit.u(3, 13)
        out.place(tree(kit, TREE, palette.foliage(), palette.bark(), height), kit.u(x0, x1), kit.u(y0, y1))
    for _ in range(kit.count(0, 5)):
        size = (kit.u(1, 4), kit.u(1, 3), kit.u(0.4, 2.5))
        out.add(
            Shape.BOX, (kit.u(x0, x1), kit.u(y0, y1), size[2] / 2), size, CLUTTER, palette.plastic(), yaw=kit.u(0, 3)
        )
    if kit.chance(0.2):
        out.box((x0 + 2, y1 - 7, 0), (x0 + kit.u(6, 12), y1 - 2, 0.06), CLUTTER, palette.water())
    for _ in range(kit.count(0, 6)):
        bush = kit.u(0.8, 2.0)
        out.add(Shape.BLOB, (kit.u(x0, x1), kit.u(y0, y1), 0.2), (bush, bush, bush), GREEN, palette.foliage())

"""The drone world: hilly landscape up to the horizon, the 7 grouped classes of Mid-Air."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.scenes.camera import Pose
from rgbd_seg_ros.scenes.depth_sensor import DepthSensor
from rgbd_seg_ros.scenes.furniture_kit import Kit
from rgbd_seg_ros.scenes.outdoor_palette import OutdoorPalette
from rgbd_seg_ros.scenes.outdoor_parts import house, sun_and_sky, tree
from rgbd_seg_ros.scenes.parts import Assembly, build_mesh, tilted
from rgbd_seg_ros.scenes.primitives import Shape
from rgbd_seg_ros.scenes.scene import Scene
from rgbd_seg_ros.scenes.view_score import classes_seen

EXTENT = 2400.0
"""Side of the landscape, metres."""
CELLS = 140
CANDIDATES = 6
NEAR = 160.0
"""Radius around the middle in which the camera flies and most objects stand, metres."""
_CLASSES = {name: i for i, name in enumerate(LABEL_SETS["midair7"].classes)}
SKY, TREES, LAND, ROCKS = _CLASSES["sky"], _CLASSES["trees"], _CLASSES["land"], _CLASSES["rocks"]
WATER, ROAD, OTHERS = _CLASSES["water"], _CLASSES["road"], _CLASSES["others"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Terrain:
    """A height map over the square of side `EXTENT` around the origin; `heights` CELLS x CELLS metres (row = y)."""

    heights: Floats = field(repr=False)

    def at(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
        """Ground height at positions, metres."""
        columns = (np.asarray(x, float) / EXTENT + 0.5) * (CELLS - 1)
        rows = (np.asarray(y, float) / EXTENT + 0.5) * (CELLS - 1)
        return map_coordinates(self.heights, [np.atleast_1d(rows), np.atleast_1d(columns)], order=1, mode="nearest")

    def height(self, x: float, y: float) -> float:
        """Ground height at one position, metres."""
        return float(self.at(x, y)[0])


@dataclass(frozen=True)
class DronePlanner:
    """Low flights over the middle of the landscape."""

    terrain: Terrain
    water: float

    def _floor(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
        return np.maximum(self.terrain.at(x, y), self.water)

    def sample_pose(self, scene: Scene, rng: np.random.Generator) -> Pose:
        """From 3 to 60 m above ground, looking ahead and down: the most varied of a few random views."""
        poses = [self._draw(rng) for _ in range(CANDIDATES)]
        scores = []
        for pose in poses:
            seen = classes_seen(scene, pose)
            scores.append(seen.count - 3 * float(seen.shares.max()) + rng.uniform(0, 1.5))
        return poses[int(np.argmax(scores))]

    def _draw(self, rng: np.random.Generator) -> Pose:
        x, y = rng.uniform(-0.6, 0.6, 2) * NEAR
        clearance = float(np.exp(rng.uniform(np.log(3), np.log(60))))
        pitch = float(np.clip(rng.normal(-0.18 - clearance / 200, 0.2), -1.2, 0.3))
        return Pose.looking(
            (x, y, float(self._floor(x, y)[0]) + clearance), rng.uniform(-np.pi, np.pi), pitch, rng.normal(0, 0.08)
        )

    def trajectory(self, scene: Scene, duration_s: float, rate_hz: float, rng: np.random.Generator) -> list[Pose]:
        """A curved flight at 2 to 6 m/s that follows the smoothed ground."""
        count = round(duration_s * rate_hz)
        turn = gaussian_filter1d(rng.normal(0, 1, count), max(1.0, 2 * rate_hz)) * 4
        heading = rng.uniform(-np.pi, np.pi) + np.cumsum(turn) / rate_hz
        step = rng.uniform(2, 6) / rate_hz * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        path = np.cumsum(step, axis=0)
        path -= path.mean(axis=0)
        ground = gaussian_filter1d(self._floor(path[:, 0], path[:, 1]), max(1.0, rate_hz), mode="nearest")
        clearance, pitch = rng.uniform(15, 45), rng.uniform(-0.4, -0.1)
        return [
            Pose.looking((x, y, z + clearance), float(yaw), pitch, float(-0.3 * t))
            for (x, y), z, yaw, t in zip(path, ground, heading, turn, strict=True)
        ]


def build_drone(seed: int, rng: np.random.Generator) -> Scene:
    """A landscape with trees, rocks, water, a road and a few buildings, deterministic by `rng`."""
    palette = OutdoorPalette(rng, season=float(rng.choice([0.0, 0.3, 1.0, -1.0], p=[0.5, 0.2, 0.2, 0.1])))
    kit = Kit(rng, palette)
    terrain = _terrain(kit)
    middle = terrain.heights[CELLS // 2 - 14 : CELLS // 2 + 14, CELLS // 2 - 14 : CELLS // 2 + 14]
    water = float(np.quantile(middle, kit.u(0.1, 0.45))) if kit.chance(0.7) else float(terrain.heights.min()) - 5
    out = Assembly()
    line = np.linspace(-EXTENT / 2, EXTENT / 2, CELLS)
    x, y = np.meshgrid(line, line)
    out.sheet(np.stack([x, y, terrain.heights], -1).astype(np.float32), LAND, palette.grass())
    half = EXTENT / 2
    out.box((-half, -half, water - 0.2), (half, half, water), WATER, palette.water())
    road = _road(kit, palette, terrain, out)
    _scatter(kit, palette, terrain, water, road, out)
    lighting, sky = sun_and_sky(kit)
    return Scene(
        "drone", seed, LABEL_SETS["midair7"], DepthSensor.long_range, build_mesh(out), palette.table.rows(), lighting,
        DronePlanner(terrain, water), sky, SKY, haze=kit.u(500, 6000),
    )  # fmt: skip


def _terrain(kit: Kit) -> Terrain:
    """Hills by filtered noise, flatter in the middle, with mountains at the rim."""
    heights = np.zeros((CELLS, CELLS))
    for scale, gain in ((21, 1.0), (8, 0.3), (3.5, 0.08)):
        layer = gaussian_filter(kit.rng.standard_normal((CELLS, CELLS)), scale, mode="wrap")
        heights += gain * layer / layer.std()
    line = np.linspace(-1, 1, CELLS)
    radius = np.hypot(line[None], line[:, None])
    return Terrain(heights * kit.u(4, 30) * (0.4 + radius) + kit.u(0, 120) * np.maximum(radius - 0.5, 0))


def _road(kit: Kit, palette: OutdoorPalette, terrain: Terrain, out: Assembly) -> Floats:
    """A winding road over the ground; returns its centre line, N x 2 (empty if there is none)."""
    if kit.chance(0.15):
        return np.empty((0, 2))
    along = np.linspace(-500, 500, 400)
    sway = gaussian_filter1d(kit.rng.standard_normal(400), 40)
    sway *= 30 / max(float(np.abs(sway).max()), 1e-6)
    angle = kit.u(-math.pi, math.pi)
    c, s = math.cos(angle), math.sin(angle)
    center = np.stack([c * along - s * sway, s * along + c * sway], axis=1)
    aside = np.gradient(center, axis=0)[:, ::-1] * (-1, 1)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    wide = kit.u(3, 9)
    edges = np.stack([center + aside * w for w in np.linspace(-wide, wide, 5)], axis=1)
    # Level across its width, so that no ground sticks through.
    ground = np.max([terrain.at(edges[:, k, 0], edges[:, k, 1]) for k in range(5)], axis=0)
    height = gaussian_filter1d(ground, 2) + 0.9
    points = np.concatenate([edges, np.repeat(height[:, None, None], 5, axis=1)], axis=2)
    out.sheet(points.astype(np.float32), ROAD, palette.asphalt())
    return center


def _scatter(kit: Kit, palette: OutdoorPalette, terrain: Terrain, water: float, road: Floats, out: Assembly) -> None:
    """Trees, boulders, houses and poles, dense near the middle and thinner far out."""

    def spot(spread: float) -> tuple[float, float, float] | None:
        x, y = (float(v) for v in kit.rng.normal(0, spread, 2))
        z = terrain.height(x, y)
        on_road = road.size and float(np.min(np.hypot(road[:, 0] - x, road[:, 1] - y))) < 9
        return None if z < water or on_road or max(abs(x), abs(y)) > EXTENT / 2 else (x, y, z)

    crowns, bark = [palette.foliage() for _ in range(4)], palette.bark()
    kinds = [tree(kit, TREES, crowns[i % 4], bark, 1.0) for i in range(6)]
    stones = [palette.rock() for _ in range(3)]
    for i in range(kit.count(50, 240)):
        at = spot(NEAR * (0.5 if i % 2 else 2.0))
        if at is not None:
            _grow(out, kinds[i % 6], *at, kit.u(3, 16), kit.u(-3, 3))
    for _ in range(kit.count(30, 160)):
        at = spot(NEAR * 0.8)
        if at is not None:
            size = float(np.exp(kit.u(0.5, 3.5)))
            shape = Shape.CUSHION if kit.chance(0.5) else Shape.SPHERE
            turn = tilted(kit.u(-0.5, 0.5), kit.u(-0.5, 0.5), kit.u(-3, 3))
            out.add(
                shape,
                (at[0], at[1], at[2] + size * 0.1),
                (size, size * kit.u(0.6, 1), size * kit.u(0.5, 0.9)),
                ROCKS,
                stones[kit.count(0, 2)],
                tilt=turn,
            )
    for _ in range(kit.count(2, 14)):
        at = spot(NEAR * 0.45)
        if at is not None:
            building = house(kit, OTHERS, palette.paint(), palette.roof(), kit.u(7, 24), kit.u(6, 14), kit.u(3, 12))
            out.place(building, *at, kit.u(-3, 3))
    for x, y in road[:: kit.count(12, 30)]:
        z = terrain.height(x, y)
        out.add(Shape.CYLINDER, (x + 8, y, z + 3), (0.25, 0.25, 8), OTHERS, bark)


def _grow(out: Assembly, unit: Assembly, x: float, y: float, z: float, height: float, yaw: float) -> None:
    """Plant a tree of unit height, scaled to `height`."""
    bigger = Assembly()
    for p in unit.parts:
        center = (p.center[0] * height, p.center[1] * height, p.center[2] * height)
        size = (2 * p.half[0] * height, 2 * p.half[1] * height, 2 * p.half[2] * height)
        bigger.add(p.shape, center, size, p.label, p.material, p.yaw, p.tilt)
    out.place(bigger, x, y, z - 0.2, yaw)

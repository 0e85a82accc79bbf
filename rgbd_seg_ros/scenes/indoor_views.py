"""Where a camera may be in a furnished room: single views and smooth walks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.camera import Pose
from rgbd_seg_ros.scenes.floor_plan import FloorPlan
from rgbd_seg_ros.scenes.scene import Scene
from rgbd_seg_ros.scenes.trajectory import smooth_walk
from rgbd_seg_ros.scenes.view_score import classes_seen

_MARGIN = 0.25
CANDIDATES = 10
_WALKS = 5
_NEAREST_M = 0.1


@dataclass(frozen=True)
class IndoorPlanner:
    """Views of a room from heights that people and robots have."""

    plan: FloorPlan
    height: float

    def free_point(self, rng: np.random.Generator, z: float) -> tuple[float, float] | None:
        """A random place on the floor where a camera at height z fits."""
        for _ in range(40):
            x, y = rng.uniform(0, self.plan.width), rng.uniform(0, self.plan.depth)
            if self.plan.is_free_point(x, y, z, _MARGIN):
                return float(x), float(y)
        return None

    def eye_height(self, rng: np.random.Generator) -> float:
        """From a small robot's mast to a raised hand."""
        return float(min(np.clip(rng.normal(1.35, 0.35), 0.45, 2.1), self.height - 0.3))

    def sample_pose(self, scene: Scene, rng: np.random.Generator) -> Pose:
        """The most informative of a few random poses."""
        best, best_score = None, -math.inf
        for _ in range(CANDIDATES):
            z = self.eye_height(rng)
            at = self.free_point(rng, z)
            if at is None:
                continue
            pitch = rng.normal(-0.22 - 0.15 * (z - 1.2), 0.2)
            pose = Pose.looking(
                (*at, z), rng.uniform(-np.pi, np.pi), float(np.clip(pitch, -1.0, 0.5)), rng.normal(0, 0.05)
            )
            score = informative(scene, pose) + rng.uniform(0, 2.0)
            if score > best_score:
                best, best_score = pose, score
        if best is None:
            # A room full of furniture: look down on it from under the ceiling.
            middle = (self.plan.width / 2, self.plan.depth / 2, self.height - 0.25)
            best = Pose.looking(middle, float(rng.uniform(-np.pi, np.pi)), -0.6)
        return best

    def trajectory(self, scene: Scene, duration_s: float, rate_hz: float, rng: np.random.Generator) -> list[Pose]:
        """A walk through the room at 0.2 to 0.5 m/s."""
        z = float(np.clip(self.eye_height(rng), 0.9, self.height - 0.4))

        def is_free(points: npt.NDArray[np.float64]) -> bool:
            return all(self.plan.is_free_point(float(x), float(y), z - 0.02, _MARGIN - 0.05) for x, y in points)

        def draw() -> npt.NDArray[np.float64]:
            at = self.free_point(rng, z)
            return np.array(at if at is not None else (self.plan.width / 2, self.plan.depth / 2))

        def best_yaw(at: npt.NDArray[np.float64], around: float) -> float:
            yaws = around + rng.uniform(-1.3, 1.3, 8)
            scores = [informative(scene, Pose.looking((at[0], at[1], z), yaw, -0.25)) for yaw in yaws]
            return float(yaws[int(np.argmax(scores))])

        count = round(duration_s * rate_hz)
        for _ in range(_WALKS):
            walk = smooth_walk(draw, is_free, best_yaw, count, rate_hz, z, rng)
            # The floor plan does not know all that stands out beside and above furniture.
            glances = [classes_seen(scene, pose) for pose in walk[:: max(1, count // 60)]]
            if min(float(glance.distance.min()) for glance in glances) > _NEAREST_M:
                break
        return walk


def informative(scene: Scene, pose: Pose) -> float:
    """How much a view shows: many classes, none filling it, at a distance that depth sensors like."""
    seen = classes_seen(scene, pose)
    near = float((seen.distance < 0.6).mean())
    far = float(np.median(seen.distance))
    dominance = max(0.0, float(seen.shares.max()) - 0.25)
    return 1.3 * seen.count - 6 * near - 2 * max(0.0, 1.8 - far) - 5 * dominance

"""A finished world that can be viewed from any pose."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.scenes.camera import Camera, Pose
from rgbd_seg_ros.scenes.frame import RenderedFrame
from rgbd_seg_ros.scenes.lighting import Lighting
from rgbd_seg_ros.scenes.parts import SceneMesh
from rgbd_seg_ros.scenes.raycast import RayCaster
from rgbd_seg_ros.scenes.render import render_view


class ViewPlanner(Protocol):
    """Knows where a camera may be in a world."""

    def sample_pose(self, scene: Scene, rng: np.random.Generator) -> Pose:
        """A random pose from which something can be seen."""

    def trajectory(self, scene: Scene, duration_s: float, rate_hz: float, rng: np.random.Generator) -> list[Pose]:
        """A smooth motion through free space, one pose per frame."""


@dataclass(frozen=True)
class Scene:
    """Geometry, materials and light of one world; immutable.

    Attributes:
        world: `indoor`, `aerial` or `drone`.
        seed: what it was built from.
        label_set: classes of its labels.
        depth_range: (nearest, farthest) metres that the depth sensor of this world measures.
    """

    world: str
    seed: int
    label_set: LabelSet
    depth_range: tuple[float, float]
    mesh: SceneMesh = field(repr=False)
    materials: npt.NDArray[np.float32] = field(repr=False)
    lighting: Lighting = field(repr=False)
    planner: ViewPlanner = field(repr=False)
    sky: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    sky_label: int = UNLABELLED

    @cached_property
    def caster(self) -> RayCaster:
        """The ray caster over the scene's triangles."""
        return RayCaster(self.mesh.corners)

    def sample_pose(self, rng: np.random.Generator) -> Pose:
        """A random pose from which something can be seen."""
        return self.planner.sample_pose(self, rng)

    def trajectory(self, duration_s: float, rate_hz: float, seed: int) -> list[Pose]:
        """A smooth camera motion through free space: round(duration_s * rate_hz) poses."""
        return self.planner.trajectory(self, duration_s, rate_hz, np.random.default_rng(seed))

    def render(self, pose: Pose, camera: Camera) -> RenderedFrame:
        """What ideal sensors see: no noise, no holes, automatic exposure."""
        return render_view(
            self.caster, self.mesh, self.materials, self.lighting, pose, camera, self.sky, self.sky_label
        )

"""A finished world that can be viewed from any pose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.scenes.camera import Camera, Pose
from rgbd_seg_ros.scenes.depth_sensor import DepthSensor
from rgbd_seg_ros.scenes.frame import RenderedFrame
from rgbd_seg_ros.scenes.lighting import Lighting
from rgbd_seg_ros.scenes.parts import SceneMesh
from rgbd_seg_ros.scenes.raycast import RayCaster
from rgbd_seg_ros.scenes.render import Renderable, render_view


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
        depth_sensors: draws a depth sensor of the kind that suits this world.
        sky: linear RGB where nothing is hit, 3; None = black.
        sky_label: label where nothing is hit.
        haze: metres after which 63 % of a colour has faded into the sky; None = clear air.
    """

    world: str
    seed: int
    label_set: LabelSet
    depth_sensors: Callable[[np.random.Generator], DepthSensor] = field(repr=False)
    mesh: SceneMesh = field(repr=False)
    materials: npt.NDArray[np.float32] = field(repr=False)
    lighting: Lighting = field(repr=False)
    planner: ViewPlanner = field(repr=False)
    sky: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    sky_label: int = UNLABELLED
    haze: float | None = None

    @cached_property
    def caster(self) -> RayCaster:
        """The ray caster over the scene's triangles."""
        return RayCaster(self.mesh.corners)

    @cached_property
    def view(self) -> Renderable:
        """What the renderer needs of the scene."""
        return Renderable(self.caster, self.mesh, self.materials, self.lighting, self.sky, self.sky_label, self.haze)

    def sample_pose(self, rng: np.random.Generator) -> Pose:
        """A random pose from which something can be seen."""
        return self.planner.sample_pose(self, rng)

    def trajectory(self, duration_s: float, rate_hz: float, seed: int) -> list[Pose]:
        """A smooth camera motion through free space: round(duration_s * rate_hz) poses."""
        return self.planner.trajectory(self, duration_s, rate_hz, np.random.default_rng(seed))

    def render(self, pose: Pose, camera: Camera) -> RenderedFrame:
        """What ideal sensors see: no noise, no holes, automatic exposure."""
        return render_view(self.view, pose, camera)

"""A quick look at a scene from a pose, to choose between poses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.camera import Camera, Pose
from rgbd_seg_ros.scenes.scene import Scene

_PROBE = Camera.default(12, 9)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a coarse grid of rays hits.

    Attributes:
        shares: share of the view per label, sky included.
        distance: depth of every ray, metres; sky is very far.
    """

    shares: npt.NDArray[np.float64]
    distance: npt.NDArray[np.float32]

    @property
    def count(self) -> int:
        """Number of classes that fill more than 2 % of the view."""
        return int((self.shares > 0.02).sum())


def classes_seen(scene: Scene, pose: Pose) -> Glance:
    """Glance at a scene from a pose."""
    directions = _PROBE.rays() @ pose.rotation.T
    hits = scene.caster.closest(np.broadcast_to(pose.position, directions.shape), directions)
    found = hits.triangle >= 0
    label = np.where(found, scene.mesh.label[scene.mesh.part_of[np.maximum(hits.triangle, 0)]], scene.sky_label)
    distance = np.where(found, hits.distance, np.float32(1e6))
    return Glance(np.bincount(label, minlength=256) / label.size, distance)

"""Ray casting on embree (through embreex)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.errors import UserError

try:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene
except ImportError as error:
    raise UserError(
        f"rendered scenes need the ray caster embreex, which cannot be loaded ({error}): pip install embreex"
    ) from error

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hits:
    """First intersections of N rays.

    Attributes:
        triangle: N int32, -1 = nothing hit.
        distance: N float32 in lengths of the ray's direction vector.
        u, v: N float32 barycentric weights of the second and third corner.
    """

    triangle: npt.NDArray[np.int32] = field(repr=False)
    distance: Array = field(repr=False)
    u: Array = field(repr=False)
    v: Array = field(repr=False)


class RayCaster:
    """An embree scene over a triangle soup (T x 3 x 3 float32)."""

    def __init__(self, corners: Array) -> None:
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(corners, np.float32))

    def closest(self, origins: Array, directions: Array) -> Hits:
        """First intersection of each ray (N x 3 origins, N x 3 directions of any length)."""
        found = self._scene.run(np.ascontiguousarray(origins), np.ascontiguousarray(directions), output=True)
        return Hits(found["primID"], found["tfar"], found["u"], found["v"])

    def occluded(self, origins: Array, directions: Array, limits: Array) -> npt.NDArray[np.bool_]:
        """Whether anything lies on each ray within `limits` (N, lengths of the direction vector)."""
        found = self._scene.run(
            np.ascontiguousarray(origins),
            np.ascontiguousarray(directions),
            dists=np.ascontiguousarray(limits, np.float32),
            query="OCCLUDED",
        )
        return np.asarray(found) >= 0

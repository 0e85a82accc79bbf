"""Unit meshes inside the cube [-1, 1]^3 from which every object is composed."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


class Shape(enum.IntEnum):
    """The solids that objects are made of; axes of revolution are z. A BLOB is a coarse SPHERE, for tree crowns."""

    BOX = 0
    CYLINDER = 1
    CONE = 2
    SPHERE = 3
    CUSHION = 4
    PRISM = 5
    BLOB = 6


CONE_TOP = 0.55
"""Radius of the upper end of a CONE (a lamp shade, a pot upside down) over that of its lower end."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangle soup: corners T x 3 x 3 and the normal at each corner T x 3 x 3, float32."""

    corners: Array = field(repr=False)
    normals: Array = field(repr=False)


def grid_mesh(points: Array) -> Mesh:
    """Smooth mesh over a grid of points, rows x columns x 3; normals are (d/drow x d/dcolumn)."""
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = (normals / np.maximum(length, 1e-12)).astype(np.float32)
    return Mesh(_grid_triangles(points.astype(np.float32)), _grid_triangles(normals))


def _grid_triangles(values: Array) -> Array:
    a, b, c, d = values[:-1, :-1], values[1:, :-1], values[1:, 1:], values[:-1, 1:]
    lower, upper = np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)
    return np.concatenate([lower.reshape(-1, 3, 3), upper.reshape(-1, 3, 3)])


def _flat(corners: Array) -> Mesh:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    # The solids are convex and contain the origin, so the outward normal is the one that points away from it.
    outward = np.sign((normal * corners.mean(axis=1)).sum(axis=1, keepdims=True))
    normals = np.repeat((normal * outward)[:, None], 3, axis=1)
    return Mesh(corners.astype(np.float32), normals.astype(np.float32))


def _box() -> Mesh:
    faces = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            quad = np.zeros((4, 3))
            quad[:, axis] = side
            quad[:, (axis + 1) % 3] = (-1, 1, 1, -1)
            quad[:, (axis + 2) % 3] = (-1, -1, 1, 1)
            faces += [quad[[0, 1, 2]], quad[[0, 2, 3]]]
    return _flat(np.array(faces))


def _prism() -> Mesh:
    """A gable roof: a triangle in the y-z plane, extruded along x."""
    left = np.array([[-1, -1, -1], [-1, 1, -1], [-1, 0, 1]], float)
    right = left * (-1, 1, 1)
    faces = [left, right]
    for i in range(3):
        j = (i + 1) % 3
        faces += [np.stack([left[i], left[j], right[j]]), np.stack([left[i], right[j], right[i]])]
    return _flat(np.array(faces))


def _frustum(top: float, segments: int = 14) -> Mesh:
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.concatenate([ring, np.full((segments + 1, 1), -1.0)], axis=1)
    upper = np.concatenate([ring * top, np.full((segments + 1, 1), 1.0)], axis=1)
    side = _grid_triangles(np.stack([upper, lower]).astype(np.float32))
    outward = side.copy()
    outward[..., 2] = (1 - top) / 2
    outward[..., :2] /= np.maximum(np.linalg.norm(outward[..., :2], axis=-1, keepdims=True), 1e-6)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    caps = []
    for z, circle in ((-1.0, lower), (1.0, upper)):
        centre = np.broadcast_to(np.array([0.0, 0.0, z]), (segments, 3))
        caps.append(np.stack([centre, circle[:-1], circle[1:]], axis=1))
    flat = _flat(np.concatenate(caps))
    return Mesh(np.concatenate([side, flat.corners]), np.concatenate([outward, flat.normals]).astype(np.float32))


def _superellipsoid(power_z: float, power_xy: float, rings: int, segments: int) -> Mesh:
    """Rounded solid between ellipsoid (powers 1) and box (powers 0), after Barr (1981)."""

    def signed(value: npt.NDArray[np.float64], power: float) -> npt.NDArray[np.float64]:
        return np.sign(value) * np.abs(value) ** power

    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)[:, None]
    longitude = np.linspace(-np.pi, np.pi, segments + 1)[None]

    def surface(pz: float, pxy: float) -> npt.NDArray[np.float64]:
        ring = signed(np.cos(latitude), pz)
        x, y = ring * signed(np.cos(longitude), pxy), ring * signed(np.sin(longitude), pxy)
        return np.stack([x, y, np.broadcast_to(signed(np.sin(latitude), pz), x.shape)], axis=-1)

    normals = surface(2 - power_z, 2 - power_xy)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    points = surface(power_z, power_xy).astype(np.float32)
    return Mesh(_grid_triangles(points), _grid_triangles(normals.astype(np.float32)))


@lru_cache(maxsize=1)
def unit_meshes() -> dict[Shape, Mesh]:
    """The unit mesh of every shape."""
    return {
        Shape.BOX: _box(),
        Shape.CYLINDER: _frustum(1.0),
        Shape.CONE: _frustum(CONE_TOP),
        Shape.SPHERE: _superellipsoid(1.0, 1.0, 8, 12),
        Shape.CUSHION: _superellipsoid(0.45, 0.35, 8, 16),
        Shape.PRISM: _prism(),
        Shape.BLOB: _superellipsoid(1.0, 1.0, 5, 8),
    }

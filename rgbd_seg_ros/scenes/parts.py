"""Objects as lists of primitive parts, and their conversion into one triangle mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.primitives import Mesh, Shape, grid_mesh, unit_meshes

Array = npt.NDArray[np.float32]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """One primitive: a unit shape scaled to `half` sizes, tilted by `tilt` (3 x 3), then turned by `yaw` about z."""

    shape: Shape
    center: Triple
    half: Triple
    label: int
    material: int
    yaw: float = 0.0
    tilt: Array | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A smooth surface over a grid of points (rows x columns x 3, metres)."""

    points: Array = field(repr=False, compare=False)
    label: int
    material: int


def tilted(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    """Rotation matrix about x, then y, then z, radians."""
    cx, sx, cy, sy, cz, sz = math.cos(x), math.sin(x), math.cos(y), math.sin(y), math.cos(z), math.sin(z)
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (rz @ ry @ rx).astype(np.float32)


class Assembly:
    """An object under construction in its own frame: x right, y from back (0) to front, z up, metres."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.sheets: list[Sheet] = []

    def add(
        self,
        shape: Shape,
        center: Triple,
        size: Triple,
        label: int,
        material: int,
        yaw: float = 0.0,
        tilt: Array | None = None,
    ) -> None:
        """Add a primitive of full `size` around `center`."""
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        self.parts.append(Part(shape, center, half, label, material, yaw, tilt))

    def box(self, low: Triple, high: Triple, label: int, material: int) -> None:
        """Add an axis-aligned box between two corners."""
        center = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2)
        self.add(Shape.BOX, center, (high[0] - low[0], high[1] - low[1], high[2] - low[2]), label, material)

    def sheet(self, points: Array, label: int, material: int) -> None:
        """Add a smooth surface over a grid of points."""
        self.sheets.append(Sheet(points, label, material))

    def place(self, other: Assembly, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> None:
        """Add all parts of `other`, turned by `yaw` and moved to (x, y, z)."""
        c, s = math.cos(yaw), math.sin(yaw)
        for part in other.parts:
            px, py, pz = part.center
            center = (c * px - s * py + x, s * px + c * py + y, pz + z)
            self.parts.append(replace(part, center=center, yaw=part.yaw + yaw))
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
        for sheet in other.sheets:
            points = sheet.points @ turn.T + np.array([x, y, z], np.float32)
            self.sheets.append(replace(sheet, points=points))


@dataclass(frozen=True, slots=True)
class SceneMesh:
    """All triangles of a scene and, per part, what the shader needs.

    Attributes:
        corners, normals: T x 3 x 3 float32.
        part_of: T, index of the part a triangle belongs to.
        label: P uint8; material: P int64.
        center: P x 3; half: P x 3; axes: P x 3 x 3, columns are the part's axes in the world.
    """

    corners: Array = field(repr=False)
    normals: Array = field(repr=False)
    part_of: npt.NDArray[np.int64] = field(repr=False)
    label: npt.NDArray[np.uint8] = field(repr=False)
    material: npt.NDArray[np.int64] = field(repr=False)
    center: Array = field(repr=False)
    half: Array = field(repr=False)
    axes: Array = field(repr=False)


def _axes(parts: list[Part]) -> Array:
    yaw = np.array([p.yaw for p in parts], np.float32)
    axes = np.zeros((len(parts), 3, 3), np.float32)
    axes[:, 0, 0] = axes[:, 1, 1] = np.cos(yaw)
    axes[:, 1, 0] = np.sin(yaw)
    axes[:, 0, 1] = -axes[:, 1, 0]
    axes[:, 2, 2] = 1.0
    for i, part in enumerate(parts):
        if part.tilt is not None:
            axes[i] = axes[i] @ part.tilt
    return axes


def build_mesh(assembly: Assembly) -> SceneMesh:
    """One triangle mesh out of all parts and sheets of an assembly in world coordinates."""
    parts = sorted(assembly.parts, key=lambda p: p.shape)
    center = np.array([p.center for p in parts], np.float32).reshape(-1, 3)
    half = np.array([p.half for p in parts], np.float32).reshape(-1, 3)
    axes = _axes(parts)
    shapes = np.array([p.shape for p in parts], np.int64)
    corners, normals, owners = [], [], []
    for shape, unit in unit_meshes().items():
        which = np.flatnonzero(shapes == shape)
        if which.size == 0:
            continue
        piece = _instances(unit, center[which], half[which], axes[which])
        corners.append(piece.corners)
        normals.append(piece.normals)
        owners.append(np.repeat(which, len(unit.corners)))
    for i, sheet in enumerate(assembly.sheets):
        piece = grid_mesh(sheet.points)
        corners.append(piece.corners)
        normals.append(piece.normals)
        owners.append(np.full(len(piece.corners), len(parts) + i))
    sheets = assembly.sheets
    identity = np.broadcast_to(np.eye(3, dtype=np.float32), (len(sheets), 3, 3))
    middle = np.array([(s.points.min((0, 1)) + s.points.max((0, 1))) / 2 for s in sheets], np.float32)
    extent = np.array([np.ptp(s.points, axis=(0, 1)) / 2 for s in sheets], np.float32)
    return SceneMesh(
        np.concatenate(corners),
        np.concatenate(normals),
        np.concatenate(owners).astype(np.int64),
        np.array([p.label for p in parts] + [s.label for s in sheets], np.uint8),
        np.array([p.material for p in parts] + [s.material for s in sheets], np.int64),
        np.concatenate([center, middle.reshape(-1, 3)]),
        np.maximum(np.concatenate([half, extent.reshape(-1, 3)]), 1e-4),
        np.concatenate([axes, identity]),
    )


def _instances(unit: Mesh, center: Array, half: Array, axes: Array) -> Mesh:
    turn = axes.transpose(0, 2, 1)
    corners = (unit.corners.reshape(1, -1, 3) * half[:, None]) @ turn + center[:, None]
    # A normal transforms with the inverse of the scale.
    normals = unit.normals.reshape(1, -1, 3) / half[:, None]
    normals /= np.sqrt(np.einsum("pki,pki->pk", normals, normals))[..., None]
    normals = normals @ turn
    return Mesh(np.asarray(corners, np.float32).reshape(-1, 3, 3), np.asarray(normals, np.float32).reshape(-1, 3, 3))

"""Materials as rows of a table, evaluated for all hit points of an image at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.parts import SceneMesh
from rgbd_seg_ros.scenes.patterns import pattern_bank, pattern_index
from rgbd_seg_ros.scenes.pictures import picture_bank, picture_index

Array = npt.NDArray[np.float32]
Color = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Material:
    """A surface: two linear colours mixed by a pattern, darkened by a second pattern.

    Attributes:
        a, b: linear RGB reflectances, 0..1.
        pattern: index in the pattern bank; `period` metres per tile, turned by `angle` radians.
        grime: index of the second pattern, `grime_period` metres, darkening by up to `grime_depth`.
        picture: index in the picture bank, stretched over each face of the part instead of the pattern; -1 = none.
        gloss: 0 matt .. 1 mirror-like highlights.
        emission: light given off, times the colour.
        infrared: share of infrared light returned relative to an ordinary surface of this brightness.
    """

    a: Color
    b: Color
    pattern: int = 0
    period: float = 1.0
    angle: float = 0.0
    grime: int = 0
    grime_period: float = 2.0
    grime_depth: float = 0.0
    picture: int = -1
    gloss: float = 0.0
    emission: float = 0.0
    infrared: float = 1.0

    def row(self, shift: tuple[float, float]) -> tuple[float, ...]:
        """The material as a row of `MaterialTable`; `shift` moves the pattern (tiles)."""
        return (
            self.pattern, self.grime, self.picture,
            math.cos(self.angle) / self.period, math.sin(self.angle) / self.period, *shift,
            *self.a, *self.b, 1 / self.grime_period, self.grime_depth, self.gloss, self.emission, self.infrared,
            1 / self.period,
        )  # fmt: skip


class MaterialTable:
    """The materials of one scene."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._rows: list[tuple[float, ...]] = []

    def add(self, material: Material) -> int:
        """Index of a new material; its pattern is shifted at random."""
        shift = (float(self._rng.random()), float(self._rng.random()))
        self._rows.append(material.row(shift))
        return len(self._rows) - 1

    def rows(self) -> Array:
        """All rows, M x 19 float32."""
        return np.array(self._rows, np.float32)


@dataclass(frozen=True, slots=True)
class Shaded:
    """Surface properties at N hit points: albedo N x 3 linear, emission N, gloss N, infrared N."""

    albedo: Array = field(repr=False)
    emission: Array = field(repr=False)
    gloss: Array = field(repr=False)
    infrared: Array = field(repr=False)


def evaluate(
    table: Array, mesh: SceneMesh, part: npt.NDArray[np.int64], points: Array, normals: Array, footprint: Array
) -> Shaded:
    """Surface properties of N hit points.

    Args:
        table: `MaterialTable.rows()`.
        mesh: the scene.
        part: N part indices.
        points: N x 3 world positions, metres.
        normals: N x 3 world normals.
        footprint: N, metres that one pixel covers on the surface.
    """
    axes = mesh.axes[part]
    local = np.einsum("nij,ni->nj", axes, points - mesh.center[part])
    facing = np.abs(np.einsum("nij,ni->nj", axes, normals))
    material = mesh.material[part]
    row = table[material].T
    across, up = _face_coordinates(local, facing)
    cos, sin = row[3], row[4]
    u, v = cos * across + sin * up + row[5], cos * up - sin * across + row[6]
    bank = pattern_bank()
    mix = bank.look_up(row[0].astype(np.int64), u, v, footprint * row[18])[:, None]
    albedo = row[7:10].T * (1 - mix) + row[10:13].T * mix
    grime = bank.look_up(row[1].astype(np.int64), across * row[13], up * row[13], footprint * row[13])
    albedo *= (1 - row[14] * grime)[:, None]
    pictured = np.flatnonzero(row[2] >= 0)
    if pictured.size:
        albedo[pictured] = _picture(mesh, row, part, local, facing, footprint, pictured)
    infrared = row[17] * (0.35 + 0.65 * albedo.mean(axis=1))
    return Shaded(albedo, row[16], row[15], infrared)


def _face_coordinates(local: Array, facing: Array) -> tuple[Array, Array]:
    """Coordinates along the face that a normal belongs to (box projection)."""
    sideways = (facing[:, 0] > facing[:, 1]) & (facing[:, 0] > facing[:, 2])
    level = (facing[:, 2] >= facing[:, 0]) & (facing[:, 2] > facing[:, 1])
    across = np.where(sideways, local[:, 1], local[:, 0])
    up = np.where(level, local[:, 1], local[:, 2])
    return across, up


def _picture(
    mesh: SceneMesh,
    row: Array,
    part: npt.NDArray[np.int64],
    local: Array,
    facing: Array,
    footprint: Array,
    which: npt.NDArray[np.int64],
) -> Array:
    half = mesh.half[part[which]]
    across, up = _face_coordinates(local[which] / half, facing[which])
    width, _ = _face_coordinates(half, facing[which])
    u, v = _inside((across + 1) / 2), _inside((1 - up) / 2)
    color = picture_bank().look_up(row[2, which].astype(np.int64), u, v, footprint[which] / (2 * width))
    return color * row[7:10, which].T


def _inside(values: npt.NDArray[np.floating]) -> Array:
    return np.minimum(np.maximum(values, 0), 0.999).astype(np.float32)


__all__ = ["Color", "Material", "MaterialTable", "Shaded", "evaluate", "pattern_index", "picture_index"]

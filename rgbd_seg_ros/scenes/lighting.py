"""Direct light with soft shadows and ambient light with occlusion, one shadow ray per pixel and light."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.raycast import RayCaster

Array = npt.NDArray[np.float32]

_OFFSET = 0.004
"""Metres by which shadow rays start above the surface, so that it does not shadow itself."""
_DITHER_SIDE = 64


@dataclass(frozen=True, slots=True)
class Light:
    """A round lamp, or the sun when `distant`: then `position` is the direction towards it (unit vector).

    Attributes:
        position: metres, or direction.
        color: linear RGB strength; a lamp's light falls off with the square of the distance.
        radius: metres (lamp) or radians (sun): the larger, the softer its shadows.
    """

    position: tuple[float, float, float]
    color: tuple[float, float, float]
    radius: float = 0.1
    distant: bool = False


@dataclass(frozen=True, slots=True)
class Lighting:
    """All light of a scene: lamps, and ambient light from above and from below, linear RGB."""

    lights: tuple[Light, ...]
    above: tuple[float, float, float]
    below: tuple[float, float, float]
    occlusion_reach: float = 0.8
    occlusion_depth: float = field(default=0.75)


@lru_cache(maxsize=4)
def _dither() -> Array:
    """Fixed random unit vectors in a tile, 64 x 64 x 3; the same in every frame, so that streams do not flicker."""
    vectors = np.random.default_rng(5).standard_normal((_DITHER_SIDE, _DITHER_SIDE, 3))
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def dither(height: int, width: int) -> Array:
    """Random unit vectors, (height*width) x 3."""
    repeats = (-(-height // _DITHER_SIDE), -(-width // _DITHER_SIDE), 1)
    return np.tile(_dither(), repeats)[:height, :width].reshape(-1, 3)


def illuminate(
    caster: RayCaster,
    lighting: Lighting,
    points: Array,
    normals: Array,
    view: Array,
    gloss: Array,
    size: tuple[int, int],
) -> tuple[Array, Array]:
    """Light that arrives at N = height*width surface points: (diffuse N x 3, highlights N x 3).

    `view` are unit vectors from the points towards the camera; `normals` face the camera.
    """
    random = dither(*size)
    start = points + normals * np.float32(_OFFSET)
    diffuse = _ambient(caster, lighting, start, normals, random, size)
    shine = np.zeros_like(diffuse)
    glossy = np.flatnonzero(gloss > 0.05)
    for light in lighting.lights:
        # Other random directions for every light, or their grain would add up.
        random = np.roll(random, 1009, axis=0)
        towards, strength = _towards(light, points)
        facing = np.einsum("ni,ni->n", normals, towards)
        lit = _smooth(_unshadowed(caster, light, start, facing, points, random), size, 5)
        received = (np.maximum(facing, 0) * strength * lit)[:, None] * np.array(light.color, np.float32)
        diffuse += received
        if glossy.size:
            half = towards[glossy] + view[glossy]
            half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
            angle = np.maximum(np.einsum("ni,ni->n", half, normals[glossy]), 0)
            sharp = 8 + 120 * gloss[glossy]
            spot = gloss[glossy] * angle**sharp * strength[glossy] * lit[glossy]
            shine[glossy] += spot[:, None] * np.array(light.color, np.float32)
    return diffuse, shine


def estimate(lighting: Lighting, points: Array, normals: Array) -> Array:
    """Light that arrives at N points (N x 3) if nothing casts shadows: good enough for what mirrors show."""
    upward = 0.5 + 0.5 * normals[:, 2:3]
    total = upward * np.array(lighting.above, np.float32) + (1 - upward) * np.array(lighting.below, np.float32)
    for light in lighting.lights:
        towards, strength = _towards(light, points)
        facing = np.maximum(np.einsum("ni,ni->n", normals, towards), 0) * strength
        total += facing[:, None] * np.array(light.color, np.float32)
    return total


def _towards(light: Light, points: Array) -> tuple[Array, Array]:
    position = np.array(light.position, np.float32)
    if light.distant:
        return np.broadcast_to(position, points.shape), np.ones(len(points), np.float32)
    towards = position - points
    square = np.einsum("ni,ni->n", towards, towards)
    towards /= np.sqrt(np.maximum(square, 1e-6))[:, None]
    return towards, 1 / (square + np.float32(0.3))


def _unshadowed(caster: RayCaster, light: Light, start: Array, facing: Array, points: Array, random: Array) -> Array:
    """Whether a random point of the lamp is seen from each point: 0 or 1."""
    lit = np.zeros(len(start), np.float32)
    seen = np.flatnonzero(facing > 0)
    if seen.size == 0:
        return lit
    towards = np.array(light.position, np.float32) + random[seen] * np.float32(light.radius)
    if light.distant:
        limits = np.full(seen.size, 1e4, np.float32)
    else:
        # Stop short of the lamp: its own body must not shadow it.
        towards -= points[seen]
        gap = np.sqrt(np.einsum("ni,ni->n", towards, towards))
        limits = np.maximum(1 - np.float32(light.radius + 0.12) / np.maximum(gap, 1e-3), 1e-3)
    lit[seen] = ~caster.occluded(start[seen], towards, limits)
    return lit


def _ambient(
    caster: RayCaster, lighting: Lighting, start: Array, normals: Array, random: Array, size: tuple[int, int]
) -> Array:
    # Normal plus a random unit vector is cosine-distributed about the normal.
    directions = normals + random * np.float32(0.999)
    limits = lighting.occlusion_reach / np.maximum(np.linalg.norm(directions, axis=1), 1e-3)
    open_sky = 1 - caster.occluded(start, directions, limits).astype(np.float32)
    open_sky = _smooth(open_sky, size, 7)
    open_sky = 1 - np.float32(lighting.occlusion_depth) * (1 - open_sky)
    upward = 0.5 + 0.5 * normals[:, 2:3]
    above, below = np.array(lighting.above, np.float32), np.array(lighting.below, np.float32)
    return (upward * above + (1 - upward) * below) * open_sky[:, None]


def _smooth(values: Array, size: tuple[int, int], window: int) -> Array:
    """Average over a window that grows with the image, to turn one random ray per pixel into soft shading."""
    window = max(window, int(window * size[1] / 320) | 1)
    return np.asarray(cv2.blur(values.reshape(size), (window, window)), np.float32).reshape(-1)

"""From a scene, a pose and a camera to an ideal RGB-D view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.scenes.camera import Camera, Pose
from rgbd_seg_ros.scenes.frame import RenderedFrame, Surface
from rgbd_seg_ros.scenes.lighting import Lighting, estimate, illuminate
from rgbd_seg_ros.scenes.materials import evaluate
from rgbd_seg_ros.scenes.parts import SceneMesh
from rgbd_seg_ros.scenes.raycast import RayCaster

Array = npt.NDArray[np.float32]

MIDDLE_GREY = 0.2
"""Linear value to which the automatic exposure brings the average of an image."""


_MIRRORS = 0.35
"""Gloss above which what a surface mirrors is traced."""


@lru_cache(maxsize=1)
def _gamma_table() -> npt.NDArray[np.uint8]:
    """sRGB transfer function (IEC 61966-2-1) of 4096 linear steps."""
    linear = np.arange(4096) / 4095
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * curve).astype(np.uint8)


def to_srgb(linear: Array) -> npt.NDArray[np.uint8]:
    """Linear light 0..1 (clipped) to 8-bit sRGB."""
    return _gamma_table()[(np.clip(linear, 0, 1) * 4095 + 0.5).astype(np.int16)]


def exposure_of(radiance: Array) -> float:
    """Gain that brings the average image to middle grey; lights themselves count little."""
    return MIDDLE_GREY / max(float(np.minimum(radiance, 4 * radiance.mean()).mean()), 1e-4)


@dataclass(frozen=True, slots=True)
class Renderable:
    """Geometry, materials and light, and what is seen where a ray hits nothing (see `Scene`)."""

    caster: RayCaster
    mesh: SceneMesh
    materials: Array
    lighting: Lighting
    sky: Array | None = None
    sky_label: int = UNLABELLED
    haze: float | None = None


def render_view(world: Renderable, pose: Pose, camera: Camera) -> RenderedFrame:
    """Render what ideal sensors at `pose` would see; rays that hit nothing give depth 0 and the sky."""
    caster, mesh, materials, lighting = world.caster, world.mesh, world.materials, world.lighting
    size = (camera.height, camera.width)
    directions = camera.rays() @ pose.rotation.T
    origins = np.broadcast_to(pose.position, directions.shape)
    hits = caster.closest(origins, directions)
    missed = hits.triangle < 0
    triangle = np.where(missed, 0, hits.triangle)
    depth = np.where(missed, 0, hits.distance).astype(np.float32)
    part = mesh.part_of[triangle]
    points = pose.position + directions * depth[:, None]
    length = np.sqrt(np.einsum("ni,ni->n", directions, directions))
    view = -directions / length[:, None]
    normals, cosine = _facing_normals(mesh, triangle, hits.u, hits.v, view)
    footprint = depth * length / (camera.fx * np.sqrt(np.maximum(cosine, 0.05)))
    shaded = evaluate(materials, mesh, part, points, normals, footprint)
    diffuse, shine = illuminate(caster, lighting, points, normals, view, shaded.gloss, size)
    radiance = shaded.albedo * (diffuse + shaded.emission[:, None]) + shine
    mirrors = np.flatnonzero((shaded.gloss > _MIRRORS) & ~missed)
    if mirrors.size:
        share = _reflectance(shaded.gloss[mirrors], cosine[mirrors])[:, None]
        seen = _reflected(world, points[mirrors], normals[mirrors], view[mirrors], footprint[mirrors])
        radiance[mirrors] = (1 - share) * radiance[mirrors] + share * seen
    label = mesh.label[part]
    sky = np.zeros(3, np.float32) if world.sky is None else world.sky
    if world.haze is not None:
        clear = np.exp(-depth * length / np.float32(world.haze))[:, None]
        radiance = clear * radiance + (1 - clear) * sky
    if missed.any():
        # The sky brightens towards the horizon.
        radiance[missed] = sky * (0.7 + 0.3 * np.exp(-4 * np.abs(view[missed, 2:3])))
        label = np.where(missed, np.uint8(world.sky_label), label)
    radiance = radiance.reshape(*size, 3)
    surface = Surface(radiance, cosine.reshape(size), shaded.infrared.reshape(size), shaded.gloss.reshape(size))
    return RenderedFrame(
        to_srgb(radiance * exposure_of(radiance)), depth.reshape(size), label.reshape(size), camera, surface
    )


def _reflectance(gloss: Array, cosine: Array) -> Array:
    """Mirror-like share of the light, after Schlick (1994), from almost none (gloss below 0.6) to 0.8."""
    straight = 0.8 * gloss**6
    return np.asarray(straight + (gloss**2 - straight) * (1 - cosine) ** 5, np.float32)


def _reflected(world: Renderable, points: Array, normals: Array, view: Array, footprint: Array) -> Array:
    """Light (N x 3) that arrives at N mirror points from where they reflect the camera's rays to."""
    away = 2 * np.einsum("ni,ni->n", view, normals)[:, None] * normals - view
    mesh, lighting = world.mesh, world.lighting
    hits = world.caster.closest(points + normals * np.float32(0.004), away)
    triangle = np.maximum(hits.triangle, 0)
    part = mesh.part_of[triangle]
    reached = points + away * np.minimum(hits.distance, 1e4)[:, None]
    facing, _ = _facing_normals(mesh, triangle, hits.u, hits.v, -away)
    shaded = evaluate(world.materials, mesh, part, reached, facing, footprint * 2)
    light = shaded.albedo * (estimate(lighting, reached, facing) + shaded.emission[:, None])
    return np.where(hits.triangle[:, None] >= 0, light, np.array(lighting.above, np.float32))


def _facing_normals(
    mesh: SceneMesh, triangle: npt.NDArray[np.int32], u: Array, v: Array, view: Array
) -> tuple[Array, Array]:
    corner = mesh.normals[triangle]
    weights = np.stack([1 - u - v, u, v], axis=1)
    normals = np.einsum("nk,nki->ni", weights, corner)
    normals /= np.maximum(np.sqrt(np.einsum("ni,ni->n", normals, normals)), 1e-6)[:, None]
    cosine = np.einsum("ni,ni->n", normals, view)
    normals *= np.where(cosine < 0, np.float32(-1), np.float32(1))[:, None]
    return normals, np.abs(cosine)

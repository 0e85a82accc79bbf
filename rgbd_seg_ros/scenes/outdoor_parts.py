"""Outdoor objects that the aerial and the drone world share: trees, houses, cars, sun and sky."""

from __future__ import annotations

import math

import numpy as np

from rgbd_seg_ros.scenes.furniture_kit import Kit
from rgbd_seg_ros.scenes.lighting import Light, Lighting
from rgbd_seg_ros.scenes.parts import Assembly, tilted
from rgbd_seg_ros.scenes.primitives import Shape


def tree(kit: Kit, label: int, crown: int, bark: int, height: float) -> Assembly:
    """A broad-leaved or conifer tree, standing at the origin."""
    out = Assembly()
    wide = height * kit.u(0.4, 0.8)
    out.add(Shape.CYLINDER, (0, 0, height * 0.25), (height * 0.05, height * 0.05, height * 0.5), label, bark)
    if kit.chance(0.3):
        out.add(Shape.CONE, (0, 0, height * 0.4), (wide * 0.8, wide * 0.8, height * 0.5), label, crown)
        out.add(Shape.CONE, (0, 0, height * 0.8), (wide * 0.42, wide * 0.42, height * 0.4), label, crown)
        return out
    for _ in range(kit.count(3, 7)):
        x, y, z = kit.u(-0.25, 0.25) * wide, kit.u(-0.25, 0.25) * wide, height * kit.u(0.5, 0.85)
        size = wide * kit.u(0.45, 0.8)
        turn = tilted(kit.u(-1, 1), kit.u(-1, 1), 0)
        out.add(Shape.BLOB, (x, y, z), (size, size * kit.u(0.7, 1), size * kit.u(0.6, 1)), label, crown, tilt=turn)
    return out


def house(kit: Kit, label: int, wall: int, roof: int, width: float, depth: float, height: float) -> Assembly:
    """A box with a gable or flat roof, chimney and dormers; centred on the origin."""
    out = Assembly()
    out.box((-width / 2, -depth / 2, -3), (width / 2, depth / 2, height), label, wall)
    if kit.chance(0.6):
        rise = depth * kit.u(0.2, 0.5)
        out.add(Shape.PRISM, (0, 0, height + rise / 2), (width + 0.8, depth + 0.8, rise), label, roof)
        if kit.chance(0.5):
            out.add(
                Shape.BOX, (width * kit.u(-0.3, 0.3), depth * 0.15, height + rise * 0.8), (0.8, 0.8, 1.6), label, wall
            )
        return out
    out.box((-width / 2 - 0.2, -depth / 2 - 0.2, height), (width / 2 + 0.2, depth / 2 + 0.2, height + 0.4), label, roof)
    for _ in range(kit.count(0, 4)):
        x, y = kit.u(-0.35, 0.35) * width, kit.u(-0.35, 0.35) * depth
        out.add(Shape.BOX, (x, y, height + 0.8), (kit.u(1, 3), kit.u(1, 3), kit.u(0.6, 2)), label, wall)
    return out


def car(kit: Kit, label: int, paint: int, glass: int) -> Assembly:
    """A car of usual size along x, standing at the origin."""
    out = Assembly()
    long, wide, tall = kit.u(3.8, 4.9), kit.u(1.7, 1.95), kit.u(1.35, 1.8)
    out.add(Shape.CUSHION, (0, 0, 0.55), (long, wide, 0.8), label, paint)
    out.add(Shape.CUSHION, (-0.2, 0, 1.0), (long * 0.55, wide * 0.9, tall - 0.75), label, glass)
    out.add(Shape.BOX, (-0.2, 0, tall - 0.1), (long * 0.36, wide * 0.72, 0.06), label, paint)
    return out


def sun_and_sky(kit: Kit) -> tuple[Lighting, np.ndarray]:
    """Lighting from overcast to bright sun, and the colour of the sky (linear RGB)."""
    azimuth, altitude = kit.u(-math.pi, math.pi), kit.u(0.35, 1.35)
    towards = (math.cos(azimuth) * math.cos(altitude), math.sin(azimuth) * math.cos(altitude), math.sin(altitude))
    strength = kit.u(0.8, 3.0) if kit.chance(0.75) else 0.0
    clear = kit.u(0.0, 0.5)
    sky = np.array([0.85 - 0.5 * clear, 0.9 - 0.25 * clear, 1.0], np.float32) * kit.u(0.6, 1.3)
    sun = Light(towards, (strength, strength * 0.95, strength * 0.85), kit.u(0.01, 0.06), distant=True)
    red, green, blue = (float(c) for c in sky)
    above, below = (0.55 * red, 0.55 * green, 0.55 * blue), (0.2 * red, 0.2 * green, 0.2 * blue)
    lights = (sun,) if strength else ()
    return Lighting(lights, above, below, occlusion_reach=4.0, occlusion_depth=0.7), sky

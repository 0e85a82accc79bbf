"""Rendered RGB-D worlds with exact labels, and models of colour and depth sensors.

Names are imported on first use, so that a program that only needs `Camera` does not load the ray caster.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rgbd_seg_ros.scenes.api import WORLDS, build_scene, generate_samples, render_sample, render_sequence
    from rgbd_seg_ros.scenes.camera import Camera, Pose
    from rgbd_seg_ros.scenes.color_sensor import ColorSensor
    from rgbd_seg_ros.scenes.depth_sensor import DepthSensor
    from rgbd_seg_ros.scenes.frame import RenderedFrame, Surface
    from rgbd_seg_ros.scenes.scene import Scene

__all__ = [
    "WORLDS", "Camera", "ColorSensor", "DepthSensor", "Pose", "RenderedFrame", "Scene", "Surface", "build_scene",
    "generate_samples", "render_sample", "render_sequence",
]  # fmt: skip

_HOMES = {
    "WORLDS": "api", "build_scene": "api", "generate_samples": "api", "render_sample": "api", "render_sequence": "api",
    "Camera": "camera", "Pose": "camera", "ColorSensor": "color_sensor", "DepthSensor": "depth_sensor",
    "RenderedFrame": "frame", "Surface": "frame", "Scene": "scene",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

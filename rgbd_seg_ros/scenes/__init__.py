"""Rendered RGB-D worlds with exact labels, and models of colour and depth sensors."""

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

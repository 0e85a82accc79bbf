"""Pinhole camera and pose. World frame: z up, metres. Camera frame: x right, y down, z forward (ROS optical)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.intrinsics import Intrinsics

Array = npt.NDArray[np.float32]

DEFAULT_FOCAL_PER_WIDTH = 0.85
"""Focal length over image width of the default camera: between NYU's Kinect (0.81) and 7-Scenes' (0.91)."""


@dataclass(frozen=True, slots=True)
class Camera(Intrinsics):
    """A camera that scenes are rendered with."""

    @classmethod
    def default(cls, width: int = 640, height: int = 480) -> Camera:
        """A Kinect-like camera (about 61 degrees wide) at any image size."""
        focal = DEFAULT_FOCAL_PER_WIDTH * width
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    def zoomed(self, factor: float) -> Camera:
        """The same image size with both focal lengths multiplied by `factor`."""
        return Camera(self.width, self.height, self.fx * factor, self.fy * factor, self.cx, self.cy)

    def rays(self) -> Array:
        """Viewing rays, (height*width) x 3 in the camera frame with z = 1, so that ray length is depth."""
        x = (np.arange(self.width, dtype=np.float32) - np.float32(self.cx)) / np.float32(self.fx)
        y = (np.arange(self.height, dtype=np.float32) - np.float32(self.cy)) / np.float32(self.fy)
        rays = np.empty((self.height, self.width, 3), np.float32)
        rays[..., 0] = x
        rays[..., 1] = y[:, None]
        rays[..., 2] = 1.0
        return rays.reshape(-1, 3)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a camera is: `position` (3,) metres and `rotation` 3 x 3, camera frame to world frame."""

    position: Array = field(compare=False)
    rotation: Array = field(compare=False)

    @classmethod
    def looking(cls, position: npt.ArrayLike, yaw: float, pitch: float, roll: float = 0.0) -> Pose:
        """Pose from heading `yaw` (0 = +x, counter-clockwise), `pitch` (up positive) and `roll`, radians."""
        cos_p = math.cos(pitch)
        forward = np.array([math.cos(yaw) * cos_p, math.sin(yaw) * cos_p, math.sin(pitch)])
        right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
        down = np.cross(forward, right)
        cos_r, sin_r = math.cos(roll), math.sin(roll)
        x_axis, y_axis = cos_r * right + sin_r * down, cos_r * down - sin_r * right
        rotation = np.stack([x_axis, y_axis, forward], axis=1).astype(np.float32)
        return cls(np.asarray(position, np.float32), rotation)

    def matrix(self) -> npt.NDArray[np.float64]:
        """4 x 4 camera-to-world transform."""
        out = np.eye(4)
        out[:3, :3] = self.rotation
        out[:3, 3] = self.position
        return out

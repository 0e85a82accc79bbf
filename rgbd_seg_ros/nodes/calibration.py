"""The camera's calibration: from camera_info to pinhole parameters, and to the camera_info of other images."""

from __future__ import annotations

import math

from sensor_msgs.msg import CameraInfo

from rgbd_seg_ros.core.intrinsics import Intrinsics, scaled_centre
from rgbd_seg_ros.nodes.messages import stamp_from_ns


def intrinsics_of(msg: CameraInfo) -> Intrinsics | None:
    """The rectified projection P where it is filled in, else K; None for an uncalibrated camera (fx = 0).

    Raises:
        ValueError: the message says something else that no camera can have; the text names it.
    """
    fx, fy, cx, cy = msg.p[0], msg.p[5], msg.p[2], msg.p[6]
    if fx == 0.0:
        fx, fy, cx, cy = msg.k[0], msg.k[4], msg.k[2], msg.k[5]
    if fx == 0.0:
        return None
    if not all(map(math.isfinite, (fx, fy, cx, cy))) or fx < 0.0 or fy <= 0.0:
        raise ValueError(f"focal length ({fx:g}, {fy:g}) and centre ({cx:g}, {cy:g}) are not those of a camera")
    if msg.width == 0 or msg.height == 0:
        raise ValueError(f"the image size is {msg.width} x {msg.height}")
    return Intrinsics(msg.width, msg.height, fx, fy, cx, cy)


def camera_info_message(camera: Intrinsics, stamp_ns: int, frame_id: str) -> CameraInfo:
    """The camera_info of an ideal pinhole camera."""
    message = CameraInfo(height=camera.height, width=camera.width, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    message.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def camera_info_for(camera: CameraInfo, size: tuple[int, int], stamp_ns: int, frame_id: str) -> CameraInfo:
    """The calibration in `camera` for an image of another (height, width), stamp and frame.

    K and P scale with the size (pixel centres at whole numbers); distortion and rectification, of rays, stay.
    """
    height, width = size
    message = CameraInfo(height=height, width=width, distortion_model=camera.distortion_model, d=camera.d, r=camera.r)
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    x, y = width / (camera.width or width), height / (camera.height or height)
    k, p = camera.k.copy(), camera.p.copy()
    for matrix, columns in ((k, 3), (p, 4)):
        if matrix[0] == 0.0:
            continue  # not calibrated
        matrix[0], matrix[1], matrix[2] = matrix[0] * x, matrix[1] * x, scaled_centre(matrix[2], x)
        matrix[columns + 1], matrix[columns + 2] = matrix[columns + 1] * y, scaled_centre(matrix[columns + 2], y)
    p[3], p[7] = p[3] * x, p[7] * y
    message.k, message.p = k, p
    return message

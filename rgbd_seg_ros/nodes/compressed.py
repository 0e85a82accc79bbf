"""Payloads of `sensor_msgs/CompressedImage`: compressed colour, and depth as the data sets decode it. Needs no ROS."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.datasets.compressed_depth import decode_compressed_depth, read_image

__all__ = ["decode_compressed_color", "decode_compressed_depth"]


def decode_compressed_color(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A JPEG, PNG or other image file as RGB uint8 H x W x 3.

    Raises:
        DecodeError: no bytes, or none that OpenCV reads as an image.
    """
    image = read_image(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)

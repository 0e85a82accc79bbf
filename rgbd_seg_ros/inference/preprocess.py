"""Camera images to network inputs and network labels to image size, with no copy that can be avoided.

Normalisation is part of the graph; here is only what needs the camera's own size, type and unit.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[Any]
_NO_READING = 65535  # what several drivers write where a 16-bit depth camera saw nothing


class InputBuffers:
    """Preallocated network inputs; every call overwrites what the last one of the same sensor returned.

    Args:
        height, width: network size in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = (width, height)
        self._rgb = np.zeros((1, height, width, 3), np.uint8)
        self._depth = np.zeros((1, height, width), np.float32)

    def color(self, image: Image) -> Image:
        """uint8 H x W x 3 RGB of any size to uint8 1 x height x width x 3, by area averaging.

        An image of network size is passed on as it is, without a copy.

        Raises:
            ValueError: `image` is not uint8 H x W x 3.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"colour image is {image.dtype} {image.shape}, needs uint8 (height, width, 3)")
        width, height = self._size
        if image.shape[:2] == (height, width):
            return np.ascontiguousarray(image)[np.newaxis]
        shrinking = image.shape[0] >= height and image.shape[1] >= width
        # INTER_AREA on enlargement repeats pixels: linear is meant then.
        cv2.resize(image, self._size, dst=self._rgb[0], interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
        return self._rgb

    def depth(self, image: Image, metres_per_unit: float) -> Image:
        """Depth H x W of any size, uint16 or float32, to float32 metres 1 x height x width, 0 = missing.

        The nearest pixel is taken, so that no depth is made up between two surfaces. NaN, infinity, negative values
        and 65535 of 16-bit images become 0.

        Raises:
            ValueError: `image` is not uint16 or float32 H x W.
        """
        if image.dtype not in (np.uint16, np.float32) or image.ndim != 2:
            raise ValueError(f"depth image is {image.dtype} {image.shape}, needs uint16 or float32 (height, width)")
        if image.shape != self._size[::-1]:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_NEAREST_EXACT)
        out = self._depth[0]
        if image.dtype == np.uint16:
            np.multiply(image, np.float32(metres_per_unit), out=out)
            out[image == _NO_READING] = 0
            return self._depth
        np.fmax(image, np.float32(0), out=out)  # fmax, unlike maximum, prefers 0 to NaN
        out[np.isinf(out)] = 0
        out *= np.float32(metres_per_unit)
        return self._depth


def to_image_size(plane: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """`plane` h x w uint8 at `size` (height, width) by nearest neighbour; always memory of its own."""
    if plane.shape == size:
        return plane.copy()
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)

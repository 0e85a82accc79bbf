"""Depth payloads of `sensor_msgs/CompressedImage`, PNG and `compressedDepth` (PNG or RVL), for the node and for bags.

Needs no ROS.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.datasets.rvl import decode_rvl

EMPTY = "empty"
TRUNCATED = "truncated"
WRONG_ENCODING = "wrong_encoding"
UNDECODABLE = "undecodable"

# int32 format, float32 quantisation a and b: the header that compressed_depth_image_transport writes.
_DEPTH_HEADER = struct.Struct("<iff")
_RVL_HEADER = struct.Struct("<II")
_MAX_PIXELS = 1 << 26


class DecodeError(ValueError):
    """A message that holds no usable image.

    Attributes:
        reason: one of `EMPTY`, `TRUNCATED`, `WRONG_ENCODING`, `UNDECODABLE`: what diagnostics count.
        detail: a sentence for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def decode_compressed_depth(data: npt.NDArray[np.uint8], form: str) -> tuple[npt.NDArray[np.number], float]:
    """A depth image H x W and its metres per unit.

    Args:
        data: the payload; with a `compressedDepth` format it begins with a header of 12 bytes.
        form: the message's `format`, e.g. `16UC1; compressedDepth png`, `32FC1; compressedDepth rvl` or `16UC1; png`.

    Raises:
        DecodeError: the payload is cut short, undecodable, or no 16-bit image.
    """
    encoding = form.split(";", maxsplit=1)[0].strip()
    if encoding not in ("16UC1", "32FC1", "mono16"):
        raise DecodeError(WRONG_ENCODING, f"compressed format '{form}' names no depth encoding")
    if "compressedDepth" not in form:
        return _depth_png(data), 0.001
    if data.size <= _DEPTH_HEADER.size:
        raise DecodeError(TRUNCATED, f"{data.size} bytes are too few for a compressedDepth image")
    _, quant_a, quant_b = _DEPTH_HEADER.unpack(data[: _DEPTH_HEADER.size].tobytes())
    payload = data[_DEPTH_HEADER.size :]
    levels = _depth_rvl(payload) if form.rstrip().endswith("rvl") else _depth_png(payload)
    if encoding != "32FC1":
        return levels, 0.001
    return _metres(levels, quant_a, quant_b), 1.0


def _metres(levels: npt.NDArray[np.uint16], quant_a: float, quant_b: float) -> npt.NDArray[np.float32]:
    """Metres of a quantised 32FC1 image: level = a / depth + b, level 0 = no depth."""
    steps = levels.astype(np.float32) - np.float32(quant_b)
    metres = np.zeros(levels.shape, np.float32)
    np.divide(np.float32(quant_a), steps, out=metres, where=(levels > 0) & (steps > 0))
    return metres


def _depth_png(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    image = read_image(data, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint16 or image.ndim != 2:
        raise DecodeError(WRONG_ENCODING, f"compressed depth holds {image.dtype} with shape {image.shape}, not 16 bit")
    return image


def _depth_rvl(payload: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    if payload.size <= _RVL_HEADER.size:
        raise DecodeError(TRUNCATED, f"{payload.size} bytes are too few for an RVL image")
    width, height = _RVL_HEADER.unpack(payload[: _RVL_HEADER.size].tobytes())
    if not 0 < width * height <= _MAX_PIXELS:
        raise DecodeError(UNDECODABLE, f"an RVL image of {width}x{height} pixels")
    try:
        return decode_rvl(payload[_RVL_HEADER.size :], width * height).reshape(height, width)
    except ValueError as error:
        raise DecodeError(TRUNCATED, str(error)) from error


def read_image(data: npt.NDArray[np.uint8], flags: int) -> npt.NDArray:
    """An image file in memory as OpenCV reads it with `flags`.

    Raises:
        DecodeError: no bytes, or none that OpenCV reads as an image.
    """
    if data.size == 0:
        raise DecodeError(EMPTY, "a compressed image of 0 bytes")
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise DecodeError(UNDECODABLE, f"{data.size} bytes are no image: {error.err}") from error
    if image is None:
        raise DecodeError(UNDECODABLE, f"{data.size} bytes are no image that OpenCV reads")
    return image

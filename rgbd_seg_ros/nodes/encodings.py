"""Pixel buffers of `sensor_msgs/Image` as arrays: every usual encoding, padded rows, either byte order.

Needs no ROS. Where the wire layout is already what the package works with (rgb8, 16UC1, mono16, 32FC1 in
native byte order) the result is a view on the message's buffer and nothing is copied.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.datasets.compressed_depth import EMPTY, TRUNCATED, UNDECODABLE, WRONG_ENCODING, DecodeError


@dataclass(frozen=True, slots=True)
class RawImage:
    """The fields of a raw image message: `data` is a flat uint8 view, `step` the bytes from row to row."""

    height: int
    width: int
    encoding: str
    step: int
    big_endian: bool
    data: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How one encoding lies in memory, and the OpenCV code that turns its 8-bit form into RGB."""

    kind: str
    channels: int
    to_rgb: int | None
    rows_over_height: tuple[int, int] = (1, 1)


# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row's first and second.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_PLANAR_420 = (3, 2)

# Channel order of the plain OpenCV types (8UC3 ...) is blue first, as OpenCV itself writes them.
_COLOR: dict[str, _Layout] = {
    "rgb8": _Layout("u1", 3, None),
    "bgr8": _Layout("u1", 3, cv2.COLOR_BGR2RGB),
    "8UC3": _Layout("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": _Layout("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Layout("u1", 4, cv2.COLOR_BGRA2RGB),
    "8UC4": _Layout("u1", 4, cv2.COLOR_BGRA2RGB),
    "mono8": _Layout("u1", 1, cv2.COLOR_GRAY2RGB),
    "8UC1": _Layout("u1", 1, cv2.COLOR_GRAY2RGB),
    "mono16": _Layout("u2", 1, cv2.COLOR_GRAY2RGB),
    "rgb16": _Layout("u2", 3, None),
    "bgr16": _Layout("u2", 3, cv2.COLOR_BGR2RGB),
    "16UC3": _Layout("u2", 3, cv2.COLOR_BGR2RGB),
    "rgba16": _Layout("u2", 4, cv2.COLOR_RGBA2RGB),
    "bgra16": _Layout("u2", 4, cv2.COLOR_BGRA2RGB),
    "16UC4": _Layout("u2", 4, cv2.COLOR_BGRA2RGB),
    "uyvy": _Layout("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": _Layout("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": _Layout("u1", 2, cv2.COLOR_YUV2RGB_YUY2),
    "yuv422_yuy2": _Layout("u1", 2, cv2.COLOR_YUV2RGB_YUY2),
    "nv12": _Layout("u1", 1, cv2.COLOR_YUV2RGB_NV12, _PLANAR_420),
    "nv21": _Layout("u1", 1, cv2.COLOR_YUV2RGB_NV21, _PLANAR_420),
    **{f"bayer_{name}8": _Layout("u1", 1, code) for name, code in _BAYER.items()},
    **{f"bayer_{name}16": _Layout("u2", 1, code) for name, code in _BAYER.items()},
}
_DEPTH: dict[str, tuple[str, float]] = {
    "16UC1": ("u2", 0.001),
    "mono16": ("u2", 0.001),
    "32FC1": ("f4", 1.0),
    "64FC1": ("f8", 1.0),
}

COLOR_ENCODINGS = frozenset(_COLOR)
DEPTH_ENCODINGS = frozenset(_DEPTH)


def decode_color(raw: RawImage) -> npt.NDArray[np.uint8]:
    """A colour image as RGB uint8 H x W x 3 (a view for rgb8; 16-bit images keep their upper eight bits).

    Raises:
        DecodeError: no pixels, too few bytes, or an encoding that holds no colour image.
    """
    layout = _COLOR.get(raw.encoding)
    if layout is None:
        raise DecodeError(WRONG_ENCODING, f"encoding '{raw.encoding}' is no colour image this package reads")
    numerator, denominator = layout.rows_over_height
    if layout.rows_over_height == _PLANAR_420 and (raw.height % 2 or raw.width % 2):
        raise DecodeError(UNDECODABLE, f"{raw.encoding} needs even sides, not {raw.width}x{raw.height}")
    pixels = _pixels(raw, layout.kind, layout.channels, raw.height * numerator // denominator)
    if layout.kind == "u2":
        pixels = (pixels >> 8).astype(np.uint8)
    if layout.to_rgb is None:
        return pixels
    try:
        return np.asarray(cv2.cvtColor(pixels, layout.to_rgb), dtype=np.uint8)
    except cv2.error as error:
        raise DecodeError(UNDECODABLE, f"{raw.encoding} {raw.width}x{raw.height}: {error.err}") from error


def decode_depth(raw: RawImage) -> tuple[npt.NDArray[np.number], float]:
    """A depth image H x W and its metres per unit: uint16 millimetres or float32 metres (REP 118).

    The result is a view except for 64FC1 and foreign byte order.

    Raises:
        DecodeError: no pixels, too few bytes, or an encoding that holds no depth image.
    """
    if raw.encoding not in _DEPTH:
        raise DecodeError(WRONG_ENCODING, f"encoding '{raw.encoding}' is no depth image; 16UC1 and 32FC1 are")
    kind, metres_per_unit = _DEPTH[raw.encoding]
    pixels = _pixels(raw, kind, 1, raw.height)
    return (pixels.astype(np.float32) if kind == "f8" else pixels), metres_per_unit


def _pixels(raw: RawImage, kind: str, channels: int, rows: int) -> npt.NDArray:
    """The buffer as rows x width (x channels) of native byte order, honouring `step`."""
    dtype = np.dtype(kind)
    row_bytes = raw.width * channels * dtype.itemsize
    _check_size(raw, row_bytes, rows)
    shape: tuple[int, ...] = (rows, raw.width) if channels == 1 else (rows, raw.width, channels)
    strides = (raw.step, channels * dtype.itemsize, dtype.itemsize)[: len(shape)]
    foreign = dtype.itemsize > 1 and raw.big_endian != (sys.byteorder == "big")
    wire = dtype.newbyteorder("S") if foreign else dtype
    view: npt.NDArray = np.ndarray(shape, wire, buffer=raw.data, strides=strides)
    return view.astype(dtype) if foreign else view


def _check_size(raw: RawImage, row_bytes: int, rows: int) -> None:
    if raw.height <= 0 or raw.width <= 0 or raw.data.size == 0:
        raise DecodeError(EMPTY, f"an image of {raw.width}x{raw.height} with {raw.data.size} bytes")
    if raw.step < row_bytes:
        raise DecodeError(TRUNCATED, f"step {raw.step} is shorter than a {raw.encoding} row of {row_bytes} bytes")
    # The padding of the last row is often left out.
    needed = (rows - 1) * raw.step + row_bytes
    if raw.data.size < needed:
        raise DecodeError(TRUNCATED, f"{raw.data.size} bytes of the {needed} that the header promises")

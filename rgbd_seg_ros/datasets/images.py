"""Reading and writing image files with errors that name the file."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.errors import UserError

Image = npt.NDArray[Any]


def read_image(path: Path, flags: int) -> Image:
    """Decode an image file with OpenCV flags. Raises `UserError` where it is missing or damaged."""
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError:
        raise UserError(f"Image {path} is missing: restore it or prepare the set again.") from None
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise UserError(f"Image {path} is damaged: replace it by a fresh copy.")
    return image


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """Colour image, uint8 H x W x 3, RGB order."""
    return cv2.cvtColor(read_image(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def read_raw(path: Path) -> Image:
    """Single-channel image with its own depth (uint8 or uint16), H x W; colour images come as RGB."""
    image = read_image(path, cv2.IMREAD_UNCHANGED)
    if image.ndim == 3:
        return cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)
    return image


def png_size(path: Path) -> tuple[int, int] | None:
    """(height, width) from the header of a PNG file, without decoding it; None where the file is no readable PNG."""
    try:
        with path.open("rb") as file:
            header = file.read(24)
    except OSError:
        return None
    if len(header) < 24 or header[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    width, height = struct.unpack(">II", header[16:])
    return height, width


def write_png(path: Path, image: Image, compression: int = 1) -> None:
    """Write a PNG (RGB order for colour) so that a killed run never leaves half a file under its final name."""
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, compression])
    if not done:
        raise UserError(f"Image {path} cannot be encoded as PNG: {image.shape} {image.dtype}.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data.tofile(temporary)
    temporary.replace(path)

"""Faults of the image itself: repeated, blank, noisy, wrongly exposed, misaligned or malformed content."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.replay.fault_kinds import Effect, Moment, kind
from rgbd_seg_ros.replay.record import Record

RGB = frozenset({Sensor.RGB})
DEPTH = frozenset({Sensor.DEPTH})
HOLE_SIDE = 1 / 12
"""Side of a hole relative to the image height."""


def _painted(record: Record, mask: npt.NDArray[np.bool_], value: float) -> list[Record]:
    image = record.image.copy()
    image[mask] = value
    return [record.with_image(image)]


@kind("freeze", "The last image is sent again and again under new stamps.", effect=Effect.ALONE, expected="frozen",
      detected_s=0.27)  # fmt: skip
def freeze(record: Record, moment: Moment) -> list[Record]:
    """Sends the content of the last healthy frame."""
    return [record.with_image(moment.held.image)] if moment.held else [record]


@kind("blank", "Colour is black, depth has no valid pixel.", effect=Effect.LOST, expected="blank")
def blank(record: Record, moment: Moment) -> list[Record]:
    """All zeros."""
    return [record.with_image(np.zeros_like(record.image))]


@kind("saturated", "Colour is white all over.", effect=Effect.LOST, expected="blank", streams=RGB)
def saturated(record: Record, moment: Moment) -> list[Record]:
    """All 255."""
    return [record.with_image(np.full_like(record.image, 255))]


@kind("nan", "Depth pixels are NaN.", strength=1.0, unit="share of pixels", effect=Effect.LOST, lost_from=0.995,
      expected="blank invalid", streams=DEPTH)  # fmt: skip
def nan(record: Record, moment: Moment) -> list[Record]:
    """Sends 32FC1 metres with NaN in a random share of the pixels."""
    metres = record.image.astype(np.float32) * (0.001 if record.image.dtype == np.uint16 else 1.0)
    metres[moment.rng.random(metres.shape, np.float32) < moment.strength] = np.nan
    return [record.with_image(metres)]


@kind("salt", "Single pixels are wrong.", strength=0.1, unit="share of pixels")
def salt(record: Record, moment: Moment) -> list[Record]:
    """White pixels in colour, missing ones in depth."""
    mask = moment.rng.random(record.image.shape[:2], np.float32) < moment.strength
    return _painted(record, mask, 255 if record.sensor is Sensor.RGB else 0)


@kind("holes", "Square patches are missing.", strength=0.3, unit="share of the image")
def holes(record: Record, moment: Moment) -> list[Record]:
    """Zeros in random squares until about the share is covered."""
    height, width = record.image.shape[:2]
    side = max(1, round(height * HOLE_SIDE))
    mask = np.zeros((height, width), bool)
    while mask.mean() < min(moment.strength, 0.95):
        top, left = moment.rng.integers(0, height), moment.rng.integers(0, width)
        mask[top : top + side, left : left + side] = True
    return _painted(record, mask, 0)


@kind("blur", "The image is out of focus.", strength=4.0, unit="pixels (sigma)")
def blur(record: Record, moment: Moment) -> list[Record]:
    """Gaussian blur."""
    return [record.with_image(cv2.GaussianBlur(record.image, (0, 0), max(0.1, moment.strength)))]


@kind("over_exposure", "Colour is too bright.", strength=4.0, unit="gain", streams=RGB)
def over_exposure(record: Record, moment: Moment) -> list[Record]:
    """Multiplies and clips."""
    return [record.with_image(cv2.convertScaleAbs(record.image, alpha=moment.strength))]


@kind("under_exposure", "Colour is too dark.", strength=4.0, unit="divisor", streams=RGB)
def under_exposure(record: Record, moment: Moment) -> list[Record]:
    """Divides."""
    return [record.with_image(cv2.convertScaleAbs(record.image, alpha=1.0 / moment.strength))]


@kind("shift", "The two images are misaligned.", strength=16, unit="pixels to the right")
def shift(record: Record, moment: Moment) -> list[Record]:
    """Moves the image; what it uncovers is zero."""
    image = np.zeros_like(record.image)
    step = round(moment.strength)
    source = record.image[:, : image.shape[1] - step] if step >= 0 else record.image[:, -step:]
    target = image[:, step:] if step >= 0 else image[:, :step]
    target[...] = source
    return [record.with_image(image)]


@kind("wrong_encoding", "The header names an encoding that is none.", effect=Effect.LOST, expected="invalid")
def wrong_encoding(record: Record, moment: Moment) -> list[Record]:
    """Keeps the data, changes the name."""
    return [replace(record, encoding="not_an_encoding")]


@kind("wrong_size", "Images of another size, a different one each time.", effect=Effect.LOST, expected="invalid")
def wrong_size(record: Record, moment: Moment) -> list[Record]:
    """Cuts a random number of rows and columns off, the header agrees with what is left."""
    height, width = record.image.shape[:2]
    rows = height - 1 - int(moment.rng.integers(0, max(1, height // 2)))
    columns = width - 1 - int(moment.rng.integers(0, max(1, width // 2)))
    return [record.with_image(np.ascontiguousarray(record.image[: max(1, rows), : max(1, columns)]))]


@kind("truncated", "Messages hold fewer bytes than their header says.", strength=0.5, unit="share of bytes kept",
      effect=Effect.LOST, expected="invalid")  # fmt: skip
def truncated(record: Record, moment: Moment) -> list[Record]:
    """Cuts the rows after the share; the header still claims them."""
    kept = int(record.image.shape[0] * min(max(moment.strength, 0.0), 0.99))
    return [replace(record, image=record.image[:kept])]

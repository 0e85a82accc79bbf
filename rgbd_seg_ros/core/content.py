"""A cheap look at the content of an image: is it blank, and is it the same as the last one?"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Frame, Sensor

SAMPLES = 4800
"""About how many pixels are looked at: 80 x 60 of a 640 x 480 image, 50 microseconds."""

BLACK_LEVEL = 8
SATURATED_LEVEL = 247
BLANK_COLOR_SHARE = 0.99
INVALID_UINT16 = 65535
"""Kinect drivers mark missing depth with this value as well as with 0."""


@dataclass(frozen=True, slots=True)
class ContentProbe:
    """What a look at an image found.

    Attributes:
        fingerprint: checksum of the sampled pixels; equal for equal content.
        blank: why the image carries no information, or an empty string.
    """

    fingerprint: int
    blank: str


def probe(frame: Frame, min_valid_depth: float = 0.01) -> ContentProbe:
    """Look at a regular grid of about `SAMPLES` pixels of `frame`.

    Args:
        frame: colour uint8 H x W x 3, or depth H x W uint16 or float32.
        min_valid_depth: share of valid samples under which a depth image counts as blank.
    """
    height, width = frame.size
    step = max(1, math.isqrt(height * width // SAMPLES))
    sample = np.ascontiguousarray(frame.image[step // 2 :: step, step // 2 :: step])
    blank = _blank_depth(sample, min_valid_depth) if frame.sensor is Sensor.DEPTH else _blank_color(sample)
    return ContentProbe(zlib.crc32(sample.data), blank)


def _blank_depth(sample: npt.NDArray[np.number], min_valid: float) -> str:
    if sample.dtype == np.uint16:
        valid = np.count_nonzero((sample != 0) & (sample != INVALID_UINT16))
    else:
        # Comparisons with NaN are false, so that NaN and both infinities count as missing (REP-117).
        with np.errstate(invalid="ignore"):
            valid = np.count_nonzero((sample > 0) & (sample < np.inf))
    share = valid / max(1, sample.size)
    return f"only {100 * share:.1f} % of the depth pixels are valid" if share < min_valid else ""


def _blank_color(sample: npt.NDArray[np.number]) -> str:
    if np.count_nonzero(sample <= BLACK_LEVEL) >= BLANK_COLOR_SHARE * sample.size:
        return "the colour image is black"
    if np.count_nonzero(sample >= SATURATED_LEVEL) >= BLANK_COLOR_SHARE * sample.size:
        return "the colour image is saturated"
    return ""

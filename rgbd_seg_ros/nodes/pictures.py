"""Images for people: class colours over the picture that was labelled."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED, Frame, Sensor
from rgbd_seg_ros.core.label_sets import LabelSet

_HALF_SHADE_METRES = 2.0


def palette(label_set: LabelSet) -> npt.NDArray[np.uint8]:
    """256 x 3 RGB: the colour of every label value; unlabelled and unused values are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(label_set.colors)] = label_set.colors
    table[UNLABELLED] = 0
    return table


def overlay(
    base: npt.NDArray[np.uint8], label: npt.NDArray[np.uint8], colors: npt.NDArray[np.uint8], opacity: float
) -> npt.NDArray[np.uint8]:
    """H x W x 3: `base` (of the same size) with the class colours over it, `opacity` 0..1."""
    painted = np.take(colors, label, axis=0)
    return np.asarray(cv2.addWeighted(painted, opacity, base, 1.0 - opacity, 0.0), dtype=np.uint8)


def base_image(frame: Frame) -> npt.NDArray[np.uint8]:
    """What an overlay is painted on: the colour image itself, or depth as shades of gray (near is bright)."""
    if frame.sensor is Sensor.RGB:
        return np.asarray(frame.image, dtype=np.uint8)
    metres = np.nan_to_num(frame.image.astype(np.float32) * frame.metres_per_unit, nan=0.0, posinf=0.0, neginf=0.0)
    shade = 255.0 * _HALF_SHADE_METRES / (_HALF_SHADE_METRES + np.maximum(metres, 0.0))
    shade[metres <= 0.0] = 0.0
    return np.repeat(shade.astype(np.uint8)[..., None], 3, axis=2)

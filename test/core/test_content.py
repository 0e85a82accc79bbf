from __future__ import annotations

import numpy as np
import pytest
from streams import frame

from rgbd_seg_ros.core.content import probe
from rgbd_seg_ros.core.frames import Sensor


def look(sensor: Sensor, pixels: np.ndarray):
    return probe(frame(sensor, 0, 0, image=pixels))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((480, 640, 3), np.uint8), "black"),
        (np.full((480, 640, 3), 255, np.uint8), "saturated"),
    ],
)
def test_black_and_saturated_colour_is_blank(pixels, words):
    assert words in look(Sensor.RGB, pixels).blank


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((480, 640), np.uint16),
        np.full((480, 640), 65535, np.uint16),
        np.full((480, 640), np.nan, np.float32),
        np.full((480, 640), np.inf, np.float32),
        np.full((480, 640), -1, np.float32),
    ],
)
def test_depth_without_a_valid_pixel_is_blank(pixels):
    assert "0.0 %" in look(Sensor.DEPTH, pixels).blank


def test_dark_but_structured_colour_is_not_blank():
    pixels = np.random.default_rng(0).integers(0, 40, (480, 640, 3), dtype=np.uint8)
    assert look(Sensor.RGB, pixels).blank == ""


def test_the_fingerprint_follows_the_content_and_not_the_memory_layout():
    pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    padded = np.zeros((480, 700, 3), np.uint8)
    padded[:, :640] = pixels
    other = pixels.copy()
    other[100:160, 100:160] += 1
    assert look(Sensor.RGB, pixels).fingerprint == look(Sensor.RGB, padded[:, :640]).fingerprint
    assert look(Sensor.RGB, pixels).fingerprint != look(Sensor.RGB, other).fingerprint


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (68, 70), (2160, 3840)])
def test_any_size_can_be_looked_at(size):
    assert look(Sensor.RGB, np.full((*size, 3), 128, np.uint8)).blank == ""


@pytest.mark.shared
def test_real_kinect_frames_are_neither_blank_nor_alike(shared):
    import cv2

    folder = shared / "data" / "kinect_stream"
    prints = set()
    for path in sorted(folder.glob("*.depth.png"))[:30]:
        found = look(Sensor.DEPTH, cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        assert found.blank == ""
        prints.add(found.fingerprint)
    assert len(prints) == 30

"""Twenty thousand broken messages: each is decoded to what its header says or refused, and the stream lives on."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from mutations import mutated_calibration, mutated_image

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import DropReason
from rgbd_seg_ros.core.stream import RgbdStream, StreamConfig
from rgbd_seg_ros.nodes.calibration import intrinsics_of
from rgbd_seg_ros.nodes.encodings import DecodeError
from rgbd_seg_ros.nodes.messages import frame_from_message

MESSAGES = 20_000


def test_mutated_images_are_decoded_to_their_size_or_refused() -> None:
    rng = np.random.default_rng(7)
    stream = RgbdStream(StreamConfig(), frozenset({Mode.FUSION, Mode.RGB, Mode.DEPTH}))
    decoded = refused = left = 0
    for index in range(MESSAGES):
        sensor = (Sensor.RGB, Sensor.DEPTH)[index % 2]
        message, now_ns = mutated_image(rng, sensor, index // 2 * 33_000_000), index * 16_500_000
        try:
            frame = frame_from_message(message, sensor, now_ns)
        except DecodeError as error:
            refused += 1
            assert error.detail
            stream.reject(sensor, None, DropReason.INVALID, error.detail, now_ns)
        else:
            decoded += 1
            assert frame.size == (message.height, message.width)
            assert frame.image.ndim == (3 if sensor is Sensor.RGB else 2)
            assert frame.image.dtype in ((np.uint8,) if sensor is Sensor.RGB else (np.uint16, np.float32))
            stream.accept(frame, now_ns)
        for order in stream.orders(now_ns):
            left += len(order.frames)
        left += len(stream.take_drops())
    stream.flush(MESSAGES * 16_500_000)
    left += len(stream.take_drops())
    assert decoded + refused == left == MESSAGES
    assert decoded > MESSAGES // 10
    assert refused > MESSAGES // 10


def test_mutated_calibrations_are_understood_or_refused() -> None:
    rng = np.random.default_rng(8)
    for _ in range(MESSAGES // 10):
        info = mutated_calibration(rng)
        try:
            read = intrinsics_of(info)
        except ValueError as error:
            assert str(error)
        else:
            assert read is None or (read.width, read.height) == (info.width, info.height)
            assert read is None or all(0 < f < np.inf for f in (read.fx, read.fy))
            assert read is None or np.isfinite((read.cx, read.cy)).all()

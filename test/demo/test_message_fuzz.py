"""Twenty thousand broken messages: each is decoded to what its header says or refused, and the stream lives on."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import CameraInfo, Image

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import DropReason
from rgbd_seg_ros.core.stream import RgbdStream, StreamConfig
from rgbd_seg_ros.nodes.encodings import DecodeError
from rgbd_seg_ros.nodes.messages import Intrinsics, frame_from_message

MESSAGES = 20_000
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "mono8", "16UC1", "32FC1", "mono16", "bayer_rggb8", "bayer_gbrg16", "yuv422", "nv21",
    "8UC3", "64FC1", "", "no such", "rgb8 ", "16uc1", "\N{SNOWMAN}",
)  # fmt: skip
SIZES = (0, 1, 2, 3, 7, 16, 24, 4096, 2**31, 2**32 - 1)
TRUE = {Sensor.RGB: ("rgb8", 3), Sensor.DEPTH: ("16UC1", 2)}


def mutated(rng: np.random.Generator, sensor: Sensor, index: int) -> Image:
    """A healthy 16 x 12 image in which each field is spoilt with some probability."""
    encoding, channels = TRUE[sensor]
    message = Image(height=12, width=16, encoding=encoding, step=16 * channels)
    stamp = index * 33_000_000
    message.header.stamp.sec, message.header.stamp.nanosec = stamp // 10**9, stamp % 10**9
    size = 12 * 16 * channels
    spoilt = rng.random(7) < 0.2
    if spoilt[0]:
        message.encoding = str(rng.choice(ENCODINGS))
    for name, hit in (("height", spoilt[1]), ("width", spoilt[2]), ("step", spoilt[3])):
        if hit:
            setattr(message, name, int(rng.choice(SIZES)))
    if spoilt[4]:
        size = int(rng.choice([0, 1, size - 1, size + 1, size // 2, 2 * size]))
    if spoilt[5]:
        message.is_bigendian = int(rng.integers(0, 256))
    if spoilt[6]:
        message.header.stamp.sec = int(rng.integers(-(2**31), 2**31))
        message.header.stamp.nanosec = int(rng.integers(0, 2**32))
    message.data.frombytes(rng.bytes(size))
    return message


def test_mutated_images_are_decoded_to_their_size_or_refused() -> None:
    rng = np.random.default_rng(7)
    stream = RgbdStream(StreamConfig(), frozenset({Mode.FUSION, Mode.RGB, Mode.DEPTH}))
    decoded = refused = left = 0
    for index in range(MESSAGES):
        sensor = (Sensor.RGB, Sensor.DEPTH)[index % 2]
        message, now_ns = mutated(rng, sensor, index // 2), index * 16_500_000
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
    odd = np.array([0.0, -1.0, 1.0, 500.0, np.nan, np.inf, -np.inf, 1e300])
    for _ in range(MESSAGES // 10):
        info = CameraInfo(width=int(rng.choice(SIZES)), height=int(rng.choice(SIZES)))
        info.k, info.p = rng.choice(odd, 9), rng.choice(odd, 12)
        try:
            read = Intrinsics.from_message(info)
        except ValueError as error:
            assert str(error)
        else:
            assert read is None or (read.width, read.height) == (info.width, info.height)
            assert read is None or all(0 < f < np.inf for f in (read.fx, read.fy))
            assert read is None or np.isfinite((read.cx, read.cy)).all()

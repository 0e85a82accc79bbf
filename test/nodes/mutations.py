"""Image and CameraInfo messages that are broken in one way or another: for decoders and for running nodes."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.nodes.messages import ns_from_stamp

ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "mono8", "16UC1", "32FC1", "mono16", "bayer_rggb8", "bayer_gbrg16", "yuv422", "nv21",
    "8UC3", "64FC1", "", "no such", "rgb8 ", "16uc1", "\N{SNOWMAN}",
)  # fmt: skip
LENGTHS = (0, 1, 2, 3, 7, 16, 24, 4096, 2**31, 2**32 - 1)
TRUE = {Sensor.RGB: ("rgb8", 3), Sensor.DEPTH: ("16UC1", 2)}
ODD = np.array([0.0, -1.0, 1.0, 500.0, np.nan, np.inf, -np.inf, 1e300, 1e-300])
SPOILT = 0.2
"""Probability that a field of an image is spoilt."""


def mutated_image(
    rng: np.random.Generator, sensor: Sensor, stamp_ns: int, size: tuple[int, int] = (12, 16), spoilt: float = SPOILT
) -> Image:
    """A healthy image of `size` (height, width) in which each field is spoilt with some probability."""
    height, width = size
    encoding, channels = TRUE[sensor]
    message = Image(height=height, width=width, encoding=encoding, step=width * channels)
    message.header.stamp.sec, message.header.stamp.nanosec = stamp_ns // 10**9, stamp_ns % 10**9
    count = height * width * channels
    hit = rng.random(7) < spoilt
    if hit[0]:
        message.encoding = str(rng.choice(ENCODINGS))
    for name, wrong in (("height", hit[1]), ("width", hit[2]), ("step", hit[3])):
        if wrong:
            setattr(message, name, int(rng.choice(LENGTHS)))
    if hit[4]:
        count = int(rng.choice([0, 1, count - 1, count + 1, count // 2, 2 * count]))
    if hit[5]:
        message.is_bigendian = int(rng.integers(0, 256))
    if hit[6]:
        message.header.stamp.sec = int(rng.choice([rng.integers(-(2**31), 2**31), 2**31 - 1, -(2**31), 0]))
        message.header.stamp.nanosec = int(rng.choice([rng.integers(0, 2**32), 2**32 - 1, 0]))
    message.data.frombytes(rng.bytes(count))
    return message


def mutated_calibration(rng: np.random.Generator) -> CameraInfo:
    """A calibration of numbers that are none, too large or not there."""
    info = CameraInfo(width=int(rng.choice(LENGTHS)), height=int(rng.choice(LENGTHS)))
    info.k, info.p = rng.choice(ODD, 9), rng.choice(ODD, 12)
    return info


def stamp_of_image(message: Image) -> int:
    """Header stamp in nanoseconds, as the node reads it."""
    return ns_from_stamp(message.header.stamp)

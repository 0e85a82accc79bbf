"""ROS messages <-> arrays and frames: the one place that knows how images lie in messages."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image

from rgbd_seg_ros.core.frames import Frame, Sensor
from rgbd_seg_ros.nodes.compressed import decode_compressed_color, decode_compressed_depth
from rgbd_seg_ros.nodes.encodings import COLOR_ENCODINGS, UNDECODABLE, DecodeError, RawImage, decode_color, decode_depth
from rgbd_seg_ros.nodes.extras import color_by_cv_bridge

__all__ = [
    "DecodeError",
    "color_array",
    "depth_array",
    "frame_from_message",
    "image_message",
    "ns_from_stamp",
    "stamp_from_ns",
]

_NS = 1_000_000_000
_LAST_SECOND = 2**31 - 1
_ENCODING_BYTES = {"mono8": 1, "8UC1": 1, "rgb8": 3, "bgr8": 3, "16UC1": 2, "mono16": 2, "32FC1": 4}


def ns_from_stamp(stamp: Time) -> int:
    """A header stamp as integer nanoseconds."""
    return int(stamp.sec) * _NS + int(stamp.nanosec)


def stamp_from_ns(stamp_ns: int) -> Time:
    """Integer nanoseconds as a header stamp."""
    return Time(sec=stamp_ns // _NS, nanosec=stamp_ns % _NS)


def frame_from_message(msg: Image | CompressedImage, sensor: Sensor, arrival_ns: int) -> Frame:
    """The frame in a raw or compressed image message; a view on the message's bytes where the format allows it.

    Raises:
        DecodeError: the message holds no usable image of this sensor.
    """
    stamp_ns = ns_from_stamp(msg.header.stamp)
    if stamp_ns // _NS > _LAST_SECOND:  # nanoseconds past a second carry over: no output could have this stamp
        raise DecodeError(UNDECODABLE, f"stamp {stamp_ns} ns is beyond what a message can hold")
    image: npt.NDArray[np.number]
    if sensor is Sensor.RGB:
        image, scale = color_array(msg), 1.0
    else:
        image, scale = depth_array(msg)
    return Frame(sensor, stamp_ns, arrival_ns, image, msg.header.frame_id, scale)


def color_array(msg: Image | CompressedImage) -> npt.NDArray[np.uint8]:
    """RGB uint8 H x W x 3.

    Raises:
        DecodeError: the message holds no usable colour image.
    """
    if isinstance(msg, CompressedImage):
        return decode_compressed_color(_bytes(msg))
    if msg.encoding not in COLOR_ENCODINGS:
        converted = color_by_cv_bridge(msg)
        if converted is not None:
            return converted
    return decode_color(_raw(msg))


def depth_array(msg: Image | CompressedImage) -> tuple[npt.NDArray[np.number], float]:
    """H x W as uint16 or float32, and the metres per unit.

    Raises:
        DecodeError: the message holds no usable depth image.
    """
    if isinstance(msg, CompressedImage):
        return decode_compressed_depth(_bytes(msg), msg.format)
    return decode_depth(_raw(msg))


def image_message(image: npt.NDArray, encoding: str, stamp_ns: int, frame_id: str) -> Image:
    """An image message that owns a copy of `image` (H x W or H x W x 3, of the encoding's type)."""
    height, width = image.shape[:2]
    message = Image(height=height, width=width, encoding=encoding, step=width * _ENCODING_BYTES[encoding])
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    message.data = byte_array(image)
    return message


def byte_array(values: npt.NDArray) -> array:
    """The bytes of an array in the type that message fields take.

    `frombytes` of a memory view copies once; every other way of filling the field takes 2 to 200 times as long.
    """
    data = array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data


def _raw(msg: Image) -> RawImage:
    return RawImage(msg.height, msg.width, msg.encoding, msg.step, bool(msg.is_bigendian), _bytes(msg))


def _bytes(msg: Image | CompressedImage) -> npt.NDArray[np.uint8]:
    return np.frombuffer(msg.data, np.uint8)

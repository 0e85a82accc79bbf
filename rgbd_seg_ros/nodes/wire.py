"""Image messages as serialized bytes, made from a template: the cheapest way to publish many of them.

An `Image` in CDR ends with its pixels: 4 bytes of representation header, the stamp, further fields and, last,
the length of `data` and the bytes themselves. One message without pixels, serialized by ROS, is the template;
for each frame the stamp and the length are patched and the pixels are appended, one copy in all.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image

from rgbd_seg_ros.replay.record import Record

if TYPE_CHECKING:  # scenes need a ray caster, which a robot has no use for
    from rgbd_seg_ros.scenes.camera import Camera

STAMP_AT = 4
NS = 1_000_000_000


def image_bytes(record: Record, frame_id: str) -> bytes:
    """The serialized `sensor_msgs/Image` of a record."""
    head = bytearray(_image_head(record.height, record.width, record.encoding, record.step, frame_id))
    payload = record.payload
    struct.pack_into("<iI", head, STAMP_AT, record.stamp_ns // NS, record.stamp_ns % NS)
    struct.pack_into("<I", head, len(head) - 4, payload.nbytes)
    return b"".join((head, payload))


def camera_info_bytes(template: bytes, stamp_ns: int) -> bytes:
    """A serialized `CameraInfo` with another stamp."""
    data = bytearray(template)
    struct.pack_into("<iI", data, STAMP_AT, stamp_ns // NS, stamp_ns % NS)
    return bytes(data)


def camera_info_template(camera: Camera, frame_id: str) -> bytes:
    """The serialized `CameraInfo` of an ideal pinhole camera."""
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.header.frame_id = frame_id
    message.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return serialize_message(message)


def stamp_of(serialized: bytes) -> int:
    """Header stamp in nanoseconds of a serialized message that begins with a header."""
    seconds, nanoseconds = struct.unpack_from("<iI", serialized, STAMP_AT)
    return seconds * NS + nanoseconds


@lru_cache(maxsize=64)
def _image_head(height: int, width: int, encoding: str, step: int, frame_id: str) -> bytes:
    message = Image(height=height, width=width, encoding=encoding, step=step)
    message.header.frame_id = frame_id
    return serialize_message(message)

"""Bags of either storage are found their topics, decoded and refused with a reason."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.bag_writer import write_bag as write_bag_of
from rgbd_seg_ros.replay.source import open_source

STORE = get_typestore(Stores.ROS2_HUMBLE)
TYPES = STORE.types
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 255, (4, 12, 16, 3), np.uint8)
DEPTH = RNG.integers(300, 5000, (4, 12, 16), np.uint16)
LABEL = RNG.integers(0, 13, (4, 12, 16), np.uint8)
START_NS = 1_700_000_000_000_000_000


def header(index: int) -> Any:
    stamp = START_NS + index * 50_000_000
    time = TYPES["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
    return TYPES["std_msgs/msg/Header"](time, "camera")


def image(index: int, encoding: str, pixels: np.ndarray, padding: int = 0, big_endian: bool = False) -> Any:
    stored = pixels.astype(pixels.dtype.newbyteorder(">")) if big_endian else pixels
    rows = np.ascontiguousarray(stored).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    return TYPES["sensor_msgs/msg/Image"](
        header(index), pixels.shape[0], pixels.shape[1], encoding, int(big_endian), rows.shape[1], rows.ravel()
    )


def compressed(index: int, form: str, data: bytes) -> Any:
    return TYPES["sensor_msgs/msg/CompressedImage"](header(index), form, np.frombuffer(data, np.uint8))


def rvl(values: np.ndarray) -> bytes:
    """Width, height and the RVL code of an image without zero pixels (the nodes' tests have one for any image)."""
    flat = values.ravel().astype(int)
    steps = np.diff(flat, prepend=0)
    nibbles: list[int] = []
    for value in (0, flat.size, *((int(s) << 1) ^ (int(s) >> 31) for s in steps)):
        rest = value
        while rest > 7:
            nibbles.append(rest & 7 | 8)
            rest >>= 3
        nibbles.append(rest)
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)]
    return struct.pack("<II", values.shape[1], values.shape[0]) + struct.pack(f"<{len(words)}I", *words)


def camera_info() -> Any:
    k = np.array([20.0, 0, 8, 0, 21, 6, 0, 0, 1])
    roi = TYPES["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return TYPES["sensor_msgs/msg/CameraInfo"](
        header(0), 12, 16, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), np.zeros(12), 0, 0, roi
    )


def write_bag(folder: Path, storage: StoragePlugin, messages: dict[str, list[Any]]) -> Path:
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        for topic, several in messages.items():
            kind = several[0].__msgtype__
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for i, message in enumerate(several):
                writer.write(connection, START_NS + i * 50_000_000 + len(topic), STORE.serialize_cdr(message, kind))
    return folder


def usual(color: str = "rgb8") -> dict[str, list[Any]]:
    pixels = {"rgb8": RGB, "bgr8": RGB[..., ::-1], "rgba8": np.pad(RGB, ((0, 0),) * 3 + ((0, 1),))}[color]
    return {
        "/camera/rgb/image_raw": [image(i, color, pixels[i], padding=3) for i in range(4)],
        "/camera/depth/image_raw": [image(i, "16UC1", DEPTH[i]) for i in range(4)],
        "/camera/rgb/camera_info": [camera_info()],
        "/ground_truth/label_image": [image(i, "mono8", LABEL[i]) for i in range(4)],
    }


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
@pytest.mark.parametrize("color", ["rgb8", "bgr8", "rgba8"])
def test_a_bag_gives_its_frames_labels_and_camera(tmp_path: Path, storage: StoragePlugin, color: str) -> None:
    source = open_source(write_bag(tmp_path / "bag", storage, usual(color)), label_set=LABEL_SETS["nyu13"])
    frames = sorted(source, key=lambda f: (f.stamp_ns, f.sensor is Sensor.DEPTH))
    assert [f.stamp_ns for f in frames[::2]] == [START_NS + i * 50_000_000 for i in range(4)]
    assert all(np.array_equal(f.image, RGB[i]) for i, f in enumerate(frames[::2]))
    assert all(np.array_equal(f.image, DEPTH[i]) for i, f in enumerate(frames[1::2]))
    assert all(np.array_equal(f.label, LABEL[i // 2]) for i, f in enumerate(frames))
    assert (source.camera.fx, source.camera.fy, source.camera.width) == (20.0, 21.0, 16)
    assert source.label_set == LABEL_SETS["nyu13"]


def test_the_storage_file_stands_for_its_bag(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, usual())
    assert len(list(open_source(next(bag.glob("*.mcap"))))) == 8


def test_compressed_topics_are_decoded(tmp_path: Path) -> None:
    png = [cv2.imencode(".png", RGB[i][..., ::-1])[1].tobytes() for i in range(4)]
    depth = [bytes(12) + cv2.imencode(".png", DEPTH[i])[1].tobytes() for i in range(4)]
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, {
        "/camera/color/image_raw/compressed": [compressed(i, "bgr8; png", png[i]) for i in range(4)],
        "/camera/depth/image_raw/compressedDepth": [
            compressed(i, "16UC1; compressedDepth", depth[i]) for i in range(4)
        ],
    })  # fmt: skip
    frames = list(open_source(bag))
    assert all(np.array_equal(f.image, RGB[i]) for i, f in enumerate(f for f in frames if f.sensor is Sensor.RGB))
    assert all(np.array_equal(f.image, DEPTH[i]) for i, f in enumerate(f for f in frames if f.sensor is Sensor.DEPTH))


@pytest.mark.parametrize("codec", ["png", "rvl"])
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_compressed_depth_is_millimetres_or_metres_as_its_format_says(
    tmp_path: Path, encoding: str, codec: str
) -> None:
    """32FC1 is quantised: level = a / depth + b, a and b in the header of 12 bytes."""
    quant_a, quant_b = 10100.0, -1009.0
    metres = DEPTH[0].astype(np.float32) / 1000
    levels = DEPTH[0] if encoding == "16UC1" else np.round(quant_a / metres + quant_b).astype(np.uint16)
    payload = rvl(levels) if codec == "rvl" else cv2.imencode(".png", levels)[1].tobytes()
    message = compressed(0, f"{encoding}; compressedDepth {codec}", struct.pack("<iff", 0, quant_a, quant_b) + payload)
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, {"/depth/image_raw/compressedDepth": [message]})
    depth = next(iter(open_source(bag))).image
    if encoding == "16UC1":
        assert np.array_equal(depth, DEPTH[0])
    else:
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth, metres, rtol=2e-3)


def test_compressed_depth_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    message = compressed(0, "16UC1; compressedDepth rvl", bytes(15))
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, {"/depth/image_raw/compressedDepth": [message]})
    with pytest.raises(UserError, match="compressedDepth rvl"):
        open_source(bag)


def test_metres_and_big_endian_depth_are_understood(tmp_path: Path) -> None:
    metres = DEPTH[0].astype(np.float32) / 1000
    bag = write_bag(tmp_path / "a", StoragePlugin.MCAP, {"/depth": [image(0, "32FC1", metres)]})
    assert np.array_equal(next(iter(open_source(bag))).image, metres)
    bag = write_bag(tmp_path / "b", StoragePlugin.MCAP, {"/depth": [image(0, "16UC1", DEPTH[0], big_endian=True)]})
    assert np.array_equal(next(iter(open_source(bag))).image, DEPTH[0])


def test_topics_can_be_named(tmp_path: Path) -> None:
    messages = usual() | {"/second/rgb/image_raw": [image(0, "rgb8", RGB[3])]}
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, messages)
    first = next(f for f in open_source(bag, rgb_topic="/second/rgb/image_raw") if f.sensor is Sensor.RGB)
    assert np.array_equal(first.image, RGB[3])
    with pytest.raises(UserError, match="no image topic /wrong"):
        open_source(bag, rgb_topic="/wrong")


def test_a_bag_without_images_is_refused_with_its_topics(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, {"/camera_info": [camera_info()]})
    with pytest.raises(UserError, match="/camera_info"):
        open_source(bag)


def test_an_encoding_that_cannot_be_played_is_named(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, {"/rgb/image": [image(0, "yuv422", RGB[0])]})
    with pytest.raises(UserError, match="yuv422"):
        list(open_source(bag))


def test_a_damaged_bag_is_refused(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", StoragePlugin.MCAP, usual())
    next(bag.glob("*.mcap")).write_bytes(b"no bag")
    with pytest.raises(UserError, match="cannot be read as a rosbag2"):
        open_source(bag)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_that_this_package_wrote_comes_back_with_its_label_set(tmp_path: Path, storage: str) -> None:
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}_rgb.png"), RGB[i][..., ::-1])
        cv2.imwrite(str(tmp_path / f"{i}_depth.png"), DEPTH[i])
        cv2.imwrite(str(tmp_path / f"{i}_label40.png"), LABEL[i] + 1)
    before = open_source(tmp_path)
    write_bag_of(before, tmp_path / "bag", storage)
    after = open_source(tmp_path / "bag", label_set=LABEL_SETS["nyu13"])
    assert after.label_set == LABEL_SETS["nyu40"]
    frames = sorted(after, key=lambda f: (f.stamp_ns, f.sensor is Sensor.DEPTH))
    for a, b in zip(before, frames, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.label, b.label)

"""rosbag2 recordings (mcap or sqlite3) as a source, read with `rosbags`: no ROS installation is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS, LabelSet
from rgbd_seg_ros.datasets.compressed_depth import DecodeError, decode_compressed_depth
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.source import SourceFrame
from rgbd_seg_ros.scenes.camera import Camera

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
TO_RGB = {"rgb8": None, "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0)}
"""Colour encodings of raw images and the channels that make RGB of them (None: as they are)."""
DEPTH = {"16UC1": np.uint16, "mono16": np.uint16, "32FC1": np.float32}


def is_bag(path: Path) -> bool:
    """True for a rosbag2 folder or one of its storage files."""
    return path.suffix in (".mcap", ".db3") or (path.is_dir() and (path / "metadata.yaml").is_file())


class BagSource:
    """Colour, depth and ground-truth labels of a bag, found by name and type or by the topics given."""

    def __init__(
        self,
        path: Path | str,
        rgb_topic: str | None = None,
        depth_topic: str | None = None,
        label_topic: str | None = None,
        label_set: LabelSet | None = None,
    ) -> None:
        """Reads the list of topics and the first frames.

        `label_set` is that of the ground truth where the bag does not state it (`custom_data` of its metadata).

        Raises:
            UserError: when the bag cannot be read or holds neither colour nor depth images.
        """
        self.path = Path(path)
        self.name = self.path.stem
        with self._reader() as reader:
            found = {c.topic: c.msgtype for c in reader.connections}
            counts = {topic: info.msgcount for topic, info in reader.topics.items()}
            duration_s = max(reader.duration, 1) / 1e9
        self.label_set = LABEL_SETS.get(_stated_label_set(self.path), label_set)
        images = [t for t, kind in found.items() if kind in IMAGE_TYPES]
        self.topics = {
            "rgb": _choose("colour", rgb_topic, images, ("rgb", "color", "colour"), ("depth", "label", "truth")),
            "depth": _choose("depth", depth_topic, images, ("depth",), ("label", "truth")),
            "label": _choose("label", label_topic, images, ("label", "ground_truth", "semantic"), ()),
        }
        if not self.topics["rgb"] and not self.topics["depth"]:
            raise UserError(
                f"bag {path} holds no image topic that looks like colour or depth; its topics: {sorted(found)}"
            )
        main = self.topics["rgb"] or self.topics["depth"]
        self.rate_hz = max(1.0, round(counts[str(main)] / duration_s, 1))
        self.camera = self._camera([t for t, kind in found.items() if kind == "sensor_msgs/msg/CameraInfo"])

    def __iter__(self) -> Iterator[SourceFrame]:
        labels = self._labels()
        for role, message in self._messages("rgb", "depth"):
            stamp = _stamp_ns(message)
            image = _color(message, self.path) if role == "rgb" else _depth(message, self.path)
            yield SourceFrame(Sensor(role), stamp, image, labels.get(stamp))

    def _labels(self) -> dict[int, npt.NDArray[np.uint8]]:
        return {_stamp_ns(m): _mono(m, self.path) for _, m in self._messages("label")} if self.topics["label"] else {}

    def _messages(self, *roles: str) -> Iterator[tuple[str, Any]]:
        topics = {self.topics[role]: role for role in roles if self.topics[role]}
        with self._reader() as reader:
            wanted = [c for c in reader.connections if c.topic in topics]
            for connection, _, raw in reader.messages(connections=wanted):
                yield topics[connection.topic], reader.deserialize(raw, connection.msgtype)

    def _reader(self) -> Any:
        try:
            from rosbags.highlevel import AnyReader, AnyReaderError
            from rosbags.typesys import Stores, get_typestore
        except ImportError as error:
            raise UserError("reading bags needs the package rosbags: pip install rosbags") from error
        # a bag is its folder; a storage file inside a bag folder stands for the bag
        inside = self.path.is_file() and (self.path.parent / "metadata.yaml").is_file()
        try:
            reader = AnyReader(
                [self.path.parent if inside else self.path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)
            )
            return _Opened(reader, self.path)
        except (AnyReaderError, OSError, ValueError) as error:
            raise UserError(f"{self.path} cannot be read as a rosbag2: {error}") from error

    def _camera(self, info_topics: list[str]) -> Camera:
        near = sorted(info_topics, key=lambda t: (_common(t, str(self.topics["rgb"] or self.topics["depth"])), t))
        if near:
            with self._reader() as reader:
                wanted = [c for c in reader.connections if c.topic == near[-1]]
                for connection, _, raw in reader.messages(connections=wanted):
                    info = reader.deserialize(raw, connection.msgtype)
                    if info.k[0] > 0:
                        return Camera(info.width, info.height, info.k[0], info.k[4], info.k[2], info.k[5])
        height, width = next(iter(self)).image.shape[:2]
        return Camera.default(width, height)


class _Opened:
    """Context manager that turns the reader's own errors into a sentence."""

    def __init__(self, reader: Any, path: Path) -> None:
        self._reader, self._path = reader, path

    def __enter__(self) -> Any:
        from rosbags.highlevel import AnyReaderError

        try:
            return self._reader.__enter__()
        except (AnyReaderError, OSError, ValueError, AssertionError) as error:
            raise UserError(f"{self._path} cannot be read as a rosbag2: {error}") from error

    def __exit__(self, *exc: object) -> None:
        self._reader.__exit__(*exc)


def _stated_label_set(path: Path) -> str:
    """The label set that the bag's metadata names; empty where it names none."""
    metadata = (path if path.is_dir() else path.parent) / "metadata.yaml"
    if not metadata.is_file():
        return ""
    facts = yaml.safe_load(metadata.read_text()).get("rosbag2_bagfile_information", {})
    return str((facts.get("custom_data") or {}).get("label_set", ""))


def _choose(
    what: str, named: str | None, images: list[str], words: tuple[str, ...], never: tuple[str, ...]
) -> str | None:
    if named is not None:
        if named not in images:
            raise UserError(f"the bag has no image topic {named} for {what}; image topics: {sorted(images)}")
        return named
    fitting = [t for t in images if any(w in t.lower() for w in words) and not any(w in t.lower() for w in never)]
    # raw before compressed, depth registered to colour before depth alone, then the shortest name
    fitting.sort(key=lambda t: ("compressed" in t.lower(), "registered" not in t and "aligned" not in t, len(t), t))
    return fitting[0] if fitting else None


def _common(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _stamp_ns(message: Any) -> int:
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def _pixels(message: Any, dtype: type, channels: int, path: Path) -> npt.NDArray[Any]:
    """The image of a raw message as H x W (x channels), row padding taken off."""
    row = message.width * channels * np.dtype(dtype).itemsize
    if message.step < row or message.data.size < message.step * message.height:
        raise UserError(f"{path} holds a truncated {message.encoding} image at {_stamp_ns(message)}")
    rows = message.data[: message.step * message.height].reshape(message.height, message.step)[:, :row]
    stored = np.dtype(dtype).newbyteorder(">" if message.is_bigendian else "<")
    image: npt.NDArray[Any] = np.ascontiguousarray(rows).view(stored).astype(dtype, copy=False)
    return image.reshape(message.height, message.width, channels) if channels > 1 else image


def _color(message: Any, path: Path) -> npt.NDArray[np.uint8]:
    if not hasattr(message, "encoding"):
        decoded = cv2.imdecode(message.data, cv2.IMREAD_COLOR)
        if decoded is None:
            raise UserError(f"{path} holds a {message.format} colour image that cannot be decoded")
        return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8, copy=False)
    if message.encoding in ("mono8", "8UC1"):
        return np.repeat(_pixels(message, np.uint8, 1, path)[..., None], 3, axis=2)
    if message.encoding not in TO_RGB:
        raise UserError(f"{path} holds {message.encoding} colour; played are {', '.join(TO_RGB)}, mono8 and compressed")
    channels = 4 if "a" in message.encoding else 3
    image = _pixels(message, np.uint8, channels, path)
    picked = TO_RGB[message.encoding]
    return image if picked is None else np.ascontiguousarray(image[..., picked])


def _depth(message: Any, path: Path) -> npt.NDArray[Any]:
    if not hasattr(message, "encoding"):
        # a format that names no encoding is that of a plain 16-bit image file
        form = message.format if ";" in message.format else f"16UC1; {message.format}"
        try:
            return decode_compressed_depth(message.data, form)[0]
        except DecodeError as error:
            raise UserError(
                f"{path} holds a depth image of format {message.format!r} that cannot be decoded: {error}"
            ) from error
    if message.encoding not in DEPTH:
        raise UserError(f"{path} holds {message.encoding} depth; played are {', '.join(DEPTH)} and compressedDepth")
    return _pixels(message, DEPTH[message.encoding], 1, path)


def _mono(message: Any, path: Path) -> npt.NDArray[np.uint8]:
    if getattr(message, "encoding", "") not in ("mono8", "8UC1"):
        raise UserError(f"{path} holds ground truth that is not mono8")
    return _pixels(message, np.uint8, 1, path)

"""Any source of frames as a rosbag2 (mcap or sqlite3), written with `rosbags`: no ROS installation is needed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.source import Image, Source, SourceFrame

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
TOPICS = {"rgb": "/camera/rgb/image_raw", "depth": "/camera/depth/image_raw"}
INFO_TOPIC = "/camera/rgb/camera_info"
LABEL_TOPIC = "/ground_truth/label_image"
FRAME_ID = "camera_rgb_optical_frame"
EPOCH_NS = 1_700_000_000 * 10**9
"""Sources whose stamps begin near zero are moved here: a stamp of zero means "unknown" to many tools."""
# Files of this version are read by Humble and everything after it.
BAG_VERSION = 8


def _encoding(image: Image) -> str:
    """Encoding of the image topics. Raises `UserError` for arrays that are none of theirs."""
    if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return "rgb8"
    encodings = {"u1": "mono8", "u2": "16UC1", "f4": "32FC1"}
    kind = f"{image.dtype.kind}{image.dtype.itemsize}"
    if image.ndim != 2 or kind not in encodings:
        raise UserError(f"A bag cannot hold an image of shape {image.shape} and type {image.dtype}.")
    return encodings[kind]


class BagWriter:
    """Writes frames to a bag; use it as a context manager.

    The bag appears under its name when the block ends without an exception; otherwise nothing is left.
    """

    def __init__(self, out: Path, source: Source, storage: str = "mcap", frame_id: str = FRAME_ID) -> None:
        """Begin a bag.

        Args:
            out: folder of the bag; must not exist.
            source: gives camera, label set and name.
            storage: mcap or sqlite3.
            frame_id: TF frame of all images, which are registered to colour.

        Raises:
            UserError: `out` exists, or the storage is unknown.
        """
        if storage not in STORAGES:
            raise UserError(f"Bag storage {storage!r} is unknown: choose {' or '.join(STORAGES)}.")
        if out.exists():
            raise UserError(f"{out} exists already: choose another folder or delete it.")
        self.out = out
        self._camera, self._label_set, self._frame_id = source.camera, source.label_set, frame_id
        self._storage = STORAGES[storage]
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._offset: int | None = None
        self._labelled_ns: int | None = None
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> BagWriter:
        """Open the bag in a folder of its own beside `out`."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        # The storage file takes its name from the folder, so the bag is written under its final name elsewhere.
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self.out.name}.", dir=self.out.parent))
        self._writer = Writer(self._folder / self.out.name, version=BAG_VERSION, storage_plugin=self._storage)  # type: ignore[arg-type]
        self._writer.open()
        if self._label_set:
            self._writer.set_custom_data("label_set", self._label_set.name)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Close the bag and put it in place, or remove it after an exception."""
        try:
            self._writer.close()
            if kind is None:
                (self._folder / self.out.name).replace(self.out)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, frame: SourceFrame) -> None:
        """Write one frame: its image, camera_info with colour, and the ground truth once per stamp."""
        if self._offset is None:
            self._offset = EPOCH_NS if frame.stamp_ns < 10**9 else 0
        stamp_ns = frame.stamp_ns + self._offset
        self._write_image(TOPICS[frame.sensor.value], stamp_ns, frame.image)
        if frame.sensor is Sensor.RGB:
            self._write(INFO_TOPIC, "sensor_msgs/msg/CameraInfo", stamp_ns, self._camera_info(stamp_ns))
        if frame.label is not None and stamp_ns != self._labelled_ns:
            self._write_image(LABEL_TOPIC, stamp_ns, frame.label)
            self._labelled_ns = stamp_ns

    def _write(self, topic: str, kind: str, stamp_ns: int, message: Any) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._types)
        self._writer.write(self._connections[topic], stamp_ns, self._types.serialize_cdr(message, kind))

    def _header(self, stamp_ns: int) -> Any:
        time = self._types.types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
        return self._types.types["std_msgs/msg/Header"](stamp=time, frame_id=self._frame_id)

    def _write_image(self, topic: str, stamp_ns: int, image: Image) -> None:
        pixels = np.ascontiguousarray(image)
        message = self._types.types["sensor_msgs/msg/Image"](
            header=self._header(stamp_ns),
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=_encoding(pixels),
            is_bigendian=0,
            step=pixels.strides[0],
            data=pixels.reshape(-1).view(np.uint8),
        )
        self._write(topic, "sensor_msgs/msg/Image", stamp_ns, message)

    def _camera_info(self, stamp_ns: int) -> Any:
        camera = self._camera
        matrix = np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1], np.float64)
        types = self._types.types
        region = types["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
        return types["sensor_msgs/msg/CameraInfo"](
            header=self._header(stamp_ns),
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=matrix,
            r=np.eye(3).ravel(),
            p=np.hstack([matrix.reshape(3, 3), np.zeros((3, 1))]).ravel(),
            binning_x=0,
            binning_y=0,
            roi=region,
        )


def write_bag(
    source: Source,
    out: Path,
    storage: str = "mcap",
    duration_s: float | None = None,
    frames: Iterable[SourceFrame] | None = None,
) -> int:
    """Write (the first `duration_s` seconds of) a source as a bag and return the number of images.

    Args:
        source: what to write.
        out: folder of the bag; must not exist.
        storage: mcap or sqlite3.
        duration_s: None writes everything.
        frames: frames to write in place of the source's own, e.g. to watch them go by.

    Raises:
        UserError: `out` exists, the storage is unknown, or the source gives no frame.
    """
    count, first = 0, None
    with BagWriter(out, source, storage) as bag:
        for frame in source if frames is None else frames:
            first = frame.stamp_ns if first is None else first
            if duration_s is not None and frame.stamp_ns - first >= duration_s * 1e9:
                break
            bag.add(frame)
            count += 1
        if not count:
            raise UserError(f"{source.name} gives no frames: nothing to put into {out}.")
    return count

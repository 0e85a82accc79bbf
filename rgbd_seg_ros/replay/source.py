"""What can be played: a common face over folders, packed sequences and bags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.scenes.camera import Camera

Image = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One image as the camera took it.

    Attributes:
        sensor: which stream.
        stamp_ns: time of the image, nanoseconds, any epoch, never falling within a source.
        image: RGB uint8 H x W x 3, or depth H x W as uint16 millimetres or float32 metres.
        label: ground truth uint8 H x W (255 = none) of this view, or None.
    """

    sensor: Sensor
    stamp_ns: int
    image: Image = field(repr=False, compare=False)
    label: npt.NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)


class Source(Protocol):
    """Frames in stamp order, with what is known about the camera."""

    name: str
    camera: Camera
    label_set: LabelSet | None
    rate_hz: float

    def __iter__(self) -> Iterator[SourceFrame]: ...


def open_source(path: Path | str, **options: object) -> Source:
    """Opens a packed sequence, a prepared data set, a rosbag2 (folder, .mcap or .db3) or a folder of frames.

    Options go to the reader: `rgb_topic`, `depth_topic`, `label_topic` for bags, `rate_hz`, `depth_scale` for folders.

    Raises:
        UserError: when there is nothing at `path` that can be played.
    """
    from rgbd_seg_ros.replay import bag_source, folder_source, sequence, set_source

    path = Path(path)
    if not path.exists():
        raise UserError(f"there is nothing at {path}: give a folder of rgb and depth images or a rosbag2")
    if sequence.is_sequence(path):
        return sequence.Sequence(path)
    if (path / "manifest.json").is_file():
        rate = options.get("rate_hz")
        return set_source.SetSource(path, rate_hz=float(str(rate)) if rate else None)
    reader = bag_source.BagSource if bag_source.is_bag(path) else folder_source.FolderSource
    return reader(path, **options)  # type: ignore[arg-type]

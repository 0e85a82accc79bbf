"""A prepared data set as a source of frames: its samples follow each other at a frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.source import SourceFrame
from rgbd_seg_ros.scenes.camera import Camera

MILLIMETRE = 0.001


class SetSource:
    """Samples of one split, in the order of their names."""

    def __init__(
        self, path: Path | str, split: str | None = None, rate_hz: float | None = None, only: str = ""
    ) -> None:
        """Opens a prepared set.

        Args:
            path: prepared set, or RGB/Label folders.
            split: its split; default `test`, or the first where there is none.
            rate_hz: default the set's own rate, or 10 where samples do not follow each other in time.
            only: take the samples whose name begins so (a trajectory of Mid-Air, for example).

        Raises:
            UserError: no such set or split, no sample of that name, or samples of different sizes without a camera.
        """
        self._set = PreparedSet.open(path)
        chosen = split or ("test" if "test" in self._set.splits else self._set.splits[0])
        self._names = sorted(name for name in self._set.names(chosen) if name.startswith(only))
        if not self._names:
            raise UserError(f"Split {chosen} of {path} has no sample whose name begins with {only!r}.")
        self.name = f"{self._set.manifest.name} {chosen}"
        self.label_set: LabelSet | None = self._set.label_set
        self.rate_hz = rate_hz or self._set.manifest.rate_hz or 10.0
        self.camera = self._camera()

    def _camera(self) -> Camera:
        known = self._set.camera(self._names[0])
        if known is None:
            height, width = self._set.read_label(self._names[0]).shape
            return Camera.default(width, height)
        return Camera(known.width, known.height, known.fx, known.fy, known.cx, known.cy)

    def __iter__(self) -> Iterator[SourceFrame]:
        """Colour and depth of every sample, with the same stamp and ground truth."""
        unit = self._set.metres_per_unit
        for number, name in enumerate(self._names):
            sample = self._set.read(name)
            if sample.label.shape != (self.camera.height, self.camera.width):
                raise UserError(
                    f"Sample {name} is {sample.label.shape[1]}x{sample.label.shape[0]}, the first one "
                    f"{self.camera.width}x{self.camera.height}: choose samples of one size by the start of their name."
                )
            stamp_ns = round(number * 1e9 / self.rate_hz)
            depth = sample.depth if unit == MILLIMETRE else sample.depth.astype(np.float32) * np.float32(unit)
            yield SourceFrame(Sensor.RGB, stamp_ns, sample.rgb, sample.label)
            yield SourceFrame(Sensor.DEPTH, stamp_ns, depth, sample.label)

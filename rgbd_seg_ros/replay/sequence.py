"""A packed sequence: raw memory-mapped frames on disk, so that a player needs no decoder and hardly any CPU."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS, LabelSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.source import SourceFrame
from rgbd_seg_ros.scenes.camera import Camera

FACTS = "sequence.json"
FORMAT = 1
BLOCK_BYTES = 1 << 16
HASHED_BLOCKS = 1 << 12


def is_sequence(path: Path) -> bool:
    """True for a folder that `SequenceWriter` finished."""
    return (path / FACTS).is_file()


class Sequence:
    """Reads a packed sequence; also gives the frames by number and bounces back and forth for long plays."""

    def __init__(self, folder: Path | str) -> None:
        """Opens `folder`.

        Raises:
            UserError: when it is no packed sequence, or a damaged one.
        """
        self.folder = Path(folder)
        try:
            facts = json.loads((self.folder / FACTS).read_text())
            if facts["format"] != FORMAT:
                raise UserError(f"{folder} is a packed sequence of format {facts['format']}: delete it and pack again")
            self.name: str = facts["name"]
            self.camera = Camera(**facts["camera"])
            self.label_set: LabelSet | None = LABEL_SETS[facts["label_set"]] if facts["label_set"] else None
            self.rate_hz: float = facts["rate_hz"]
            self.facts: dict[str, Any] = facts
            self._streams = {Sensor(name): _Stream(self.folder, stream) for name, stream in facts["streams"].items()}
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{folder} is a damaged packed sequence ({error}): delete it and pack again") from error
        self._labels = _open_raw(self.folder / "label.raw", facts["labels"]) if facts["labels"] else None

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """The streams that hold at least one frame."""
        return tuple(sensor for sensor, stream in self._streams.items() if len(stream.stamps))

    def count(self, sensor: Sensor) -> int:
        """Number of packed frames of one stream."""
        return len(self._streams[sensor].stamps) if sensor in self._streams else 0

    @property
    def duration_s(self) -> float:
        """From the first frame to one period after the last, seconds."""
        stamps = [stamp for stream in self._streams.values() for stamp in stream.stamps]
        return (max(stamps) - min(stamps)) / 1e9 + 1.0 / self.rate_hz if stamps else 0.0

    @property
    def digest(self) -> str:
        """Hash of the images and labels, see `_file_digest`; read once as long as the files stay as they are."""
        parts = []
        for path in sorted(self.folder.glob("*.raw")):
            facts = path.stat()
            parts.append(f"{path.name} {_file_digest(path, facts.st_size, facts.st_mtime_ns)}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def rate_of(self, sensor: Sensor) -> float:
        """Frames per second of one stream: by its stamps, or what the sequence says where they are too few."""
        stamps = self._streams[sensor].stamps if sensor in self._streams else []
        step = float(np.median(np.diff(stamps))) if len(stamps) > 2 else 0.0
        return 1e9 / step if step > 0 else self.rate_hz

    def frame(self, sensor: Sensor, index: int) -> SourceFrame:
        """Frame `index` of a stream: views of the memory map, nothing is copied."""
        stream = self._streams[sensor]
        label_row = stream.labels[index]
        label = self._labels[label_row] if self._labels is not None and label_row >= 0 else None
        return SourceFrame(sensor, stream.stamps[index], stream.images[index], label)

    def __iter__(self) -> Iterator[SourceFrame]:
        order = sorted(
            (stamp, sensor is Sensor.DEPTH, index)
            for sensor, stream in self._streams.items()
            for index, stamp in enumerate(stream.stamps)
        )
        for _, is_depth, index in order:
            yield self.frame(Sensor.DEPTH if is_depth else Sensor.RGB, index)

    def bounced(self, duration_ns: int) -> Iterator[SourceFrame]:
        """The sequence forth and back until `duration_ns`, with stamps that go on rising.

        Each turn mirrors the stamps in time, so that spacing and pairing stay as they were taken.
        """
        frames = [(f.stamp_ns, sensor, i) for sensor in self.sensors for i, f in enumerate(self._headers(sensor))]
        if not frames:
            return
        frames.sort(key=lambda item: (item[0], item[1] is Sensor.DEPTH))
        first, last = frames[0][0], frames[-1][0]
        period = round(1e9 / self.rate_hz)
        lap, turn = last - first + period, 0
        while turn * lap <= duration_ns:
            forward = turn % 2 == 0
            timed = [(s - first if forward else last - s, sensor, i) for s, sensor, i in frames]
            timed.sort(key=lambda item: (item[0], item[1] is Sensor.DEPTH))
            for offset, sensor, index in timed:
                if turn * lap + offset >= duration_ns:
                    return
                frame = self.frame(sensor, index)
                yield SourceFrame(sensor, first + turn * lap + offset, frame.image, frame.label)
            turn += 1

    def _headers(self, sensor: Sensor) -> Iterable[SourceFrame]:
        return (self.frame(sensor, index) for index in range(self.count(sensor)))


class _Stream:
    """Raw frames, stamps and label rows of one sensor."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.stamps: list[int] = facts["stamps_ns"]
        self.labels: list[int] = facts["labels"]
        self.images = _open_raw(folder / facts["file"], facts)


@lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    """Hash of a file's size and content; of one above 256 MiB, of every n-th block, so that a second or so is enough.

    `mtime_ns` is there for the cache only: a file that was written again is read again.
    """
    digest = hashlib.sha256(str(size).encode())
    stride = 1 + size // (BLOCK_BYTES * HASHED_BLOCKS)
    with path.open("rb") as file:
        for start in range(0, size, stride * BLOCK_BYTES):
            file.seek(start)
            digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()


def _open_raw(path: Path, facts: dict[str, Any]) -> npt.NDArray[Any]:
    shape = tuple(facts["shape"])
    if not shape[0]:
        return np.empty(shape, facts["dtype"])
    expected = int(np.prod(shape)) * np.dtype(facts["dtype"]).itemsize
    if path.stat().st_size != expected:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, not {expected}")
    return np.memmap(path, dtype=facts["dtype"], mode="r", shape=shape)


class SequenceWriter:
    """Packs frames into a folder; the folder appears only when everything is in it."""

    def __init__(self, folder: Path, *, name: str, camera: Camera, label_set: LabelSet | None, rate_hz: float) -> None:
        self.folder = folder
        self._partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._facts: dict[str, Any] = {
            "format": FORMAT,
            "name": name,
            "camera": asdict(camera),
            "label_set": label_set.name if label_set else None,
            "rate_hz": rate_hz,
            "streams": {},
            "labels": None,
        }
        self._last_label: tuple[npt.NDArray[np.uint8], int] | None = None

    def add(self, frame: SourceFrame) -> None:
        """Appends one frame; a label that is the very array of the frame before is stored once.

        Raises:
            UserError: when the size or type of a stream changes.
        """
        stream = self._facts["streams"].setdefault(
            frame.sensor.value, {"file": f"{frame.sensor.value}.raw", "stamps_ns": [], "labels": []}
        )
        self._append(stream, stream["file"], frame.image)
        stream["stamps_ns"].append(int(frame.stamp_ns))
        stream["labels"].append(self._label_row(frame.label))

    def _label_row(self, label: npt.NDArray[np.uint8] | None) -> int:
        if label is None:
            return -1
        if self._last_label is None or self._last_label[0] is not label:
            facts = self._facts["labels"] = self._facts["labels"] or {}
            self._append(facts, "label.raw", label)
            self._last_label = (label, facts["shape"][0] - 1)
        return self._last_label[1]

    def _append(self, facts: dict[str, Any], file: str, image: npt.NDArray[Any]) -> None:
        shape = facts.setdefault("shape", [0, *image.shape])
        dtype = facts.setdefault("dtype", image.dtype.str)
        if shape[1:] != list(image.shape) or dtype != image.dtype.str:
            raise UserError(f"frame {shape[0]} for {file} is {image.shape} {image.dtype}, the ones before {shape[1:]}")
        with (self._partial / file).open("ab") as out:
            out.write(np.ascontiguousarray(image).data.cast("B"))
        shape[0] += 1

    def finish(self) -> Sequence:
        """Puts the folder in place and opens it.

        Raises:
            UserError: when no frame was added.
        """
        if not self._facts["streams"]:
            shutil.rmtree(self._partial)
            raise UserError(f"{self._facts['name']} holds no frames to play")
        (self._partial / FACTS).write_text(json.dumps(self._facts))
        shutil.rmtree(self.folder, ignore_errors=True)
        self._partial.replace(self.folder)
        return Sequence(self.folder)

    def abandon(self) -> None:
        """Removes what was written so far."""
        shutil.rmtree(self._partial, ignore_errors=True)


def pack(
    source: Any, folder: Path, duration_s: float | None = None, progress: Callable[[int], None] | None = None
) -> Sequence:
    """Packs (the first `duration_s` seconds of) a source into `folder`; `progress` hears the number of frames done."""
    writer = SequenceWriter(
        folder, name=source.name, camera=source.camera, label_set=source.label_set, rate_hz=source.rate_hz
    )
    first: int | None = None
    try:
        for count, frame in enumerate(source):
            first = frame.stamp_ns if first is None else first
            if duration_s is not None and frame.stamp_ns - first > duration_s * 1e9:
                break
            writer.add(frame)
            if progress:
                progress(count + 1)
        return writer.finish()
    except BaseException:
        writer.abandon()
        raise

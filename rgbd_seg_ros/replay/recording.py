"""What was sent to the node and what came back, in one object: the input of every report."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.errors import UserError

PLAYER_FILE = "player.json"
RECORDER_FILE = "recorder.json"
LABEL_FILE = "labels.raw"

Label = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SentFrame:
    """One message that left the player.

    Attributes:
        sensor: its stream.
        index: number of the source frame within the stream (a frame sent twice has one number).
        time_ns: when the frame was taken or released, on the play's clock.
        stamp_ns: stamp in its header.
        sent_ns: steady time of the publication.
        faults: faults active on the stream at that moment; empty for a healthy frame.
    """

    sensor: Sensor
    index: int
    time_ns: int
    stamp_ns: int
    sent_ns: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelOutput:
    """One label image with its status.

    Attributes:
        at_ns: steady time at which it was received.
        stamp_ns: stamp of the label image.
        mode: model that made it.
        stamps: stamps of the frames that it covers.
        times_ms: the status's times (`latency_ms`, `inference_ms`, ...), those that were known.
        label: H x W uint8, or None where images were not kept.
    """

    at_ns: int
    stamp_ns: int
    mode: Mode
    stamps: dict[Sensor, int]
    times_ms: dict[str, float]
    label: Label | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class DroppedFrame:
    """A frame that the node says it dropped; `at_ns` is when the status arrived."""

    at_ns: int
    sensor: Sensor
    stamp_ns: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A change of mode at steady time `at_ns`."""

    at_ns: int
    before: Mode
    after: Mode
    cause: str


@dataclass(frozen=True, slots=True)
class HealthSample:
    """Mode and sensor states at the time of one status."""

    at_ns: int
    mode: Mode
    states: dict[Sensor, str]


@dataclass
class Recording:
    """Everything that is known about one play.

    Attributes:
        started_ns: steady time of moment 0 of the play's clock.
        duration_ns: length of the play.
        sent: messages in the order of their publication.
        outputs: label images in the order of their arrival.
        drops, switches, health: as the node reported them.
        received: messages that reached the node, by its own count.
        memory: (steady time, resident MiB) of the node's process; empty where it was not watched.
        unexplained_labels: label images that came without a status or statuses without a label image.
        lockstep: frames were sent as the node answered, not at their times.
        scale: speed of the play: its clock runs so many times as fast as steady time.
    """

    started_ns: int
    duration_ns: int
    sent: list[SentFrame] = field(default_factory=list)
    outputs: list[LabelOutput] = field(default_factory=list)
    drops: list[DroppedFrame] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    health: list[HealthSample] = field(default_factory=list)
    received: dict[Sensor, int] = field(default_factory=lambda: dict.fromkeys(Sensor, 0))
    memory: list[tuple[int, float]] = field(default_factory=list)
    unexplained_labels: int = 0
    lockstep: bool = False
    scale: float = 1.0

    def play_s(self, steady_ns: int) -> float:
        """Steady time as seconds of the play's clock; in lockstep, counted on from the message that was sent last."""
        number = bisect_right(self._sent_ns, steady_ns) - 1 if self.lockstep else -1
        if number < 0:
            return (steady_ns - self.started_ns) * self.scale / 1e9
        last = self.sent[number]
        return (last.time_ns + steady_ns - last.sent_ns) / 1e9

    def steady_ns(self, play_ns: int) -> int:
        """Steady time at which the play's clock, at the pace of the cameras, shows `play_ns`."""
        return self.started_ns + round(play_ns / self.scale)

    @cached_property
    def _sent_ns(self) -> list[int]:
        return [frame.sent_ns for frame in self.sent]


def write_player_log(
    path: Path,
    started_ns: int,
    duration_ns: int,
    sent: Iterable[SentFrame],
    lockstep: bool = False,
    scale: float = 1.0,
) -> None:
    """Writes what the player sent, and at which speed."""
    rows = [[f.sensor.value, f.index, f.time_ns, f.stamp_ns, f.sent_ns, list(f.faults)] for f in sent]
    facts = {"started_ns": started_ns, "duration_ns": duration_ns, "lockstep": lockstep, "scale": scale}
    _write_json(path, {**facts, "sent": rows})


def write_recorder_log(path: Path, labels: Iterable[Sequence[Any]], statuses: Iterable[Sequence[Any]]) -> None:
    """Writes what the recorder heard, row by row, so that whoever waits for it sees it grow (`recorder_written`).

    Args:
        path: the JSON file.
        labels: rows of [received_ns, stamp_ns, height, width, offset in the label file or -1].
        statuses: rows of [received_ns, stamp_ns, {key: value}] of the node's status.
    """
    partial = _partial(path)
    with partial.open("w") as file:
        for head, rows in (('{"labels": [\n', labels), ('\n], "statuses": [\n', statuses)):
            file.write(head)
            for number, row in enumerate(rows):
                file.write(f"{',' if number else ''}{json.dumps(row)}\n")
        file.write("]}\n")
    partial.replace(path)


def recorder_written(folder: Path) -> int:
    """Bytes of the recorder's files in `folder`: while it decodes what it spooled, this number grows."""
    files = (folder / LABEL_FILE, folder / RECORDER_FILE, _partial(folder / RECORDER_FILE))
    return sum(file.stat().st_size for file in files if file.exists())


def load_recording(folder: Path) -> Recording:
    """Joins the two logs of a play.

    Raises:
        UserError: when one is missing or damaged.
    """
    try:
        player = json.loads((folder / PLAYER_FILE).read_text())
        recorder = json.loads((folder / RECORDER_FILE).read_text())
        recording = Recording(player["started_ns"], player["duration_ns"], lockstep=player["lockstep"])
        recording.scale = float(player.get("scale", 1.0))  # older logs do not state it
        recording.sent = [
            SentFrame(Sensor(s), i, t, stamp, sent, tuple(faults)) for s, i, t, stamp, sent, faults in player["sent"]
        ]
        _read_statuses(recording, recorder["statuses"], _Labels(folder / LABEL_FILE, recorder["labels"]))
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"the logs of the play in {folder} are not complete ({error}); play again") from error
    return recording


class _Labels:
    """Label images by stamp, each handed out once, oldest first among equal stamps."""

    def __init__(self, file: Path, rows: Sequence[Sequence[int]]) -> None:
        self._rows: dict[int, list[Sequence[int]]] = {}
        for row in rows:
            self._rows.setdefault(row[1], []).append(row)
        has_pixels = file.exists() and file.stat().st_size > 0
        self._pixels = np.memmap(file, np.uint8, "r") if has_pixels else None

    def take(self, stamp_ns: int) -> tuple[int, Label | None] | None:
        """(time of arrival, image) of the oldest label image left with this stamp."""
        rows = self._rows.get(stamp_ns)
        if not rows:
            return None
        received_ns, _, height, width, offset = rows.pop(0)
        if self._pixels is None or offset < 0:
            return received_ns, None
        return received_ns, self._pixels[offset : offset + height * width].reshape(height, width)

    def left(self) -> int:
        """Label images that nobody asked for."""
        return sum(len(rows) for rows in self._rows.values())


def _read_statuses(recording: Recording, statuses: Sequence[Sequence[Any]], labels: _Labels) -> None:
    for received_ns, stamp_ns, values in statuses:
        mode = Mode(values["mode"])
        covered = {s: int(values[f"{s.value}_stamp_ns"]) for s in Sensor if values.get(f"{s.value}_stamp_ns")}
        if covered and mode is not Mode.NONE:
            found = labels.take(stamp_ns)
            if found is None:
                recording.unexplained_labels += 1
            else:
                output = LabelOutput(found[0], stamp_ns, mode, covered, _times(values), found[1])
                recording.outputs.append(output)
        recording.drops += [
            DroppedFrame(received_ns, Sensor(sensor), stamp, reason)
            for sensor, stamp, reason, *_ in json.loads(values.get("drops") or "[]")
        ]
        recording.switches += [
            Switch(at_ns, Mode(before), Mode(after), cause)
            for at_ns, before, after, cause in json.loads(values.get("switches") or "[]")
        ]
        states = {s: values.get(f"{s.value}_state", "") for s in Sensor}
        recording.health.append(HealthSample(received_ns, mode, states))
        for sensor in Sensor:
            recording.received[sensor] = max(recording.received[sensor], int(values[f"received_{sensor.value}"]))
    recording.unexplained_labels += labels.left()


def _times(values: dict[str, str]) -> dict[str, float]:
    """The `*_ms` values that are numbers (`n/a` before something is known)."""
    times = {}
    for key, value in values.items():
        if key.endswith("_ms") and value not in ("", "n/a"):
            times[key] = float(value)
    return times


def _write_json(path: Path, data: Any) -> None:
    partial = _partial(path)
    partial.write_text(json.dumps(data))
    partial.replace(path)


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")

"""Which sent frame each label image and each drop belongs to."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.replay.recording import DroppedFrame, LabelOutput, Recording, SentFrame


@dataclass
class JoinedFrame:
    """A sent frame and what became of it: `output`, `drop`, or neither."""

    sent: SentFrame
    output: LabelOutput | None = None
    drop: DroppedFrame | None = None
    lost: bool = False
    """Never reached the node, as far as the node's own count tells."""

    @property
    def accounted(self) -> bool:
        """Labelled or reported as dropped."""
        return self.output is not None or self.drop is not None


@dataclass
class Join:
    """All sent frames with their fate, and what could not be matched.

    Attributes:
        frames: in the order of publication.
        unmatched_drops: drops of messages without a readable stamp, or that nobody sent.
        unmatched_outputs: frames that a label image claims to cover but nobody sent.
    """

    frames: list[JoinedFrame]
    unmatched_drops: list[DroppedFrame] = field(default_factory=list)
    unmatched_outputs: int = 0

    def of(self, sensor: Sensor) -> list[JoinedFrame]:
        """The frames of one stream."""
        return [frame for frame in self.frames if frame.sent.sensor is sensor]

    @property
    def unlabelled_surviving(self) -> list[JoinedFrame]:
        """Frames that reached the node from a sensor without a fault at that moment and that no label image covers."""
        return [f for f in self.frames if f.output is None and not f.lost and not f.sent.faults]


def join(recording: Recording) -> Join:
    """Matches by sensor and stamp, newest frame sent before the event first: stamps may repeat after a clock reset."""
    frames = [JoinedFrame(sent) for sent in recording.sent]
    by_key: dict[tuple[Sensor, int], list[JoinedFrame]] = defaultdict(list)
    for frame in frames:
        by_key[frame.sent.sensor, frame.sent.stamp_ns].append(frame)
    result = Join(frames)
    for output in recording.outputs:
        for sensor, stamp_ns in output.stamps.items():
            found = _candidate(by_key[sensor, stamp_ns], output.at_ns)
            if found is None:
                result.unmatched_outputs += 1
            else:
                found.output = output
    for drop in recording.drops:
        found = None if drop.stamp_ns is None else _candidate(by_key[drop.sensor, drop.stamp_ns], drop.at_ns)
        if found is None:
            result.unmatched_drops.append(drop)
        else:
            found.drop = drop
    _mark_lost(result, recording)
    return result


def _candidate(frames: list[JoinedFrame], at_ns: int) -> JoinedFrame | None:
    earlier = [f for f in frames if not f.accounted and f.sent.sent_ns <= at_ns]
    return earlier[-1] if earlier else None


def _mark_lost(result: Join, recording: Recording) -> None:
    """Blames the transport for as many unaccounted frames as are missing from the node's own count, faulted ones first.

    Undecodable messages may be dropped without a stamp; those drops explain unaccounted frames of their sensor.
    """
    nameless = Counter(drop.sensor for drop in result.unmatched_drops)
    for sensor in Sensor:
        missing = [f for f in result.of(sensor) if not f.accounted]
        missing.sort(key=lambda f: not f.sent.faults)
        missing = missing[nameless[sensor] :]
        lost = max(0, len(result.of(sensor)) - recording.received[sensor])
        for frame in missing[:lost]:
            frame.lost = True

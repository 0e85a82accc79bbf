"""Makes frames for the core's tests: a virtual clock in nanoseconds, tiny images with given content."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.records import DropReason, WorkOrder
from rgbd_seg_ros.core.stream import RgbdStream, StreamConfig

MS = 1_000_000
PERIOD = 33_333_333
EPOCH = 1_700_000_000_000_000_000
ALL = frozenset({Mode.FUSION, Mode.RGB, Mode.DEPTH})


def image(sensor: Sensor, content: int) -> np.ndarray:
    """A small image with content that differs for each `content`."""
    rng = np.random.default_rng(content)
    if sensor is Sensor.RGB:
        return rng.integers(20, 230, (12, 16, 3), dtype=np.uint8)
    return rng.integers(500, 5000, (12, 16)).astype(np.uint16)


def frame(sensor: Sensor, stamp: int, arrival: int | None = None, content: int | None = None, **more) -> Frame:
    pixels = more.pop("image", None)
    if pixels is None:
        pixels = image(sensor, stamp % (1 << 31) if content is None else content)
    return Frame(sensor, stamp, stamp - EPOCH if arrival is None else arrival, pixels, **more)


@dataclass
class Rig:
    """Drives a stream with events in order of time, and calls `orders` at every deadline as its owner would."""

    config: StreamConfig = field(default_factory=StreamConfig)
    modes: frozenset[Mode] = ALL

    def __post_init__(self) -> None:
        self.stream = RgbdStream(self.config, self.modes)
        self.now = 0
        self.orders: list[tuple[int, WorkOrder]] = []
        self.drops = []
        self.switches = []
        self.accepted = 0

    def run_until(self, when: int) -> None:
        """Let time pass, waking at the deadlines."""
        while (deadline := self.stream.deadline_ns()) is not None and deadline < when:
            self.now = max(self.now + 1, deadline)
            if self.now >= when:
                break
            self._collect()
        self.now = max(self.now, when)
        self._collect()

    def give(self, item: Frame) -> None:
        """Deliver a frame when it has arrived and is decoded."""
        self.run_until(item.available_ns)
        self.accepted += 1
        self.stream.accept(item, self.now)
        self._collect()

    def reject(self, sensor: Sensor, when: int, detail: str = "truncated") -> None:
        self.run_until(when)
        self.accepted += 1
        self.stream.reject(sensor, None, DropReason.INVALID, detail, when)
        self._collect()

    def play(self, start: int, count: int, skip=lambda sensor, index: False, lag: int = 2 * MS, alter=None) -> int:
        """Frames `start`.. of a 30 Hz stream, depth `lag` behind colour; returns the next index."""
        for index in range(start, start + count):
            events = [(index * PERIOD, Sensor.RGB), (index * PERIOD + lag, Sensor.DEPTH)]
            for arrival, sensor in sorted(events):
                if skip(sensor, index):
                    continue
                item = frame(sensor, EPOCH + index * PERIOD, arrival)
                self.give(alter(item, index) if alter else item)
        return start + count

    def _collect(self) -> None:
        self.orders += [(self.now, o) for o in self.stream.orders(self.now)]
        self.drops += self.stream.take_drops()
        self.switches += self.stream.take_switches()

    @property
    def modes_out(self) -> list[Mode]:
        return [o.mode for _, o in self.orders]


def steady() -> tuple[Rig, int]:
    """A stream in fusion after 30 healthy pairs, and the index of the next pair."""
    rig = Rig()
    index = rig.play(0, 30)
    assert rig.stream.mode is Mode.FUSION
    return rig, index


def covered(rig: Rig) -> Counter:
    """How often each frame was ordered to be labelled."""
    return Counter((f.sensor, f.stamp_ns) for _, o in rig.orders for f in o.frames)

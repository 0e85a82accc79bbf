"""The faults of a scenario applied to a stream of records."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.replay.fault_kinds import Moment, fault_rng
from rgbd_seg_ros.replay.record import Record
from rgbd_seg_ros.replay.scenario import Scenario

if TYPE_CHECKING:  # the fault injector runs on robots, without what sources need
    from rgbd_seg_ros.replay.source import SourceFrame


class FaultInjector:
    """Turns healthy records into what a faulty camera and transport would send.

    Its only state is the last healthy record of each stream, which freezing faults repeat.
    """

    def __init__(self, scenario: Scenario, rate_hz: float, seed: int = 0) -> None:
        self.scenario = scenario
        self._period_ns = round(1e9 / rate_hz)
        self._seed = seed
        self._held: dict[Sensor, Record] = {}

    def feed(self, record: Record) -> list[Record]:
        """What is sent instead of a record; `time_ns` of a result may lie later than the record's."""
        blamed = tuple(fault.fault for fault in self.scenario.blamed(record.sensor, record.time_ns))
        faults = self.scenario.active(record.sensor, record.time_ns)
        if not faults:
            self._held[record.sensor] = record
        records = [replace(record, faults=blamed)]
        if not record.image.size:  # a camera that sends nothing at all is beyond any further fault
            return records
        for fault in faults:
            moment = Moment(
                strength=fault.level,
                start_ns=fault.start_ns,
                elapsed_ns=record.time_ns - fault.start_ns,
                held=self._held.get(record.sensor),
                rng=fault_rng(self._seed * 1009 + fault.seed, fault.fault, record.sensor, record.index),
                period_ns=self._period_ns,
            )
            records = [changed for one in records for changed in fault.kind.change(one, moment)]
        return records


def healthy_records(frames: Iterable[SourceFrame], epoch_ns: int, duration_ns: int) -> Iterator[Record]:
    """Frames as records that are sent as they were taken, from time 0 to `duration_ns`, stamped from `epoch_ns` on."""
    first: int | None = None
    counts = dict.fromkeys(Sensor, 0)
    for frame in frames:
        first = frame.stamp_ns if first is None else first
        time_ns = frame.stamp_ns - first
        if time_ns >= duration_ns:
            return
        yield Record.of_image(frame.sensor, counts[frame.sensor], time_ns, epoch_ns + time_ns, frame.image)
        counts[frame.sensor] += 1


def scheduled(records: Iterable[Record], injector: FaultInjector) -> Iterator[Record]:
    """The faulty records in the order in which they are sent."""
    waiting: list[tuple[int, int, Record]] = []
    serial = 0
    for record in records:
        while waiting and waiting[0][0] <= record.time_ns:
            yield heapq.heappop(waiting)[2]
        for out in injector.feed(record):
            heapq.heappush(waiting, (out.time_ns, serial, out))
            serial += 1
    while waiting:
        yield heapq.heappop(waiting)[2]

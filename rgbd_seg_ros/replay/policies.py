"""What other nodes do when a stream fails, and what a perfect one would do: yardsticks for the core.

They have the face of `core.stream.RgbdStream`, so that a simulation can run them on the same messages.
"""

from __future__ import annotations

from dataclasses import replace

from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.records import (
    Drop,
    DropReason,
    ModeSwitch,
    SensorReport,
    SensorState,
    StreamSnapshot,
    WorkOrder,
)
from rgbd_seg_ros.core.stream import RgbdStream
from rgbd_seg_ros.replay.scenario import Scenario

QUEUE = 10
"""Frames that a synchroniser keeps of each stream, as message_filters does by default in most nodes."""


class Synchroniser:
    """Waits for both streams, as a node built on an approximate-time synchroniser: pairs or nothing."""

    def __init__(self, tolerance_ns: int = 16_666_667) -> None:
        self._tolerance_ns = tolerance_ns
        self._waiting: dict[Sensor, list[Frame]] = {sensor: [] for sensor in Sensor}
        self._orders: list[WorkOrder] = []
        self._drops: list[Drop] = []
        self._received = dict.fromkeys(Sensor, 0)

    def accept(self, frame: Frame, now_ns: int) -> None:
        """Pairs the frame with the nearest one that waits, or lets it wait."""
        self._received[frame.sensor] += 1
        partners = self._waiting[frame.sensor.other]
        best = min(partners, key=lambda p: abs(p.stamp_ns - frame.stamp_ns), default=None)
        if best is None or abs(best.stamp_ns - frame.stamp_ns) > self._tolerance_ns:
            self._waiting[frame.sensor].append(frame)
            if len(self._waiting[frame.sensor]) > QUEUE:
                self._give_up(self._waiting[frame.sensor].pop(0))
            return
        for older in partners[: partners.index(best)]:
            self._give_up(older)
        del partners[: partners.index(best) + 1]
        pair = {frame.sensor: frame, best.sensor: best}
        self._orders.append(WorkOrder(Mode.FUSION, pair[Sensor.RGB], pair[Sensor.DEPTH], "a pair", now_ns, 0))

    def reject(self, sensor: Sensor, stamp_ns: int | None, reason: DropReason, detail: str, now_ns: int) -> None:
        """Counts the message."""
        self._received[sensor] += 1
        self._drops.append(Drop(sensor, stamp_ns, reason, detail))

    def orders(self, now_ns: int) -> list[WorkOrder]:
        """The pairs that have formed."""
        orders, self._orders = self._orders, []
        return orders

    def deadline_ns(self) -> int | None:
        """Never: it has no sense of time."""
        return None

    def flush(self, now_ns: int) -> None:
        """Drops what waits."""
        for frames in self._waiting.values():
            while frames:
                self._give_up(frames.pop())

    def take_drops(self) -> list[Drop]:
        """Drops since the last call."""
        drops, self._drops = self._drops, []
        return drops

    def take_switches(self) -> list[ModeSwitch]:
        """It has one mode only."""
        return []

    def snapshot(self, now_ns: int) -> StreamSnapshot:
        """It watches nothing."""
        return StreamSnapshot(Mode.FUSION, "", _unwatched(self._received))

    def _give_up(self, frame: Frame) -> None:
        self._drops.append(Drop(frame.sensor, frame.stamp_ns, DropReason.LATE, "no partner"))


class PerfectSwitch(Synchroniser):
    """Knows the scenario: drops the frames of a lost stream at once and labels the other alone without waiting."""

    def __init__(self, scenario: Scenario, transport_ns: int, tolerance_ns: int = 16_666_667) -> None:
        super().__init__(tolerance_ns)
        self._scenario, self._transport_ns = scenario, transport_ns

    def accept(self, frame: Frame, now_ns: int) -> None:
        """Uses the frame as the scenario's best mode says."""
        best = self._scenario.best_mode(max(0, frame.arrival_ns - self._transport_ns))
        if best is Mode.FUSION:
            super().accept(frame, now_ns)
            return
        self._received[frame.sensor] += 1
        if frame.sensor not in best.sensors:
            self._drops.append(Drop(frame.sensor, frame.stamp_ns, DropReason.INVALID, "known to be faulty"))
            return
        rgb, depth = (frame, None) if frame.sensor is Sensor.RGB else (None, frame)
        self._orders.append(WorkOrder(best, rgb, depth, "known", now_ns, 0))


class AlwaysFusion:
    """The core's pairing and health, but fusion whatever happens: a missing image is replaced by zeros.

    The best case of nodes that feed blank images to the fusion model; the orders it gives lack a frame, and the
    labeller puts the zeros in.
    """

    def __init__(self, stream: RgbdStream) -> None:
        self._stream = stream
        self.accept, self.reject, self.flush = stream.accept, stream.reject, stream.flush
        self.deadline_ns, self.take_drops, self.snapshot = stream.deadline_ns, stream.take_drops, stream.snapshot

    def orders(self, now_ns: int) -> list[WorkOrder]:
        """The stream's orders, all for the fusion model."""
        return [replace(order, mode=Mode.FUSION) for order in self._stream.orders(now_ns)]

    def take_switches(self) -> list[ModeSwitch]:
        """It has one mode only."""
        self._stream.take_switches()
        return []


def _unwatched(received: dict[Sensor, int]) -> dict[Sensor, SensorReport]:
    return {s: SensorReport(SensorState.OK, "", None, None, None, n) for s, n in received.items()}

"""A play without ROS and in virtual time: the same core as in the node, as fast as the machine labels.

Transport and inference take the times they are told to take, so that a run depends on its seed only.
Policies other than the core's (what other nodes do) have the same shape, see `policies.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.backlog import Backlog
from rgbd_seg_ros.core.frames import Frame, Sensor
from rgbd_seg_ros.core.records import Drop, DropReason, ModeSwitch, StreamSnapshot, WorkOrder
from rgbd_seg_ros.replay.record import ENCODINGS, Record
from rgbd_seg_ros.replay.recording import DroppedFrame, HealthSample, LabelOutput, Recording, SentFrame, Switch

Label = npt.NDArray[np.uint8]
Labeller = Callable[[WorkOrder], Label | None]
"""Makes the label image of a work order; None where only the timing is of interest."""

METRES_PER_UNIT = {"rgb8": 1.0, "16UC1": 0.001, "32FC1": 1.0}
STEP_NS = 1_000_000
"""Smallest advance of the virtual clock where nothing arrives."""


class Policy(Protocol):
    """The face of `core.stream.RgbdStream` that a simulation uses; see there."""

    def accept(self, frame: Frame, now_ns: int) -> None:
        """Take a frame."""

    def reject(self, sensor: Sensor, stamp_ns: int | None, reason: DropReason, detail: str, now_ns: int) -> None:
        """Count a message that is no frame."""

    def orders(self, now_ns: int) -> list[WorkOrder]:
        """Work that is due."""

    def deadline_ns(self) -> int | None:
        """When to ask again although nothing arrived."""

    def flush(self, now_ns: int) -> None:
        """Drop what waits."""

    def take_drops(self) -> list[Drop]:
        """Drops since the last call."""

    def take_switches(self) -> list[ModeSwitch]:
        """Switches since the last call."""

    def snapshot(self, now_ns: int) -> StreamSnapshot:
        """Mode and health."""


@dataclass(frozen=True, slots=True)
class SimulatedTimes:
    """How long things take in a simulation, nanoseconds: from camera to node, and one inference."""

    transport_ns: int = 3_000_000
    inference_ns: int = 15_000_000


def decode(record: Record, arrival_ns: int) -> Frame:
    """The frame that a node would make of the record's message.

    Raises:
        ValueError: when header and payload do not describe an image.
    """
    image = record.image
    fits = record.encoding == ENCODINGS.get((image.dtype.name, image.ndim))
    if record.encoding not in METRES_PER_UNIT or not fits:
        raise ValueError(f"encoding {record.encoding} is not supported for {record.sensor.value}")
    if image.nbytes < record.step * record.height:
        raise ValueError(f"truncated: {image.nbytes} bytes instead of {record.step * record.height}")
    return Frame(record.sensor, record.stamp_ns, arrival_ns, image, "camera", METRES_PER_UNIT[record.encoding])


def simulate(
    records: Iterable[Record], policy: Policy, label: Labeller, duration_ns: int, times: SimulatedTimes | None = None
) -> Recording:
    """Plays records into a policy; the result looks like a play over ROS that started at steady time 0."""
    run = _Run(policy, label, times or SimulatedTimes(), Recording(0, duration_ns))
    for record in records:
        run.advance(record.time_ns + run.times.transport_ns)
        run.arrive(record)
    run.finish(duration_ns)
    return run.recording


class _Run:
    """State of one simulation: the virtual clock, and the worker that is busy until `free_ns`."""

    def __init__(self, policy: Policy, label: Labeller, times: SimulatedTimes, recording: Recording) -> None:
        self.policy, self.label, self.times, self.recording = policy, label, times, recording
        self.backlog = Backlog()
        self.now_ns = 0
        self.free_ns = 0

    def advance(self, until_ns: int) -> None:
        """Everything that happens before `until_ns` with no new frame: deadlines and the end of an inference."""
        while True:
            waiting = self.free_ns if len(self.backlog) else None
            deadline = self.policy.deadline_ns()
            due = None if deadline is None else max(deadline, self.now_ns + STEP_NS)
            nexts = [t for t in (waiting, due) if t is not None and t < until_ns]
            if not nexts:
                return
            self._at(min(nexts))

    def arrive(self, record: Record) -> None:
        """One message reaches the node."""
        arrival_ns = record.time_ns + self.times.transport_ns
        self.now_ns = max(self.now_ns, arrival_ns)
        self.recording.sent.append(
            SentFrame(record.sensor, record.index, record.time_ns, record.stamp_ns, record.time_ns, record.faults)
        )
        self.recording.received[record.sensor] += 1
        try:
            self.policy.accept(decode(record, arrival_ns), self.now_ns)
        except ValueError as error:
            self.policy.reject(record.sensor, record.stamp_ns, DropReason.INVALID, str(error), self.now_ns)
        self._at(self.now_ns)

    def finish(self, duration_ns: int) -> None:
        """Half a second of silence, then the shutdown."""
        self.advance(max(duration_ns, self.now_ns) + 500_000_000)
        self.policy.flush(self.now_ns)
        self.backlog.clear()
        self._collect()

    def _at(self, now_ns: int) -> None:
        self.now_ns = max(self.now_ns, now_ns)
        for order in self.policy.orders(self.now_ns):
            self.backlog.push(order)
        if self.now_ns >= self.free_ns:
            oldest = self.backlog.pop(self.now_ns)
            if oldest is not None:
                self._label(oldest)
        self._collect()

    def _label(self, order: WorkOrder) -> None:
        self.free_ns = self.now_ns + self.times.inference_ns
        label = self.label(order)
        stamps = {frame.sensor: frame.stamp_ns for frame in order.frames}
        stamp_ns = order.rgb.stamp_ns if order.rgb is not None else order.frames[0].stamp_ns
        spent = {
            "latency_ms": (self.free_ns - order.arrival_ns) / 1e6,
            "wait_ms": order.waited_ns / 1e6,
            "queue_ms": (self.now_ns - order.created_ns) / 1e6,
            "inference_ms": self.times.inference_ns / 1e6,
        }
        self.recording.outputs.append(LabelOutput(self.free_ns, stamp_ns, order.mode, stamps, spent, label))

    def _collect(self) -> None:
        now, out = self.now_ns, self.recording
        drops = [*self.policy.take_drops(), *self.backlog.take_drops()]
        out.drops += [DroppedFrame(now, d.sensor, d.stamp_ns, d.reason.value) for d in drops]
        out.switches += [Switch(s.at_ns, s.before, s.after, s.cause) for s in self.policy.take_switches()]
        snapshot = self.policy.snapshot(now)
        states = {sensor: report.state.value for sensor, report in snapshot.sensors.items()}
        if not out.health or (out.health[-1].mode, out.health[-1].states) != (snapshot.mode, states):
            out.health.append(HealthSample(now, snapshot.mode, states))

"""Whether a play shows what the core promises: faults detected in time, no wrong switch."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.records import SensorState
from rgbd_seg_ros.replay.recording import Recording, Switch
from rgbd_seg_ros.replay.scenario import Fault, Scenario


@dataclass(frozen=True, slots=True)
class Detection:
    """How one fault was noticed on one stream.

    Attributes:
        fault: the fault.
        sensor: the stream.
        after_s: seconds of the play's clock from the start of the fault to the first expected state; None when it was
            never seen.
        state: that state.
    """

    fault: Fault
    sensor: Sensor
    after_s: float | None
    state: str | None

    @property
    def in_time(self) -> bool:
        """Whether it was noticed within the stated time."""
        return self.after_s is not None and self.after_s <= self.fault.kind.detected_s

    def to_dict(self) -> dict[str, Any]:
        """For reports."""
        return {
            "fault": self.fault.fault,
            "stream": self.sensor.value,
            "start_s": self.fault.start,
            "state": self.state,
            "after_s": None if self.after_s is None else round(self.after_s, 4),
            "stated_s": self.fault.kind.detected_s,
            "in_time": self.in_time,
        }


def detections(recording: Recording, scenario: Scenario) -> list[Detection]:
    """Every fault that loses its stream, with the moment at which the node noticed; none of a play in lockstep.

    In lockstep time passes as the node answers, and "noticed after 0.1 s" has no meaning. At another speed times stay
    those of the play's clock: what is stated holds for so many periods of the stream, which run at that speed too.
    """
    found: list[Detection] = []
    if recording.lockstep:
        return found
    times = [sample.at_ns for sample in recording.health]
    for fault in scenario.faults:
        if not fault.loses_stream or fault.start_ns >= recording.duration_ns:
            continue
        end_ns = recording.steady_ns(fault.end_ns(recording.duration_ns)) + 200_000_000
        start_ns = recording.steady_ns(fault.start_ns)
        for sensor in fault.sensors:
            during = recording.health[bisect_left(times, start_ns) : bisect_right(times, end_ns)]
            expected = _expected(fault, sensor, recording)
            seen = [(h.at_ns, h.states[sensor]) for h in during if h.states[sensor] in expected][:1]
            # A status may report half a second later what a switch has known: both streams gone leave no output.
            switches = [s for s in recording.switches if start_ns <= s.at_ns <= end_ns]
            seen += [(s.at_ns, state) for s in switches for state in expected if _names(s, sensor, state)]
            at_ns, state = min(seen, default=(None, None))
            after_s = None if at_ns is None else (at_ns - start_ns) * recording.scale / 1e9
            found.append(Detection(fault, sensor, after_s, state))
    return found


def _expected(fault: Fault, sensor: Sensor, recording: Recording) -> frozenset[str]:
    """The states that tell of a fault; a stream that is dropped before it sent anything is still being waited for."""
    start_ns = recording.steady_ns(fault.start_ns)
    began = any(frame.sensor is sensor and frame.sent_ns < start_ns for frame in recording.sent)
    never = fault.fault == "drop" and not began
    return fault.kind.expected | {SensorState.WAITING.value} if never else fault.kind.expected


def _names(switch: Switch, sensor: Sensor, state: str) -> bool:
    """Whether a switch gave `sensor` up, or went on without it, for this state."""
    return sensor not in switch.after.sensors and f"{sensor.value} {state}: " in switch.cause


def broken_promises(report: dict[str, Any]) -> list[str]:
    """Sentences about wrong switches and faults that were not noticed in time; empty for a good play."""
    found = [
        f"wrong switch from {s['from']} to {s['to']} at {s['time_s']:.2f} s ({s['cause']})"
        for s in report["switches"]
        if s["wrong"]
    ]
    for d in report["detections"]:
        if not d["in_time"]:
            when = "never" if d["after_s"] is None else f"after {d['after_s']:.3f} s instead of {d['stated_s']:.2f} s"
            found.append(f"{d['stream']} {d['fault']} was noticed {when}")
    return found

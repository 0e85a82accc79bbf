"""The changes of mode of a play: what triggered each, how long it took, and whether it was wrong."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.replay.recording import Recording, Switch
from rgbd_seg_ros.replay.scenario import Fault, Scenario

CAUSE_WINDOW_S = 1.0
"""A sensor that is given up within this time after the start or end of one of its faults is given up for that fault."""
FOLLOWS_NS = 500_000_000
"""A label image may still arrive in the old mode this long after the next switch: it was queued."""


@dataclass(frozen=True, slots=True)
class _Event:
    """A moment of the scenario at which a stream changes."""

    at_s: float
    name: str
    sensors: frozenset[Sensor]
    ends: bool


def switches(recording: Recording, scenario: Scenario) -> list[dict[str, Any]]:
    """Every change of mode during the play, oldest first.

    `latency_ms` runs from the trigger (start or end of a fault, start of the play) to the first label image in the new
    mode, in steady time whatever the speed of the play; None where nothing triggered the switch or no label image
    followed. `wrong` is a sensor given up without a fault of its own, or taken back while one still made it useless.
    """
    ordered = [s for s in recording.switches if recording.play_s(s.at_ns) * 1e9 <= recording.duration_ns]
    events = _events(scenario)
    rows: list[dict[str, Any]] = []
    arrivals_ns = {mode: [o.at_ns for o in recording.outputs if o.mode is mode] for mode in Mode}
    given_up_s = float("-inf")
    for number, switch in enumerate(ordered):
        at_s = recording.play_s(switch.at_ns)
        restores = len(switch.after.sensors) > len(switch.before.sensors)
        trigger = _restoring(events, at_s, given_up_s) if restores else _degrading(events, at_s, switch)
        next_ns = ordered[number + 1].at_ns if number + 1 < len(ordered) else None
        wrong = _too_early(at_s, switch, scenario) if restores else trigger is None and not _hit(at_s, switch, scenario)
        rows.append(
            {
                "time_s": round(at_s, 4),
                "from": switch.before.value,
                "to": switch.after.value,
                "cause": switch.cause,
                "restores": restores,
                "trigger": trigger.name if trigger else None,
                "latency_ms": _latency_ms(arrivals_ns[switch.after], recording, switch, next_ns, trigger),
                "wrong": wrong,
            }
        )
        given_up_s = given_up_s if restores else at_s
    return rows


def _events(scenario: Scenario) -> list[_Event]:
    events = [_Event(0.0, "start of the play", frozenset(Sensor), True)]
    for fault in scenario.faults:
        name, sensors = f"{fault.stream} {fault.fault}", frozenset(fault.sensors)
        events.append(_Event(fault.start, f"start of {name}", sensors, False))
        if fault.duration is not None:
            events.append(_Event(fault.start + fault.duration, f"end of {name}", sensors, True))
    return sorted(events, key=lambda event: event.at_s)


def _degrading(events: list[_Event], at_s: float, switch: Switch) -> _Event | None:
    """The latest change, at most `CAUSE_WINDOW_S` ago, of a stream that was given up."""
    lost = frozenset(switch.before.sensors) - frozenset(switch.after.sensors)
    explaining = [e for e in events if e.at_s <= at_s <= e.at_s + CAUSE_WINDOW_S and e.sensors & lost]
    return explaining[-1] if explaining else None


def _restoring(events: list[_Event], at_s: float, given_up_s: float) -> _Event | None:
    """The latest end of a fault since a stream was given up: hysteresis may follow it for any time."""
    explaining = [e for e in events if e.ends and given_up_s <= e.at_s <= at_s]
    return explaining[-1] if explaining else None


def _hit(at_s: float, switch: Switch, scenario: Scenario) -> bool:
    """Whether a fault of a stream that was given up is active or ended less than `CAUSE_WINDOW_S` ago."""
    lost = set(switch.before.sensors) - set(switch.after.sensors)
    return any(
        set(fault.sensors) & lost and fault.start <= at_s <= _end_s(fault) + CAUSE_WINDOW_S for fault in scenario.faults
    )


def _too_early(at_s: float, switch: Switch, scenario: Scenario) -> bool:
    """Whether a fault that loses a stream, active long enough to be noticed, hits a stream that was taken back."""
    back = set(switch.after.sensors) - set(switch.before.sensors)
    return any(
        fault.loses_stream and set(fault.sensors) & back and fault.start + fault.kind.detected_s < at_s < _end_s(fault)
        for fault in scenario.faults
    )


def _end_s(fault: Fault) -> float:
    return float("inf") if fault.duration is None else fault.start + fault.duration


def _latency_ms(
    arrivals_ns: list[int], recording: Recording, switch: Switch, next_ns: int | None, trigger: _Event | None
) -> float | None:
    """From the trigger to the first of `arrivals_ns`, the label images in the new mode, ms of steady time."""
    number = bisect_left(arrivals_ns, switch.at_ns)
    if trigger is None or number == len(arrivals_ns):
        return None
    first_ns = arrivals_ns[number]
    if next_ns is not None and first_ns > next_ns + FOLLOWS_NS:
        return None
    return round((recording.play_s(first_ns) - trigger.at_s) / recording.scale * 1e3, 1)

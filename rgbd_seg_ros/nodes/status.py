"""The status message of every output: mode, reason, sensor states, stage times, drops, switches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import Drop, ModeSwitch, StreamSnapshot
from rgbd_seg_ros.nodes.messages import stamp_from_ns

STATUS_NAME = "rgbd_segmenter: output"
NOT_KNOWN = "n/a"
LEVELS = {
    Mode.FUSION: DiagnosticStatus.OK,
    Mode.RGB: DiagnosticStatus.WARN,
    Mode.DEPTH: DiagnosticStatus.WARN,
    Mode.NONE: DiagnosticStatus.ERROR,
}


@dataclass(frozen=True, slots=True)
class OutputTimes:
    """Milliseconds of the stages of one output; None where not known.

    Attributes:
        wait: of the earlier frame for its partner.
        queue: of the work order for the worker.
        preprocess, inference, postprocess: inside the segmenter.
        publish: of the previous output (its own is not over when the status is written).
        latency: arrival of the newer frame to publication of the label image.
    """

    wait: float | None = None
    queue: float | None = None
    preprocess: float | None = None
    inference: float | None = None
    postprocess: float | None = None
    publish: float | None = None
    latency: float | None = None


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """What one status message says.

    Attributes:
        mode: of the label image that it belongs to; `NONE` when it belongs to none.
        reason: why this mode.
        stamps_ns: header stamps of the frames that the label image covers.
        label_stamp_ns: stamp of the label image; 0 without one.
        snapshot: health of the sensors at publication.
        times: of the stages.
        dropped: frames without a label since activation.
        drops, switches: since the last status message.
    """

    mode: Mode
    reason: str
    stamps_ns: dict[Sensor, int]
    label_stamp_ns: int
    snapshot: StreamSnapshot
    times: OutputTimes
    dropped: int
    drops: Sequence[Drop]
    switches: Sequence[ModeSwitch]

    def values(self) -> dict[str, str]:
        """The key-value pairs of the message, in order."""
        values = {"mode": self.mode.value, "reason": self.reason}
        reports = self.snapshot.sensors
        values |= {f"{s.value}_stamp_ns": str(self.stamps_ns.get(s, "")) for s in Sensor}
        values |= {f"{s.value}_state": reports[s].state.value for s in Sensor}
        values |= {f"{s.value}_age_ms": milliseconds(reports[s].age_ns) for s in Sensor}
        for name in ("wait", "queue", "preprocess", "inference", "postprocess", "publish", "latency"):
            value = getattr(self.times, name)
            values[f"{name}_ms"] = NOT_KNOWN if value is None else f"{value:.3f}"
        values |= {f"received_{s.value}": str(reports[s].received) for s in Sensor}
        values["dropped"] = str(self.dropped)
        values["drops"] = json.dumps([[d.sensor.value, d.stamp_ns, d.reason.value] for d in self.drops])
        switches = [[s.at_ns, s.before.value, s.after.value, s.cause] for s in self.switches]
        values["switches"] = json.dumps(switches)
        return values

    def message(self) -> DiagnosticArray:
        """The ROS message; its stamp is that of the label image."""
        status = DiagnosticStatus(
            level=LEVELS[self.mode], name=STATUS_NAME, message=self.reason, values=key_values(self.values())
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = stamp_from_ns(self.label_stamp_ns)
        return array


def key_values(values: dict[str, str]) -> list[KeyValue]:
    """A mapping as diagnostic key-value pairs."""
    return [KeyValue(key=key, value=value) for key, value in values.items()]


def milliseconds(nanoseconds: int | None) -> str:
    """Nanoseconds as a text in milliseconds; `n/a` for None."""
    return NOT_KNOWN if nanoseconds is None else f"{nanoseconds / 1e6:.3f}"

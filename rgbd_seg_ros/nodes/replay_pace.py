"""When the player sends its next message: at the rate of the cameras, or as soon as the node has answered the last."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from diagnostic_msgs.msg import DiagnosticArray

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.record import Record

NS = 1_000_000_000
FAULTED_PATIENCE_S = 0.2
"""Nobody promises an answer to a faulted frame: the play goes on after this long."""
AHEAD_NS = NS // 2
"""After an outage of a stream, the play may be this much ahead of real time: the stamps must not look like a jump."""


class Pace(Protocol):
    """Decides when a record is sent."""

    def wait(self, record: Record) -> None:
        """Returns when `record` may be sent."""

    def sent(self, record: Record, sent_ns: int) -> None:
        """Hears that it was sent at steady time `sent_ns`."""


class RealTime:
    """The rate of the cameras, `scale` times as fast, from steady time `started_ns` on."""

    def __init__(self, started_ns: int, scale: float) -> None:
        self._started_ns, self._scale = started_ns, scale

    def wait(self, record: Record) -> None:
        """Sleeps until the record is due."""
        wait_ns = self._started_ns + round(record.time_ns / self._scale) - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / NS)

    def sent(self, record: Record, sent_ns: int) -> None:
        """Nothing to remember."""


class Lockstep:
    """As fast as the node answers: a frame is sent when the node has labelled or dropped its predecessor in its stream.

    The two frames of a pair are therefore under way together, and never more than that. An answer counts when the
    recorder has it: publishers keep few label images, and a fast node would overrun a recorder.

    Args:
        spin: serves callbacks (they call `on_status`) for at most so many seconds.
        timeout_s: wait for the answer to a healthy frame.
    """

    def __init__(self, spin: Callable[[float], None], timeout_s: float) -> None:
        self._spin, self._timeout_s = spin, timeout_s
        self._last: dict[Sensor, tuple[Record, int]] = {}
        self._sent: Counter[tuple[Sensor, int]] = Counter()
        self._answered: Counter[tuple[Sensor, int]] = Counter()

    def on_status(self, message: DiagnosticArray) -> None:
        """Takes a status of the node: the frames that its label image covers, and those that it dropped."""
        values = {pair.key: pair.value for pair in message.status[0].values}
        for sensor in Sensor:
            stamp = values.get(f"{sensor.value}_stamp_ns")
            if stamp:
                self._answered[sensor, int(stamp)] += 1
        for name, stamp_ns, *_ in json.loads(values.get("drops") or "[]"):
            if stamp_ns is not None:
                self._answered[Sensor(name), stamp_ns] += 1

    def wait(self, record: Record) -> None:
        """Waits for the answer to the frame before.

        Raises:
            UserError: when a healthy frame gets none.
        """
        if record.sensor not in self._last:
            return
        before, sent_ns = self._last[record.sensor]
        key = (before.sensor, before.stamp_ns)
        patience_s = FAULTED_PATIENCE_S if before.faults else self._timeout_s
        while self._answered[key] < self._sent[key]:
            if time.monotonic_ns() - sent_ns > patience_s * NS:
                if before.faults:
                    break
                raise UserError(
                    f"the node has neither labelled nor dropped {before.sensor.value} frame {before.index} "
                    f"(stamp {before.stamp_ns / NS:.3f} s) within {patience_s:g} s"
                )
            self._spin(0.01)
        ahead_ns = record.time_ns - before.time_ns - (time.monotonic_ns() - sent_ns) - AHEAD_NS
        if ahead_ns > 0:
            time.sleep(ahead_ns / NS)

    def sent(self, record: Record, sent_ns: int) -> None:
        """Remembers what an answer is waited for."""
        self._last[record.sensor] = record, sent_ns
        self._sent[record.sensor, record.stamp_ns] += 1

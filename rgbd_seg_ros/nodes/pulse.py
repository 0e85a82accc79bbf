"""Notices that the process stood still: a machine without time for the node looks like silent cameras."""

from __future__ import annotations

import threading
import time

INTERVAL_NS = 10_000_000
"""Distance of two beats."""
LATE_NS = 10_000_000
"""A beat that is later than this ends a pause."""
GRACE_NS = 10_000_000
"""A single pause lasts this much longer: the messages that came meanwhile are taken in after it."""

Span = tuple[int, int]
"""Begin and end in steady time."""


class Pulse:
    """Beats in a thread of its own from `start` to `close`; read by the worker thread.

    A timer of the executor, which notes the arrival of messages, would tell more exactly, but rclpy needs a tenth of a
    core for a hundred calls a second; a sleeping thread needs a two-hundredth.

    Of the time between two beats one interval always counts as listening: a process that is always late notices a
    silent sensor later, but it does notice.

    Attributes:
        pauses: how often the process stood still.
        paused_ns: for how long, all together.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ns: int | None = None
        self._late_before = False
        self._ended: list[Span] = []
        self.pauses = 0
        self.paused_ns = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._thread.join()

    def beat(self, now_ns: int) -> None:
        """The process runs at steady time `now_ns`."""
        with self._lock:
            pause = self._pause(now_ns)
            if pause is not None:
                self._ended.append(pause)
                self.pauses += 1
                self.paused_ns += now_ns - pause[0]
            self._late_before = pause is not None
            self._last_ns = now_ns

    def take(self, now_ns: int) -> list[Span]:
        """Pauses that ended since the last call, and the one that is not over yet, in order of time."""
        with self._lock:
            spans, self._ended = self._ended, []
            present = self._pause(now_ns)
        return spans if present is None else [*spans, present]

    def _run(self) -> None:
        while not self._closed:
            self.beat(time.monotonic_ns())
            time.sleep(INTERVAL_NS / 1e9)

    def _pause(self, now_ns: int) -> Span | None:
        """The pause since the last beat; None if the next one is not late."""
        if self._last_ns is None or now_ns - self._last_ns <= INTERVAL_NS + LATE_NS:
            return None
        return self._last_ns + INTERVAL_NS, now_ns + (0 if self._late_before else GRACE_NS)

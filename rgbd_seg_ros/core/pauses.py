"""Spans in which the node itself stood still: silence in them says nothing about a sensor."""

from __future__ import annotations

from collections import deque

REMEMBERED = 32
"""Spans kept; a sensor that has been silent for longer than all of them is stale anyway."""


class Pauses:
    """Spans of steady time, in order of their begin, in which no message could be heard."""

    def __init__(self) -> None:
        self._spans: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)

    def add(self, begin_ns: int, end_ns: int) -> None:
        """Add a span; one that overlaps the newest one extends it."""
        if self._spans and begin_ns <= self._spans[-1][1]:
            first, last = self._spans.pop()
            begin_ns, end_ns = first, max(last, end_ns)
        self._spans.append((begin_ns, end_ns))

    def since_ns(self, moment_ns: int) -> int:
        """How long nobody listened after `moment_ns`."""
        total = 0
        for begin, end in reversed(self._spans):
            if end <= moment_ns:
                break
            total += end - max(begin, moment_ns)
        return total

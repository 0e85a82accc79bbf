"""Frame period of one sensor: measured over the last frames, and expected (given or learned)."""

from __future__ import annotations

from collections import deque
from statistics import median

NS = 1_000_000_000
WINDOW = 9
"""Intervals in the running median: robust to bursts, half a rate shows within five frames."""
SLOW_ENTER = 1.6
SLOW_LEAVE = 1.3
FASTER = 0.8


class RateEstimator:
    """Learns the period of a stream from arrival times and tells when it is slow.

    The learned period only ever gets shorter, so that a sensor that falls to half its rate stays "slow" instead of
    being taken for a slower camera. Gaps (an outage) are no intervals: the caller reports them with `gap`.
    """

    def __init__(self, expected_rate_hz: float | None = None) -> None:
        self._given_ns = NS / expected_rate_hz if expected_rate_hz else None
        self._learned_ns: float | None = None
        self._intervals: deque[int] = deque(maxlen=WINDOW)
        self._last_ns: int | None = None
        self._slow = False

    @property
    def expected_period_ns(self) -> float | None:
        """Given or learned period; None until a window of intervals was seen."""
        return self._given_ns or self._learned_ns

    @property
    def measured_period_ns(self) -> float | None:
        """Running median of the intervals; None until three were seen."""
        return median(self._intervals) if len(self._intervals) >= 3 else None

    @property
    def slow(self) -> bool:
        """Whether the measured period is well above the expected one (with hysteresis)."""
        return self._slow

    def observe(self, arrival_ns: int) -> None:
        """Take the arrival of one message."""
        if self._last_ns is not None:
            self._intervals.append(max(0, arrival_ns - self._last_ns))
        self._last_ns = arrival_ns
        self._learn()
        self._judge()

    def gap(self) -> None:
        """Forget the running window: the next interval spans an outage and says nothing about the rate."""
        self._intervals.clear()
        self._last_ns = None
        self._slow = False

    def _learn(self) -> None:
        if len(self._intervals) < WINDOW:
            return
        measured = median(self._intervals)
        if measured > 0 and (self._learned_ns is None or measured < FASTER * self._learned_ns):
            self._learned_ns = measured

    def _judge(self) -> None:
        expected = self.expected_period_ns
        if expected is None or len(self._intervals) < WINDOW // 2 + 1:
            return
        ratio = median(self._intervals) / expected
        if ratio > SLOW_ENTER:
            self._slow = True
        elif ratio < SLOW_LEAVE:
            self._slow = False

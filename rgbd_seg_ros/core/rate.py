"""Frame period of one sensor: measured over the last frames, and expected (given or learned)."""

from __future__ import annotations

import itertools
from collections import deque
from statistics import median

NS = 1_000_000_000
WINDOW = 9
"""Intervals in the running median: robust to bursts, half a rate shows within five frames."""
LEARN_NS = NS // 2
"""A period is learned over at least this long: a burst after a stall of the machine is no fast camera."""
RELEARN_NS = 30 * NS
"""A learned period that was never met for this long was wrong, or the camera was set to another rate."""
WILD_NS = NS
"""A stamp that moves this much further than the clock is no measure of a period."""
SLOW_ENTER = 1.6
SLOW_LEAVE = 1.3
FASTER = 0.8


class RateEstimator:
    """Learns the period of a stream and tells when it is slow.

    The learned period is the larger of the mean distance of arrivals and the median distance of header stamps: bursts
    shorten the first, replay at a lower speed lengthens it. It gets shorter at once where the stamps agree, but longer
    only after half a minute, so that a sensor that falls to half its rate is "slow" and not taken for a slower camera.
    Gaps (an outage) are no intervals: the caller reports them with `gap`.
    """

    def __init__(self, expected_rate_hz: float | None = None) -> None:
        self._given_ns = NS / expected_rate_hz if expected_rate_hz else None
        self._learned_ns: float | None = None
        self._intervals: deque[int] = deque(maxlen=WINDOW)
        self._seen: deque[tuple[int, int | None]] = deque()
        self._slow_since_ns: int | None = None
        self._stamp_period: float | None = None

    @property
    def stamp_period_ns(self) -> float | None:
        """Distance of the last header stamps, whatever the speed of a replay; None until half a second was seen."""
        return self._stamp_period

    @property
    def expected_period_ns(self) -> float | None:
        """Given or learned period; None until half a second was seen."""
        return self._given_ns or self._learned_ns

    @property
    def measured_period_ns(self) -> float | None:
        """Running median of the intervals between arrivals; None until three were seen."""
        return median(self._intervals) if len(self._intervals) >= 3 else None

    @property
    def slow(self) -> bool:
        """Whether the measured period is well above the expected one (with hysteresis)."""
        return self._slow_since_ns is not None

    def observe(self, arrival_ns: int, stamp_ns: int | None = None) -> None:
        """Take the arrival of one message, with its header stamp where it has a usable one."""
        if self._seen:
            self._intervals.append(max(0, arrival_ns - self._seen[-1][0]))
        self._seen.append((arrival_ns, stamp_ns))
        while len(self._seen) > WINDOW + 1 and arrival_ns - self._seen[1][0] >= LEARN_NS:
            self._seen.popleft()
        self._learn(arrival_ns)
        self._judge(arrival_ns)

    def gap(self) -> None:
        """Forget the running window: the next interval spans an outage and says nothing about the rate."""
        self._intervals.clear()
        self._seen.clear()
        self._slow_since_ns = None

    def _learn(self, now_ns: int) -> None:
        span = now_ns - self._seen[0][0]
        if len(self._seen) <= WINDOW or span < LEARN_NS:
            return
        stamped = self._median_stamp_step_ns(1)
        # Over two frames: stamps that bunch up in pairs, or jitter, come out right.
        self._stamp_period = self._median_stamp_step_ns(2) / 2 or self._stamp_period
        period = max(span / (len(self._seen) - 1), stamped)
        wrong = self._slow_since_ns is not None and now_ns - self._slow_since_ns >= RELEARN_NS
        # Where stamps are frozen or unreadable, nothing tells a faster camera from a burst after a stall.
        if self._learned_ns is None or (stamped > 0.0 and period < FASTER * self._learned_ns) or wrong:
            self._learned_ns = period

    def _median_stamp_step_ns(self, frames: int) -> float:
        """Median distance of stamps that many frames apart; 0 where too few messages have a usable one.

        Steps that run ahead of the arrivals are those of wild stamps.
        """
        seen = [(arrival, stamp) for arrival, stamp in self._seen if stamp is not None]
        pairs = zip(seen, itertools.islice(seen, frames, None), strict=False)
        steps = [b - a for (s, a), (t, b) in pairs if 0 < b - a <= t - s + WILD_NS]
        return median(steps) if len(steps) >= WINDOW // 2 - frames + 1 else 0.0

    def _judge(self, now_ns: int) -> None:
        expected = self.expected_period_ns
        if expected is None or len(self._intervals) < WINDOW // 2 + 1:
            return
        ratio = median(self._intervals) / expected
        if ratio > SLOW_ENTER and self._slow_since_ns is None:
            self._slow_since_ns = now_ns
        elif ratio < SLOW_LEAVE:
            self._slow_since_ns = None

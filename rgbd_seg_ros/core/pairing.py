"""Pairing of colour and depth frames by stamp, without ever waiting for a partner that is known not to come."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rgbd_seg_ros.core.frames import Frame, Sensor
from rgbd_seg_ros.core.pauses import Pauses

MAX_TOLERANCE_NS = 50_000_000
DUE_SHARE = 0.9
"""Share of the tolerance within which a sensor of another rate owes a frame: nobody waits for what jitter decides."""
MAX_LAG_PERIODS = 2.0
LAG_WEIGHT = 0.2
REMEMBERED = 16
"""Frames released alone that a late partner is compared with."""


@dataclass(frozen=True, slots=True)
class Release:
    """Frames that leave the pairing together.

    Attributes:
        rgb, depth: the pair, or one of them alone.
        due_ns: steady time at which the release became due.
        missed: the sensor whose frame was due and did not come in time; None otherwise.
    """

    rgb: Frame | None
    depth: Frame | None
    due_ns: int
    missed: Sensor | None = None


@dataclass(frozen=True, slots=True)
class PairingClock:
    """What the pairing must know of the sensors at one moment; times in nanoseconds.

    Attributes:
        tolerance_ns: largest difference of stamps within a pair.
        timeout_ns: wait for a partner beyond the moment at which it usually arrives.
        period_ns: expected time between two arrivals of each sensor.
        step_ns: expected distance of two stamps of each sensor; another time where a recording is not replayed at its
            own speed.
        same_rate: both sensors deliver as often.
        alive: whether a partner frame of that sensor can be expected at all.
    """

    tolerance_ns: float
    timeout_ns: float
    period_ns: dict[Sensor, float]
    step_ns: dict[Sensor, float]
    alive: dict[Sensor, bool]
    same_rate: bool = True


class Pairer:
    """Holds the frames that wait for a partner; every frame put in comes out exactly once.

    A frame leaves at once when its partner is already here, when the partner's sensor is known dead, when the partner
    cannot come any more (a newer frame of its sensor came), or when none is due (another rate); otherwise when the
    pairing timeout has passed.
    """

    def __init__(self, pauses: Pauses | None = None) -> None:
        self._pauses = pauses or Pauses()
        self._waiting: dict[Sensor, list[Frame]] = {s: [] for s in Sensor}
        self._newest: dict[Sensor, int | None] = dict.fromkeys(Sensor)
        self._alone: dict[Sensor, deque[tuple[int, int]]] = {s: deque(maxlen=REMEMBERED) for s in Sensor}
        self._lag_ns: dict[Sensor, float] = dict.fromkeys(Sensor, 0.0)
        self._lateness_ns: dict[Sensor, float] = dict.fromkeys(Sensor, 0.0)

    @property
    def lag_ns(self) -> dict[Sensor, float]:
        """Learned: how much later than its partner a frame of each sensor is usually there, decoding included."""
        return dict(self._lag_ns)

    @property
    def lateness_ns(self) -> dict[Sensor, float]:
        """How much later than its partner the newest frame of each sensor was there; 0 where it came first."""
        return dict(self._lateness_ns)

    def add(self, frame: Frame, clock: PairingClock) -> list[Release]:
        """Take one frame; returns what became complete or pointless to wait for, oldest first."""
        sensor = frame.sensor
        self._newest[sensor] = frame.stamp_ns
        partner = self._nearest(frame, clock)
        if partner is None:
            self._learn_from_late(frame, clock)
            self._waiting[sensor].append(frame)
            return self.due(frame.available_ns, clock)
        self._waiting[sensor.other].remove(partner)
        self._learn(sensor, frame.available_ns - partner.available_ns, clock)
        before = self._release_older(sensor.other, partner.stamp_ns, frame.available_ns)
        before += self._release_older(sensor, frame.stamp_ns, frame.available_ns)
        rgb, depth = (frame, partner) if sensor is Sensor.RGB else (partner, frame)
        return [
            *sorted(before, key=_stamp),
            Release(rgb, depth, frame.available_ns),
            *self.due(frame.available_ns, clock),
        ]

    def due(self, now_ns: int, clock: PairingClock) -> list[Release]:
        """Release the frames that need not, or must not, wait any longer, oldest first."""
        out: list[Release] = []
        for sensor in Sensor:
            keep: list[Frame] = []
            for frame in self._waiting[sensor]:
                until = self._until(frame, clock)
                if until is None:
                    out.append(self._single(frame, now_ns))
                elif now_ns >= until:
                    out.append(self._single(frame, until, missed=sensor.other))
                else:
                    keep.append(frame)
            self._waiting[sensor] = keep
        return sorted(out, key=_stamp)

    def deadline_ns(self, clock: PairingClock) -> int | None:
        """Steady time of the next timeout; None while nothing waits."""
        times = [self._until(f, clock) or f.available_ns for s in Sensor for f in self._waiting[s]]
        return min(times, default=None)

    def reset(self, sensor: Sensor, now_ns: int) -> list[Release]:
        """The stamps of `sensor` started over: release what waits and forget its older stamps."""
        out = [self._single(f, now_ns) for f in self._waiting[sensor]]
        self._waiting[sensor] = []
        self._newest[sensor] = None
        self._alone[sensor].clear()
        return out

    def flush(self, now_ns: int) -> list[Release]:
        """Release everything (shutdown)."""
        return sorted((r for s in Sensor for r in self.reset(s, now_ns)), key=_stamp)

    def _nearest(self, frame: Frame, clock: PairingClock) -> Frame | None:
        waiting = self._waiting[frame.sensor.other]
        nearest = min(waiting, key=lambda f: abs(f.stamp_ns - frame.stamp_ns), default=None)
        if nearest is None or abs(nearest.stamp_ns - frame.stamp_ns) > clock.tolerance_ns:
            return None
        return nearest

    def _until(self, frame: Frame, clock: PairingClock) -> int | None:
        """Steady time until which `frame` waits; None when waiting is pointless."""
        other = frame.sensor.other
        if not clock.alive[other]:
            return None
        if not self._due(frame, clock) or self._left_alone(frame, clock) is not None:
            return None
        wait_ns = int(clock.timeout_ns + self._lag_ns[other])
        if self._lateness_ns[other] > clock.timeout_ns + MAX_LAG_PERIODS * clock.period_ns[other]:
            wait_ns = 0  # it comes, but later than any frame may wait; one that is in time again says so
        return frame.available_ns + wait_ns + self._pauses.since_ns(frame.available_ns)

    def _due(self, frame: Frame, clock: PairingClock) -> bool:
        """Whether the partner of `frame` can still come.

        Stamps of a sensor only grow. Sensors of one rate keep step even where their stamps bunch up, so that a partner
        is due for every frame. With two rates the next stamps of the partner are whole steps after its newest one, and
        it owes a frame only where one of them lies within the tolerance.
        """
        newest, step = self._newest[frame.sensor.other], clock.step_ns[frame.sensor.other]
        if newest is None:
            return True
        ahead = frame.stamp_ns - newest
        if clock.same_rate:
            return ahead >= -clock.tolerance_ns
        return ahead >= 0.5 * step and abs(ahead - step * round(ahead / step)) <= DUE_SHARE * clock.tolerance_ns

    def _release_older(self, sensor: Sensor, stamp_ns: int, now_ns: int) -> list[Release]:
        older = [f for f in self._waiting[sensor] if f.stamp_ns < stamp_ns]
        self._waiting[sensor] = [f for f in self._waiting[sensor] if f.stamp_ns >= stamp_ns]
        return [self._single(f, now_ns) for f in older]

    def _single(self, frame: Frame, due_ns: int, missed: Sensor | None = None) -> Release:
        self._alone[frame.sensor].append((frame.stamp_ns, frame.available_ns))
        rgb, depth = (frame, None) if frame.sensor is Sensor.RGB else (None, frame)
        return Release(rgb, depth, due_ns, missed)

    def _left_alone(self, frame: Frame, clock: PairingClock) -> int | None:
        """When the partner of `frame` was available, where that has already left alone; None otherwise."""
        for stamp_ns, available_ns in self._alone[frame.sensor.other]:
            # Within half a step, whatever the tolerance: else each frame would be the partner of two, and one that left
            # alone would draw the next one after it, without end.
            if abs(stamp_ns - frame.stamp_ns) <= min(clock.tolerance_ns, 0.5 * min(clock.step_ns.values())):
                return available_ns
        return None

    def _learn_from_late(self, frame: Frame, clock: PairingClock) -> None:
        """A partner that came after its frame had left teaches how long to wait."""
        left_ns = self._left_alone(frame, clock)
        if left_ns is not None:
            self._learn(frame.sensor, frame.available_ns - left_ns, clock)

    def _learn(self, later: Sensor, lag_ns: int, clock: PairingClock) -> None:
        self._lateness_ns[later], self._lateness_ns[later.other] = max(0.0, float(lag_ns)), 0.0
        most = MAX_LAG_PERIODS * clock.period_ns[later]
        for sensor, lag in ((later, min(lag_ns, most)), (later.other, 0.0)):
            self._lag_ns[sensor] += LAG_WEIGHT * (lag - self._lag_ns[sensor])


def _stamp(release: Release) -> int:
    frame = release.rgb or release.depth
    assert frame is not None
    return frame.stamp_ns

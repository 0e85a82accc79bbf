"""Frames in, work orders out: health, pairing and mode choice put together.

Everything here is synchronous and single-threaded; time is an argument. Whoever owns the stream calls `accept` for each
decoded frame, `reject` for each message that could not be decoded, and `orders` after that and at `deadline_ns`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.health import HealthConfig, SensorHealth
from rgbd_seg_ros.core.modes import ModeConfig, ModeSelector
from rgbd_seg_ros.core.pairing import MAX_TOLERANCE_NS, Pairer, PairingClock, Release
from rgbd_seg_ros.core.pauses import Pauses
from rgbd_seg_ros.core.records import Drop, DropReason, ModeSwitch, SensorReport, StreamSnapshot, WorkOrder

DISAGREEMENT_NS = 1_000_000_000
"""Stamps of the two sensors that are this far apart at the same moment come from different time bases."""
SAME_MOMENT_NS = 500_000_000
"""Time bases that change within this time change together (a bag that loops, a replay that slows down)."""
OTHER_RATE = 1.15
"""Sensors whose periods differ by this factor, of stamps and of arrivals, have two rates."""
DEFAULT_PERIOD_NS = 33_333_333
"""Assumed by the pairing until the period of a sensor is learned."""
LATE_PERIODS = 2.0
"""A lone frame older by this many periods than the newest label is not labelled any more: its moment has passed."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Settings of a stream.

    Attributes:
        health: thresholds of each sensor.
        mode: hysteresis of the mode choice.
        pairing_tolerance_ns: largest difference of stamps in a pair; None is half a frame period, 50 ms at most.
        pairing_timeout_ns: wait for a partner beyond its usual arrival; None is half a frame period.
    """

    health: dict[Sensor, HealthConfig] = field(default_factory=lambda: {s: HealthConfig() for s in Sensor})
    mode: ModeConfig = field(default_factory=ModeConfig)
    pairing_tolerance_ns: int | None = None
    pairing_timeout_ns: int | None = None


class RgbdStream:
    """The state of one RGB-D stream.

    Every frame given to `accept` leaves exactly once: in a work order (as half of a pair or alone) or as a drop with
    its reason.
    """

    def __init__(self, config: StreamConfig, modes: frozenset[Mode]) -> None:
        self._config = config
        self._pauses = Pauses()
        self._health = {s: SensorHealth(s, config.health.get(s, HealthConfig()), self._pauses) for s in Sensor}
        self._selector = ModeSelector(config.mode, modes)
        self._pairer = Pairer(self._pauses)
        self._orders: list[WorkOrder] = []
        self._drops: list[Drop] = []
        self._switches: list[ModeSwitch] = []
        self._newest_label_ns: int | None = None

    @property
    def mode(self) -> Mode:
        """The mode of the stream as of the last call."""
        return self._selector.mode

    def accept(self, frame: Frame, now_ns: int) -> None:
        """Take one decoded frame.

        Args:
            frame: the frame; its `arrival_ns` is the steady time at which its message arrived.
            now_ns: steady time, not before `frame.available_ns`; it never runs backward from call to call.
        """
        sensor = frame.sensor
        health, other = self._health[sensor], self._health[sensor.other]
        health.message(frame.arrival_ns, frame.stamp_ns)
        admission = health.admit(frame, other)
        if admission.reset:
            self._newest_label_ns = None
            self._release(self._pairer.reset(sensor, now_ns), now_ns)
        self._refresh(now_ns)
        if admission.reason is None:
            disagreement = self._disagreement(sensor, now_ns)
            if disagreement:
                admission = type(admission)(DropReason.STAMP_JUMP, disagreement)
        if admission.reason is not None:
            self._drops.append(Drop(sensor, frame.stamp_ns, admission.reason, admission.detail))
            self._release(self._pairer.due(now_ns, self._clock(now_ns)), now_ns)
            return
        self._release(self._pairer.add(frame, self._clock(now_ns)), now_ns)

    def reject(self, sensor: Sensor, stamp_ns: int | None, reason: DropReason, detail: str, now_ns: int) -> None:
        """Count a message that could not become a frame (INVALID), or that was never decoded (OVERLOAD)."""
        health = self._health[sensor]
        health.message(now_ns)
        if reason is DropReason.INVALID:
            health.reject(detail)
        self._drops.append(Drop(sensor, stamp_ns, reason, detail))
        self._refresh(now_ns)

    def paused(self, begin_ns: int, end_ns: int) -> None:
        """The owner of the stream stood still: silence in this span of steady time is no fault of a sensor."""
        self._pauses.add(begin_ns, end_ns)

    def orders(self, now_ns: int) -> list[WorkOrder]:
        """Everything that is due at `now_ns`, oldest first; also where a silent sensor is noticed."""
        self._refresh(now_ns)
        self._release(self._pairer.due(now_ns, self._clock(now_ns)), now_ns)
        orders, self._orders = self._orders, []
        return orders

    def flush(self, now_ns: int) -> None:
        """Drop the frames that still wait for a partner (shutdown)."""
        for release in self._pairer.flush(now_ns):
            for frame in (release.rgb, release.depth):
                if frame is not None:
                    self._drops.append(Drop(frame.sensor, frame.stamp_ns, DropReason.SHUTDOWN, "the stream was closed"))

    def deadline_ns(self) -> int | None:
        """Steady time at which `orders` should be called although no frame has come; None when nothing is pending."""
        candidates = [self._pairer.deadline_ns(self._clock(None))]
        if self._selector.mode is not Mode.NONE:
            candidates += [self._health[s].stale_at_ns for s in self._selector.mode.sensors]
        return min((c for c in candidates if c is not None), default=None)

    def take_drops(self) -> list[Drop]:
        """Frames that left without a label since the last call."""
        drops, self._drops = self._drops, []
        return drops

    def take_switches(self) -> list[ModeSwitch]:
        """Changes of mode since the last call, oldest first."""
        switches, self._switches = self._switches, []
        return switches

    def snapshot(self, now_ns: int) -> StreamSnapshot:
        """Mode and health at `now_ns`."""
        return StreamSnapshot(self._selector.mode, self._selector.reason, self._reports(now_ns))

    def _reports(self, now_ns: int) -> dict[Sensor, SensorReport]:
        return {s: self._health[s].report(now_ns, self._health[s.other], self._disagreement(s, now_ns)) for s in Sensor}

    def _refresh(self, now_ns: int) -> None:
        """Recompute the mode from the health of the sensors."""
        reports = self._reports(now_ns)
        causes = [f"{s.value} {r.state.value}: {r.cause}" for s, r in reports.items() if not r.state.usable]
        before = self._selector.mode
        usable = {s: r.state.usable for s, r in reports.items()}
        if self._selector.update(usable, "; ".join(causes), now_ns):
            self._switches.append(ModeSwitch(now_ns, before, self._selector.mode, self._selector.reason))

    def _disagreement(self, sensor: Sensor, now_ns: int) -> str:
        """How the stamps of `sensor` disagree with the partner's; blames the one whose time base changed last.

        Where both changed together, or neither ever did, the preferred sensor goes on. A partner whose stamps are not
        accepted at present is no witness.
        """
        mine, partner = self._health[sensor], self._health[sensor.other]
        a, b = mine.stamps.offset_ns, partner.stamps.offset_ns
        if a is None or b is None or abs(a - b) < DISAGREEMENT_NS or not partner.stamping(now_ns):
            return ""
        changed, partner_changed = mine.stamps.changed_ns or 0, partner.stamps.changed_ns or 0
        together = abs(changed - partner_changed) <= SAME_MOMENT_NS
        if sensor is self._config.mode.preferred if together else changed < partner_changed:
            return ""
        return f"stamps are {(a - b) / 1e9:+.3f} s off those of {sensor.other.value}"

    def _clock(self, now_ns: int | None) -> PairingClock:
        periods = {s: self._period_ns(s) for s in Sensor}
        steps = {s: self._stamp_period_ns(s) for s in Sensor}
        paces = {s: self._health[s].rate.measured_period_ns or periods[s] for s in Sensor}
        half, half_step = 0.5 * min(periods.values()), 0.5 * min(steps.values())
        tolerance, timeout = self._config.pairing_tolerance_ns, self._config.pairing_timeout_ns
        alive = dict.fromkeys(Sensor, True)
        if now_ns is not None:
            alive = {s: r.state.usable for s, r in self._reports(now_ns).items()}
        return PairingClock(
            tolerance_ns=min(half_step, MAX_TOLERANCE_NS) if tolerance is None else tolerance,
            timeout_ns=half if timeout is None else timeout,
            period_ns=periods,
            step_ns=steps,
            alive=alive,
            same_rate=min(_ratio(steps), _ratio(paces)) <= OTHER_RATE,
        )

    def _period_ns(self, sensor: Sensor) -> float:
        rate = self._health[sensor].rate
        return rate.expected_period_ns or rate.measured_period_ns or DEFAULT_PERIOD_NS

    def _stamp_period_ns(self, sensor: Sensor) -> float:
        """Distance of stamps, which a replay at another speed does not change."""
        return self._health[sensor].rate.stamp_period_ns or self._period_ns(sensor)

    def _release(self, releases: list[Release], now_ns: int) -> None:
        for release in releases:
            if release.rgb is not None and release.depth is not None:
                self._selector.good_pair()
                self._refresh(now_ns)
                self._pair(release, now_ns)
            else:
                self._single(release, now_ns)

    def _pair(self, release: Release, now_ns: int) -> None:
        # A pair of good frames can complete while its sensors count as lost: one came late, or later frames failed.
        mode = self._selector.mode if self._selector.mode is not Mode.NONE else self._selector.for_pair()
        if mode is not Mode.NONE:
            self._order(mode, release, self._selector.reason, now_ns)
            return
        for frame in (release.rgb, release.depth):
            assert frame is not None
            detail = "the bundle has no model for these sensors"
            self._drops.append(Drop(frame.sensor, frame.stamp_ns, DropReason.NO_MODEL, detail))

    def _single(self, release: Release, now_ns: int) -> None:
        frame = release.rgb or release.depth
        assert frame is not None
        if release.missed is not None:
            self._health[release.missed].miss(self._missed(release, frame))
            self._selector.lost_partner()
            self._refresh(now_ns)
        mode = self._selector.for_single(frame.sensor)
        if mode is Mode.NONE:
            detail = f"the bundle has no model for {frame.sensor.value} alone"
            self._drops.append(Drop(frame.sensor, frame.stamp_ns, DropReason.NO_MODEL, detail))
        elif self._too_late(frame):
            detail = "its moment is already labelled"
            self._drops.append(Drop(frame.sensor, frame.stamp_ns, DropReason.LATE, detail))
        else:
            alone = f"no {frame.sensor.other.value} frame is due for this one"
            reason = alone if self._selector.mode is Mode.FUSION else self._selector.reason
            self._order(mode, release, reason, now_ns)

    def _missed(self, release: Release, frame: Frame) -> str:
        waited_ns = release.due_ns - frame.available_ns
        late_ns = 0.0 if release.missed is None else self._pairer.lateness_ns[release.missed]
        if late_ns > waited_ns:
            return f"its frames come {late_ns / 1e6:.0f} ms after their partners"
        return f"no frame within {waited_ns / 1e6:.1f} ms of its partner"

    def _too_late(self, frame: Frame) -> bool:
        if self._newest_label_ns is None:
            return False
        return self._newest_label_ns - frame.stamp_ns > LATE_PERIODS * self._stamp_period_ns(frame.sensor)

    def _order(self, mode: Mode, release: Release, reason: str, now_ns: int) -> None:
        order = WorkOrder(mode, release.rgb, release.depth, reason, now_ns, 0)
        waited = max(0, now_ns - min(f.arrival_ns for f in order.frames))
        self._orders.append(WorkOrder(mode, release.rgb, release.depth, reason, now_ns, waited))
        newest = max(f.stamp_ns for f in order.frames)
        self._newest_label_ns = newest if self._newest_label_ns is None else max(newest, self._newest_label_ns)


def _ratio(periods: dict[Sensor, float]) -> float:
    """The larger of two periods as a multiple of the smaller."""
    return max(periods.values()) / max(1.0, min(periods.values()))

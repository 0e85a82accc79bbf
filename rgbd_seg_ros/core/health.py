"""Health of one sensor: which of its frames may be used, and what to tell people about it."""

from __future__ import annotations

from dataclasses import dataclass

from rgbd_seg_ros.core.content import probe
from rgbd_seg_ros.core.frames import Frame, Sensor
from rgbd_seg_ros.core.pauses import Pauses
from rgbd_seg_ros.core.rate import NS, RateEstimator
from rgbd_seg_ros.core.records import DropReason, SensorReport, SensorState
from rgbd_seg_ros.core.stamps import StampMonitor, StampVerdict

UNKNOWN_PERIOD_NS = 100_000_000
"""Assumed until three intervals were seen: a slow camera is not called stale for it."""
WITNESS_PERIODS = 3.0
"""The newest stamp of a sensor says what its clock shows for this long."""
SIZE_CONFIRM_FRAMES = 3

_STAMP_DROPS = {
    StampVerdict.DUPLICATE: DropReason.DUPLICATE_STAMP,
    StampVerdict.BACKWARD: DropReason.OUT_OF_ORDER,
    StampVerdict.JUMP: DropReason.STAMP_JUMP,
}


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Thresholds of one sensor.

    Attributes:
        expected_rate_hz: rate of a healthy stream; None learns it.
        stale_periods: a sensor is stale after this many periods without a message.
        frozen_frames: repeats of identical content that count as frozen; 0 turns the check off (noise-free simulators
            in which one sensor repeats itself while the other does not).
        min_valid_depth: share of valid pixels under which depth is blank.
    """

    expected_rate_hz: float | None = None
    stale_periods: float = 3.0
    frozen_frames: int = 5
    min_valid_depth: float = 0.01


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a frame may be used; if not, why. `reset` tells that its stamps started over."""

    reason: DropReason | None = None
    detail: str = ""
    reset: bool = False


class SensorHealth:
    """Watches the arrival, stamps, size and content of one sensor's frames."""

    def __init__(self, sensor: Sensor, config: HealthConfig, pauses: Pauses | None = None) -> None:
        self.sensor = sensor
        self._config = config
        self._pauses = pauses or Pauses()
        self.rate = RateEstimator(config.expected_rate_hz)
        self.stamps = StampMonitor()
        self.received = 0
        self._last_message_ns: int | None = None
        self._missing = ""
        self._invalid = ""
        self._blank = ""
        self._size: tuple[int, int] | None = None
        self._new_size: tuple[tuple[int, int], int] | None = None
        self._fingerprint: int | None = None
        self._repeats = 0
        self._changed_ns: int | None = None
        self._noise_free = False
        """Whether both sensors have been seen repeating themselves together: a still scene in a simulator."""

    @property
    def period_ns(self) -> float | None:
        """Expected period, given or learned."""
        return self.rate.expected_period_ns

    @property
    def stale_after_ns(self) -> int:
        """Silence after which the sensor is stale; a slow sensor is measured by its own pace."""
        measured_ns = self.rate.measured_period_ns or 0.0
        period_ns = self.period_ns or max(UNKNOWN_PERIOD_NS, measured_ns)
        if self.rate.slow:
            period_ns = max(period_ns, measured_ns)
        return int(self._config.stale_periods * period_ns)

    @property
    def stale_at_ns(self) -> int | None:
        """Steady time at which the sensor turns stale if nothing more arrives; pauses of the node do not count."""
        last = self._last_message_ns
        return None if last is None else last + self.stale_after_ns + self._pauses.since_ns(last)

    def message(self, arrival_ns: int, stamp_ns: int | None = None) -> None:
        """Count an arriving message, good or not; with its header stamp where it could be decoded."""
        self.received += 1
        silence_ns = 0 if self._last_message_ns is None else arrival_ns - self._last_message_ns
        # Before anything is known of the rate, a long interval may as well be that of a slow camera; and where the last
        # intervals were as long, it is the new pace of the camera and no outage.
        measured_ns = self.rate.measured_period_ns
        if measured_ns is not None and silence_ns > max(self.stale_after_ns, self._config.stale_periods * measured_ns):
            self.rate.gap()
        # One that was pushed out of a queue is counted after later ones that were not.
        self._last_message_ns = max(arrival_ns, self._last_message_ns or arrival_ns)
        self._missing = ""
        self.rate.observe(arrival_ns, stamp_ns)

    def reject(self, detail: str) -> None:
        """The message that was just counted cannot be used as an image at all."""
        self._invalid = detail

    def miss(self, cause: str) -> None:
        """The frame that was due did not come in time: unusable until the next message."""
        self._missing = cause

    def admit(self, frame: Frame, other: SensorHealth) -> Admission:
        """Judge a decoded frame, the most fundamental defect first."""
        resized = self._resized(frame)
        if resized:
            self._invalid = resized
            return Admission(DropReason.SIZE_CHANGE, resized)
        self._invalid = ""
        verdict = self.stamps.observe(frame.stamp_ns, frame.arrival_ns)
        look = probe(frame, self._config.min_valid_depth)
        self._remember(look.fingerprint, frame.arrival_ns)
        self._blank = look.blank
        if not verdict.accepted:
            return Admission(_STAMP_DROPS[verdict], self.stamps.fault or f"stamp {frame.stamp_ns} is not newer")
        reset = verdict is StampVerdict.RESET
        if look.blank:
            return Admission(DropReason.BLANK, look.blank, reset)
        self._noise_free = self._noise_free or self._still_with(other, frame.arrival_ns)
        if self.frozen(other, frame.arrival_ns):
            return Admission(DropReason.FROZEN, self._frozen_cause(), reset)
        return Admission(reset=reset)

    def frozen(self, other: SensorHealth, now_ns: int) -> bool:
        """Whether the content repeats although the other sensor's changes, or the other is silent.

        Both repeating together is a still scene in a noise-free simulator, not a fault. There a silent partner proves
        nothing either: the survivor of a standing robot is still labelled.
        """
        if not self._repeating:
            return False
        if other.silent(now_ns) or other._changed_ns is None or self._changed_ns is None:
            return not self._noise_free
        return other._changed_ns > self._changed_ns + (self.period_ns or UNKNOWN_PERIOD_NS)

    @property
    def _repeating(self) -> bool:
        return 0 < self._config.frozen_frames <= self._repeats

    def _still_with(self, other: SensorHealth, now_ns: int) -> bool:
        return self._repeating and other._repeating and not other._blank and not other.silent(now_ns)

    def silent(self, now_ns: int) -> bool:
        """Whether no message has arrived for longer than the stale limit (or ever)."""
        return self.stale_at_ns is None or now_ns >= self.stale_at_ns

    def stamping(self, now_ns: int) -> bool:
        """Whether its stamps can bear witness now: the newest was accepted lately, and nothing is wrong with them."""
        accepted = self.stamps.accepted_ns
        if accepted is None or self.stamps.fault:
            return False
        # Not the stale limit, which a patient configuration makes long: between the two moments that are compared a
        # replay at another speed moves the stamps.
        window_ns = WITNESS_PERIODS * (self.period_ns or self.rate.measured_period_ns or UNKNOWN_PERIOD_NS)
        return now_ns < accepted + window_ns + self._pauses.since_ns(accepted)

    def report(self, now_ns: int, other: SensorHealth, disagreement: str = "") -> SensorReport:
        """State at `now_ns`, the most specific cause that applies.

        Args:
            now_ns: steady time.
            other: health of the partner sensor.
            disagreement: how this sensor's stamps disagree with the partner's; empty where they do not.
        """
        state, cause = self._state(now_ns, other, disagreement)
        measured, expected = self.rate.measured_period_ns, self.period_ns
        return SensorReport(
            state=state,
            cause=cause,
            age_ns=None if self._last_message_ns is None else now_ns - self._last_message_ns,
            rate_hz=NS / measured if measured else None,
            expected_rate_hz=NS / expected if expected else None,
            received=self.received,
        )

    def _state(self, now_ns: int, other: SensorHealth, disagreement: str) -> tuple[SensorState, str]:
        if self._last_message_ns is None:
            return SensorState.WAITING, "no message has arrived yet"
        if self.silent(now_ns):
            return SensorState.STALE, f"no message for more than {self.stale_after_ns / 1e6:.0f} ms"
        for state, cause in (
            (SensorState.INVALID, self._invalid),
            (SensorState.STAMPS, self.stamps.fault or disagreement),
            (SensorState.BLANK, self._blank),
            (SensorState.FROZEN, self._frozen_cause() if self.frozen(other, now_ns) else ""),
            (SensorState.STALE, self._missing),
        ):
            if cause:
                return state, cause
        if self.rate.slow and self.rate.measured_period_ns and self.period_ns:
            measured, expected = NS / self.rate.measured_period_ns, NS / self.period_ns
            return SensorState.SLOW, f"{measured:.1f} Hz instead of {expected:.1f} Hz"
        return SensorState.OK, ""

    def _frozen_cause(self) -> str:
        return f"the same content in {self._repeats + 1} frames"

    def _remember(self, fingerprint: int, arrival_ns: int) -> None:
        if fingerprint == self._fingerprint:
            self._repeats += 1
            return
        self._fingerprint, self._repeats, self._changed_ns = fingerprint, 0, arrival_ns

    def _resized(self, frame: Frame) -> str:
        """Why the size is not to be trusted yet; a new size is believed after three frames in a row."""
        if self._size is None or frame.size == self._size:
            self._size, self._new_size = frame.size, None
            return ""
        count = self._new_size[1] + 1 if self._new_size is not None and self._new_size[0] == frame.size else 1
        if count >= SIZE_CONFIRM_FRAMES:
            self._size, self._new_size = frame.size, None
            return ""
        self._new_size = (frame.size, count)
        before, after = ("x".join(map(str, reversed(s))) for s in (self._size, frame.size))
        return f"the image size changed from {before} to {after}"

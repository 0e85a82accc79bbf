"""What the core hands out: work orders, drops, mode switches and snapshots."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from rgbd_seg_ros.core.frames import Frame, Mode, Sensor


class SensorState(str, enum.Enum):
    """Health of one sensor; the first that applies, in this order, is reported."""

    WAITING = "waiting"
    """No message has arrived yet."""
    STALE = "stale"
    """Messages have stopped, or the frame that was due did not come within the pairing timeout."""
    INVALID = "invalid"
    """The newest messages cannot be decoded, have the wrong encoding, are truncated or changed size."""
    STAMPS = "stamps"
    """Header stamps are frozen, run backward, or disagree with the other sensor by more than a second."""
    BLANK = "blank"
    """Depth without a valid pixel; black or saturated colour."""
    FROZEN = "frozen"
    """The same content under new stamps while the other sensor's content changes."""
    SLOW = "slow"
    """Usable, but well below the expected rate."""
    OK = "ok"

    @property
    def usable(self) -> bool:
        """Whether frames of a sensor in this state may be labelled."""
        return self in (SensorState.OK, SensorState.SLOW)


class DropReason(str, enum.Enum):
    """Why a frame left without a label image."""

    INVALID = "invalid"
    SIZE_CHANGE = "size_change"
    DUPLICATE_STAMP = "duplicate_stamp"
    OUT_OF_ORDER = "out_of_order"
    STAMP_JUMP = "stamp_jump"
    BLANK = "blank"
    FROZEN = "frozen"
    LATE = "late"
    NO_MODEL = "no_model"
    OVERLOAD = "overload"
    INFERENCE_ERROR = "inference_error"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Drop:
    """A frame (or undecodable message) that gets no label.

    Attributes:
        sensor: where it came from.
        stamp_ns: its header stamp; None where the message was too broken to have one.
        reason: the countable reason.
        detail: one phrase for a person.
    """

    sensor: Sensor
    stamp_ns: int | None
    reason: DropReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """One label image to make.

    A pair whose `mode` is RGB or DEPTH is labelled by the single-modality model (hysteresis after an outage);
    its label image covers both frames.

    Attributes:
        mode: which model to run; never NONE.
        rgb, depth: the frames; at least the ones `mode` needs are there.
        reason: why this mode.
        created_ns: steady time at which the order was made.
        waited_ns: how long the earlier frame waited for its partner.
    """

    mode: Mode
    rgb: Frame | None
    depth: Frame | None
    reason: str
    created_ns: int
    waited_ns: int

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that the label image covers."""
        return tuple(f for f in (self.rgb, self.depth) if f is not None)

    @property
    def arrival_ns(self) -> int:
        """Arrival of the newest of its frames: from here the latency counts."""
        return max(f.arrival_ns for f in self.frames)


@dataclass(frozen=True, slots=True)
class ModeSwitch:
    """A change of the stream's mode at steady time `at_ns`, with its cause in words."""

    at_ns: int
    before: Mode
    after: Mode
    cause: str


@dataclass(frozen=True, slots=True)
class SensorReport:
    """Health of one sensor at one moment.

    Attributes:
        state: the most specific state that applies.
        cause: one phrase for a person; empty when ok.
        age_ns: time since the newest message arrived; None before the first.
        rate_hz: measured rate; None before it is known.
        expected_rate_hz: given or learned rate; None before it is known.
        received: messages since the start, undecodable ones included.
    """

    state: SensorState
    cause: str
    age_ns: int | None
    rate_hz: float | None
    expected_rate_hz: float | None
    received: int


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """State of the whole stream at one moment; immutable, safe to hand to another thread."""

    mode: Mode
    reason: str
    sensors: Mapping[Sensor, SensorReport]

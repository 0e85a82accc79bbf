"""The vocabulary of faults: what each one is called, what its strength means and what a watcher should call it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.replay.record import Record


class Effect(str, enum.Enum):
    """What a fault does to the use of its stream."""

    LOST = "lost"
    """Nothing usable arrives: a watcher should give the stream up."""
    DEGRADED = "degraded"
    """Frames are worse, later or rarer, but still of use."""
    ALONE = "alone"
    """Lost where only one stream has it: a watcher notices it by comparing the stream with its partner."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a fault may know beside the record.

    Attributes:
        strength: the fault's strength.
        start_ns: start of the fault on the play's clock.
        elapsed_ns: time of the record since `start_ns`.
        held: last record of the stream before the fault; None when there was none.
        rng: generator that depends on the fault's seed, the stream and the frame's number only.
        period_ns: period of the stream.
    """

    strength: float
    start_ns: int
    elapsed_ns: int
    held: Record | None
    rng: np.random.Generator
    period_ns: int


Change = Callable[[Record, Moment], list[Record]]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    Attributes:
        name: as scenarios write it.
        change: pure function: one record in, the records that are sent instead out (none, one or more).
        strength: default strength.
        unit: what strength counts, for people.
        effect: whether the stream is lost or degraded by the default strength.
        expected: names of the sensor states that the node may report for it; empty where it need not notice.
        detected_s: time from its start within which a stream at 30 Hz must be in one of the expected states, by what
            docs/failover.md says and two frame periods for transport and scheduling.
        streams: the streams it makes sense on.
        about: one sentence.
        aftermath_s: how long after its end frames still count as faulted, for faults whose end is itself a fault
            (stamps that jump back to the truth, late frames that are overtaken).
        lost_from: strength from which a `LOST` kind loses the stream; None for any strength.
        timing: its meaning lies in the time between messages, so that it needs a play in real time.
    """

    name: str
    change: Change
    strength: float
    unit: str
    effect: Effect
    expected: frozenset[str]
    detected_s: float
    streams: frozenset[Sensor]
    about: str
    aftermath_s: float = 0.0
    lost_from: float | None = None
    timing: bool = False


KINDS: dict[str, FaultKind] = {}
"""Every kind by name; filled by the `kind` decorator."""

BOTH = frozenset(Sensor)


def kind(
    name: str,
    about: str,
    *,
    strength: float = 1.0,
    unit: str = "unused",
    effect: Effect = Effect.DEGRADED,
    expected: str = "",
    detected_s: float = 0.1,
    streams: frozenset[Sensor] = BOTH,
    aftermath_s: float = 0.0,
    lost_from: float | None = None,
    timing: bool = False,
) -> Callable[[Change], Change]:
    """Registers a function as a kind of fault; `expected` is a list of sensor states in one string."""

    def register(change: Change) -> Change:
        states = frozenset(expected.split())
        KINDS[name] = FaultKind(
            name, change, strength, unit, effect, states, detected_s, streams, about, aftermath_s, lost_from, timing
        )
        return change

    return register


def fault_rng(seed: int, name: str, sensor: Sensor, index: int) -> np.random.Generator:
    """The generator of one frame: independent of which other frames were drawn before."""
    words = [seed & 0xFFFFFFFF, sum(ord(c) << (8 * (i % 4)) for i, c in enumerate(name)), sensor is Sensor.DEPTH, index]
    return np.random.default_rng(words)

"""Faults of the transport and of the clock: records that are missing, late, doubled or wrongly stamped."""

from __future__ import annotations

from dataclasses import replace

from rgbd_seg_ros.replay.fault_kinds import Effect, Moment, kind
from rgbd_seg_ros.replay.record import Record

NS = 1_000_000_000
STAMPS_SETTLE_S = 0.25
"""The return of jumped stamps is a jump too, which a watcher must see confirmed before it may trust the new base."""


def _later(record: Record, seconds: float) -> Record:
    return replace(record, time_ns=record.time_ns + round(seconds * NS))


@kind("drop", "The stream stops.", effect=Effect.LOST, expected="stale", detected_s=0.17)
def drop(record: Record, moment: Moment) -> list[Record]:
    """Nothing is sent."""
    return []


@kind(
    "intermittent",
    "Frames get lost at random.",
    strength=0.5,
    unit="share of frames lost",
    expected="slow stale",
    timing=True,
)
def intermittent(record: Record, moment: Moment) -> list[Record]:
    """Sends a record with probability 1 - strength."""
    return [] if moment.rng.random() < moment.strength else [record]


@kind(
    "half_rate",
    "Only every n-th frame is sent.",
    strength=2,
    unit="frames per sent frame",
    expected="slow stale",
    timing=True,
)
def half_rate(record: Record, moment: Moment) -> list[Record]:
    """Sends every strength-th frame."""
    return [record] if record.index % max(1, round(moment.strength)) == 0 else []


@kind(
    "flapping", "The stream goes and comes.", strength=1.0, unit="Hz of off-and-on", expected="stale slow", timing=True
)
def flapping(record: Record, moment: Moment) -> list[Record]:
    """Off in the first half of each period, on in the second."""
    phase = moment.elapsed_ns / NS * moment.strength % 1.0
    return [] if phase < 0.5 else [record]


@kind("delay", "Frames come late under their true stamps.", strength=0.2, unit="s", expected="stale", timing=True)
def delay(record: Record, moment: Moment) -> list[Record]:
    """Sends strength seconds late."""
    return [_later(record, moment.strength)]


@kind(
    "jitter", "Frames come late by a random time.", strength=0.03, unit="s at most", expected="stale slow", timing=True
)
def jitter(record: Record, moment: Moment) -> list[Record]:
    """Sends 0..strength seconds late."""
    return [_later(record, moment.rng.uniform(0.0, moment.strength))]


@kind(
    "reorder",
    "Every second frame is overtaken.",
    strength=1.5,
    unit="periods of delay",
    expected="stale slow stamps",
    timing=True,
)
def reorder(record: Record, moment: Moment) -> list[Record]:
    """Sends even frames strength periods late, so that they arrive behind their successors."""
    return [record if record.index % 2 else _later(record, moment.strength * moment.period_ns / NS)]


@kind("duplicate", "Every frame is sent again.", strength=1, unit="extra copies", expected="stamps")
def duplicate(record: Record, moment: Moment) -> list[Record]:
    """Sends the same message 1 + strength times at once."""
    return [record] * (1 + max(0, round(moment.strength)))


@kind("frozen_stamps", "The stamp stands still while the content goes on.", effect=Effect.LOST, expected="stamps",
      detected_s=0.2)  # fmt: skip
def frozen_stamps(record: Record, moment: Moment) -> list[Record]:
    """Repeats the stamp of the last healthy frame."""
    return [replace(record, stamp_ns=moment.held.stamp_ns)] if moment.held else [record]


@kind("stamp_jump", "Stamps jump ahead (or back, negative) and return.", strength=5.0, unit="s",
      effect=Effect.ALONE, expected="stamps stale", aftermath_s=STAMPS_SETTLE_S)  # fmt: skip
def stamp_jump(record: Record, moment: Moment) -> list[Record]:
    """Adds strength seconds to the stamp."""
    return [replace(record, stamp_ns=max(0, record.stamp_ns + round(moment.strength * NS)))]


@kind("clock_reset", "Stamps start over, as after a reboot or a bag loop.", strength=1.0, unit="s, first new stamp",
      effect=Effect.ALONE, expected="stamps stale", aftermath_s=STAMPS_SETTLE_S)  # fmt: skip
def clock_reset(record: Record, moment: Moment) -> list[Record]:
    """Counts stamps from strength seconds at the start of the fault."""
    return [replace(record, stamp_ns=round(moment.strength * NS) + moment.elapsed_ns)]

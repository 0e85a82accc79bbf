"""Header stamps of one sensor: frozen, backward, jumping, or starting over after a bag loop or clock reset."""

from __future__ import annotations

import enum
from dataclasses import dataclass

JUMP_NS = 1_000_000_000
"""A stamp that moves this much further than the steady clock is a jump."""
CONFIRM_FRAMES = 3
CONFIRM_NS = 500_000_000
"""A new time base is believed after three consistent frames, or two that span half a second (slow cameras)."""
FROZEN_FRAMES = 3


class StampVerdict(enum.Enum):
    """What one stamp says."""

    GOOD = "good"
    RESET = "reset"
    """Good, and the first frame of a new time base: everything remembered about older stamps is void."""
    DUPLICATE = "duplicate"
    BACKWARD = "backward"
    JUMP = "jump"

    @property
    def accepted(self) -> bool:
        """Whether the frame may be used."""
        return self in (StampVerdict.GOOD, StampVerdict.RESET)


@dataclass(slots=True)
class _Candidate:
    """A run of frames on a new time base that is not believed yet."""

    first_arrival_ns: int
    stamp_ns: int
    arrival_ns: int
    frames: int = 1


class StampMonitor:
    """Judges each stamp against the last good one.

    One wild stamp costs one frame. A lasting change of the time base (bag loop, reboot of a camera, stepped clock)
    is accepted after three consistent frames: 0.1 s at 30 Hz, and within 1 s for any camera above 2 Hz.
    """

    def __init__(self) -> None:
        self._stamp_ns: int | None = None
        self._arrival_ns = 0
        self._candidate: _Candidate | None = None
        self._duplicates = 0
        self.accepted_ns: int | None = None
        """Arrival time of the newest accepted stamp."""
        self.changed_ns: int | None = None
        """Arrival time of the last accepted change of the time base: a stamp that jumped against the steady clock.

        A replay at another speed moves all stamps little by little, and changes nothing.
        """

    @property
    def last_ns(self) -> int | None:
        """Newest accepted stamp."""
        return self._stamp_ns

    @property
    def offset_ns(self) -> int | None:
        """Accepted stamp minus its arrival time: constant for a healthy sensor played at real time."""
        return None if self._stamp_ns is None else self._stamp_ns - self._arrival_ns

    @property
    def fault(self) -> str:
        """What is wrong with the stamps right now, or an empty string."""
        if self._duplicates >= FROZEN_FRAMES:
            return f"stamps are frozen ({self._duplicates + 1} frames carry the same one)"
        if self._candidate is not None and self._stamp_ns is not None:
            seconds = (self._candidate.stamp_ns - self._stamp_ns) / 1e9
            return f"stamps jumped by {seconds:+.3f} s"
        return ""

    def observe(self, stamp_ns: int, arrival_ns: int) -> StampVerdict:
        """Judge one stamp and remember it where it is good."""
        if self._stamp_ns is None:
            return self._accept(stamp_ns, arrival_ns, StampVerdict.GOOD)
        if stamp_ns == self._stamp_ns:
            self._duplicates += 1
            return StampVerdict.DUPLICATE
        moved, elapsed = stamp_ns - self._stamp_ns, arrival_ns - self._arrival_ns
        if 0 < moved <= elapsed + JUMP_NS:
            return self._accept(stamp_ns, arrival_ns, StampVerdict.GOOD)
        if self._confirmed(stamp_ns, arrival_ns):
            return self._accept(stamp_ns, arrival_ns, StampVerdict.RESET)
        return StampVerdict.JUMP if moved > 0 else StampVerdict.BACKWARD

    def _accept(self, stamp_ns: int, arrival_ns: int, verdict: StampVerdict) -> StampVerdict:
        before_ns = self.offset_ns
        self._stamp_ns, self._arrival_ns, self.accepted_ns = stamp_ns, arrival_ns, arrival_ns
        if before_ns is not None and abs(stamp_ns - arrival_ns - before_ns) > JUMP_NS:
            self.changed_ns = arrival_ns
        self._candidate, self._duplicates = None, 0
        return verdict

    def _confirmed(self, stamp_ns: int, arrival_ns: int) -> bool:
        """Whether this stamp confirms a new time base; otherwise it starts or prolongs a candidate."""
        seen = self._candidate
        if seen is None or not 0 < stamp_ns - seen.stamp_ns <= arrival_ns - seen.arrival_ns + JUMP_NS:
            self._candidate = _Candidate(arrival_ns, stamp_ns, arrival_ns)
            return False
        seen.stamp_ns, seen.arrival_ns = stamp_ns, arrival_ns
        seen.frames += 1
        return seen.frames >= CONFIRM_FRAMES or arrival_ns - seen.first_arrival_ns >= CONFIRM_NS

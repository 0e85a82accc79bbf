"""Mode choice: degrade at once, restore after a bounded number of good pairs."""

from __future__ import annotations

from dataclasses import dataclass

from rgbd_seg_ros.core.frames import Mode, Sensor

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ModeConfig:
    """How fusion is restored.

    Attributes:
        restore_pairs: good pairs in a row after which fusion is restored.
        max_restore_pairs: bound of the requirement, which doubles while a stream keeps coming and going.
        stable_ns: fusion that lasted this long resets the requirement to `restore_pairs`.
        brief_ns: an outage shorter than this (a lost frame or two) does not raise the requirement.
        preferred: the sensor whose model labels while both deliver but fusion is not restored yet.
    """

    restore_pairs: int = 5
    max_restore_pairs: int = 60
    stable_ns: int = 3 * NS // 2
    brief_ns: int = 150_000_000
    preferred: Sensor = Sensor.RGB


class ModeSelector:
    """Chooses among the modes of a bundle from the usability of the sensors.

    With a stream that comes and goes at 1 Hz the requirement doubles at each return but the first, until the
    stream is not up long enough to meet it: fusion is left at most a few times, then the surviving mode stays.
    """

    def __init__(self, config: ModeConfig, modes: frozenset[Mode]) -> None:
        self._config = config
        self._modes = modes
        self.mode = Mode.NONE
        self.reason = "no frame has arrived yet"
        self._pairs = 0
        self._required = config.restore_pairs
        self._fusion_since_ns: int | None = None
        self._lost_ns: int | None = None
        self._fusion_lasted_ns = 0
        self._short_fusions = 0

    @property
    def required_pairs(self) -> int:
        """Good pairs in a row that fusion needs at present."""
        return self._required

    def good_pair(self) -> None:
        """A pair of usable frames was formed."""
        self._pairs += 1

    def lost_partner(self) -> None:
        """A frame that should have had a partner left alone: the run of good pairs is over."""
        self._pairs = 0

    def update(self, usable: dict[Sensor, bool], cause: str, now_ns: int) -> bool:
        """Choose the mode; returns whether it changed.

        Args:
            usable: whether each sensor's frames may be labelled.
            cause: why a sensor is not usable, in words; used for the reason.
            now_ns: steady time.
        """
        before = self.mode
        both = all(usable.values())
        if not both:
            self._pairs = 0
            if self._lost_ns is None:
                self._lost_ns = now_ns
        elif self._lost_ns is not None:
            self._returned(now_ns)
        self.mode, self.reason = self._both(before) if both else self._survivor(usable, cause)
        self._time_fusion(before, now_ns)
        return self.mode is not before

    def for_single(self, sensor: Sensor) -> Mode:
        """The mode for a frame of `sensor` alone; NONE where the bundle has no model for it."""
        return sensor.mode if sensor.mode in self._modes else Mode.NONE

    def for_pair(self) -> Mode:
        """The mode for a pair that completes while no sensor is usable any more; NONE where the bundle has none."""
        return Mode.FUSION if Mode.FUSION in self._modes else self._single()

    def _both(self, before: Mode) -> tuple[Mode, str]:
        if Mode.FUSION not in self._modes:
            mode = self._single()
            return mode, f"the bundle has no fusion model; {mode.value} labels" if mode is not Mode.NONE else _NO_MODEL
        if before is Mode.FUSION:
            return Mode.FUSION, "both sensors are well"
        if self._pairs >= self._required:
            return Mode.FUSION, f"both sensors are well again ({self._pairs} good pairs)"
        mode = before if before in self._modes and before is not Mode.NONE else self._single()
        if mode is Mode.NONE:
            return Mode.FUSION, "both sensors are well; the bundle has no other model"
        return mode, f"restoring fusion: {self._pairs} of {self._required} good pairs"

    def _survivor(self, usable: dict[Sensor, bool], cause: str) -> tuple[Mode, str]:
        for sensor in Sensor:
            if usable[sensor]:
                mode = self.for_single(sensor)
                if mode is Mode.NONE:
                    return mode, f"{cause}; the bundle has no model for {sensor.value} alone"
                return mode, cause
        return Mode.NONE, cause

    def _single(self) -> Mode:
        preferred = self._config.preferred
        for sensor in (preferred, preferred.other):
            if sensor.mode in self._modes:
                return sensor.mode
        return Mode.NONE

    def _returned(self, now_ns: int) -> None:
        """Both sensors are usable again: set how many good pairs are asked for this time."""
        assert self._lost_ns is not None
        outage_ns, self._lost_ns = now_ns - self._lost_ns, None
        if self._fusion_lasted_ns >= self._config.stable_ns:
            self._short_fusions = 0
        elif outage_ns >= self._config.brief_ns and self._fusion_lasted_ns > 0:
            self._short_fusions += 1
        self._fusion_lasted_ns = 0
        # The first short period of fusion is forgiven: an outage soon after the start is not flapping yet.
        doublings = min(max(0, self._short_fusions - 1), 16)
        most = max(self._config.max_restore_pairs, self._config.restore_pairs)
        self._required = min(self._config.restore_pairs << doublings, most)

    def _time_fusion(self, before: Mode, now_ns: int) -> None:
        if self.mode is Mode.FUSION and before is not Mode.FUSION:
            self._fusion_since_ns = now_ns
        elif before is Mode.FUSION and self.mode is not Mode.FUSION and self._fusion_since_ns is not None:
            self._fusion_lasted_ns = now_ns - self._fusion_since_ns


_NO_MODEL = "the bundle has no model for these sensors"

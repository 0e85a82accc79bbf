"""Scenarios: which fault happens to which stream when, as a short YAML file or one of the shipped library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.paths import config_file, share_dir
from rgbd_seg_ros.replay import fault_content, fault_timing  # noqa: F401  they register their kinds
from rgbd_seg_ros.replay.fault_kinds import KINDS, Effect, FaultKind

STREAMS = ("rgb", "depth", "both")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a scenario.

    Attributes:
        fault: name of the kind, see `fault_kinds.KINDS`.
        stream: `rgb`, `depth` or `both`.
        start: seconds after the start of the play.
        duration: seconds; None for the rest of the play.
        strength: in the unit of the kind; None for its default.
        seed: for the kinds that draw random numbers.
    """

    fault: str
    stream: str
    start: float
    duration: float | None = None
    strength: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fault not in KINDS:
            raise UserError(f"there is no fault called {self.fault!r}; there are: {', '.join(sorted(KINDS))}")
        if self.stream not in STREAMS:
            raise UserError(f"fault {self.fault}: stream is {self.stream!r}; it must be rgb, depth or both")
        if not all(sensor in self.kind.streams for sensor in self.sensors):
            able = " or ".join(sorted(s.value for s in self.kind.streams))
            raise UserError(f"fault {self.fault} does not work on stream {self.stream}, only on {able}")
        if self.start < 0 or (self.duration is not None and self.duration <= 0):
            raise UserError(f"fault {self.fault}: start must be 0 or later and duration more than 0 seconds")

    @property
    def kind(self) -> FaultKind:
        """The kind that `fault` names."""
        return KINDS[self.fault]

    @property
    def level(self) -> float:
        """The strength, or the kind's default."""
        return self.kind.strength if self.strength is None else self.strength

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """The streams it hits."""
        return tuple(Sensor) if self.stream == "both" else (Sensor(self.stream),)

    @property
    def start_ns(self) -> int:
        """Start in nanoseconds of the play's clock."""
        return round(self.start * 1e9)

    def end_ns(self, play_ns: int) -> int:
        """End in nanoseconds of the play's clock, at most `play_ns`."""
        return play_ns if self.duration is None else min(play_ns, round((self.start + self.duration) * 1e9))

    @property
    def loses_stream(self) -> bool:
        """Whether the streams it hits are of no use while it lasts."""
        if self.kind.effect is Effect.ALONE:
            return self.stream != "both"
        strong = self.kind.lost_from is None or self.level >= self.kind.lost_from
        return self.kind.effect is Effect.LOST and strong

    def active(self, sensor: Sensor, time_ns: int) -> bool:
        """Whether it hits a frame of `sensor` taken at `time_ns`."""
        over = self.duration is not None and time_ns >= round((self.start + self.duration) * 1e9)
        return sensor in self.sensors and time_ns >= self.start_ns and not over

    def blamed(self, sensor: Sensor, time_ns: int) -> bool:
        """Whether a frame of `sensor` taken at `time_ns` is hit by the fault or its aftermath."""
        if self.duration is None:
            return self.active(sensor, time_ns)
        over = time_ns >= round((self.start + self.duration + self.kind.aftermath_s) * 1e9)
        return sensor in self.sensors and time_ns >= self.start_ns and not over


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named list of faults over a play of `duration` seconds."""

    name: str
    duration: float
    faults: tuple[Fault, ...] = field(default_factory=tuple)
    description: str = ""

    @classmethod
    def load(cls, file: Path | str) -> Scenario:
        """Reads a YAML file, or the one of the shipped library that has this name.

        Raises:
            UserError: when there is no such scenario or it says something that makes no sense.
        """
        path = Path(file)
        if not path.suffix:
            path = config_file(f"faults/{file}.yaml")
        try:
            data = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"scenario {file} cannot be read: {error}") from error
        return cls.from_dict(data, default_name=path.stem)

    @classmethod
    def from_dict(cls, data: Any, default_name: str = "scenario") -> Scenario:
        """Builds a scenario from what YAML or JSON gave.

        Raises:
            UserError: for unknown or missing keys and values out of range.
        """
        if not isinstance(data, Mapping):
            raise UserError(f"scenario {default_name} is not a mapping with name, duration and faults")
        unknown = set(data) - {"name", "description", "duration", "faults"}
        if unknown:
            raise UserError(f"scenario {default_name} has unknown keys: {', '.join(sorted(map(str, unknown)))}")
        try:
            faults = tuple(Fault(**_numbers(entry)) for entry in data.get("faults") or ())
            duration = float(data["duration"])
        except KeyError as error:
            raise UserError(f"scenario {default_name} lacks {error}") from error
        except (TypeError, ValueError) as error:
            raise UserError(f"scenario {default_name} has a fault that cannot be understood: {error}") from error
        if duration <= 0:
            raise UserError(f"scenario {default_name}: duration must be more than 0 seconds")
        return cls(str(data.get("name", default_name)), duration, faults, str(data.get("description", "")))

    @classmethod
    def random(cls, seed: int, duration: float) -> Scenario:
        """A soak: a fault of any kind on any stream every few seconds, never two on one stream at once."""
        rng = np.random.default_rng(seed)
        faults: list[Fault] = []
        at = 3.0
        while at < duration:
            kind = KINDS[str(rng.choice(sorted(KINDS)))]
            choices = [s.value for s in Sensor if s in kind.streams] + (["both"] if len(kind.streams) == 2 else [])
            length = float(rng.uniform(0.3, 4.0))
            faults.append(
                Fault(kind.name, str(rng.choice(choices)), round(at, 3), round(length, 3), seed=int(rng.integers(1000)))
            )
            at += length + float(rng.uniform(0.5, 4.0))
        return cls(f"random-{seed}", duration, tuple(faults), "Faults of every kind at random.")

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads."""
        return asdict(self) | {"faults": [asdict(fault) for fault in self.faults]}

    def active(self, sensor: Sensor, time_ns: int) -> tuple[Fault, ...]:
        """The faults that hit a frame of `sensor` taken at `time_ns`, in the order of the file."""
        return tuple(fault for fault in self.faults if fault.active(sensor, time_ns))

    def blamed(self, sensor: Sensor, time_ns: int) -> tuple[Fault, ...]:
        """The active faults and those whose aftermath a frame of `sensor` taken at `time_ns` still suffers."""
        return tuple(fault for fault in self.faults if fault.blamed(sensor, time_ns))

    def best_mode(self, time_ns: int) -> Mode:
        """What a perfect switch would choose at `time_ns`: fusion of all streams that are not lost."""
        alive = [sensor for sensor in Sensor if not any(fault.loses_stream for fault in self.active(sensor, time_ns))]
        if len(alive) == 2:
            return Mode.FUSION
        return alive[0].mode if alive else Mode.NONE


def _numbers(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise TypeError(f"{entry!r} is not a mapping")
    numeric = {"start": float, "duration": float, "strength": float, "seed": int}
    return {key: numeric[key](v) if key in numeric and v is not None else v for key, v in entry.items()}


def library() -> list[str]:
    """Names of the shipped scenarios."""
    return sorted(path.stem for path in (share_dir() / "config" / "faults").glob("*.yaml"))

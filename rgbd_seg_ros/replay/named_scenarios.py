"""Scenarios by name: files, the shipped library, and those that need no file."""

from __future__ import annotations

from dataclasses import replace

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.paths import config_file
from rgbd_seg_ros.replay.scenario import Fault, Scenario

RANDOM_S = 60.0
ONLY_S = 10.0


def load_scenario(name: str, duration: float | None = None) -> Scenario:
    """The scenario of a file or of the library.

    `demo` is the story of the demo, `random:SEED` faults by chance, `only:rgb` or `only:depth` one stream alone.

    Args:
        name: see above.
        duration: seconds instead of those that the scenario says.

    Raises:
        UserError: there is no such scenario.
    """
    kind, _, word = name.partition(":")
    if kind == "random":
        if not word.isdigit():
            raise UserError(f"scenario {name}: write it as random:SEED with a whole number")
        return Scenario.random(int(word), duration or RANDOM_S)
    if kind == "only":
        if word not in ("rgb", "depth"):
            raise UserError(f"scenario {name}: write it as only:rgb or only:depth")
        missing = Fault("drop", Sensor(word).other.value, 0.0)
        return Scenario(name.replace(":", "-"), duration or ONLY_S, (missing,), f"Only {word} is there.")
    scenario = Scenario.load(config_file("demo.yaml") if name == "demo" else name)
    return replace(scenario, duration=duration) if duration else scenario

"""A play over real ROS 2: segmenter, recorder and player, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import math
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.domain import private_domain
from rgbd_seg_ros.replay.recording import PLAYER_FILE, Recording, load_recording, recorder_written
from rgbd_seg_ros.replay.scenario import Scenario
from rgbd_seg_ros.replay.sequence import Sequence

MEMORY_EVERY_S = 1.0
STOP_S = 15.0
"""A process that has not ended this long after SIGINT, or after its last sign of progress, is killed."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a play is run.

    Attributes:
        bundle: folder of the model bundle.
        seed: of the faults.
        scale: speed of the play.
        parameters: further parameters of the segmenter.
        keep_labels: record the label images, not only their stamps.
        start_timeout_s: for the segmenter to load and connect.
        clock: publish /clock and let the segmenter use it.
        lockstep: send each frame when its predecessor was answered; `parameters` should hold `lockstep_parameters`.
        answer_timeout_s: for that answer.
    """

    bundle: Path
    seed: int = 0
    scale: float = 1.0
    parameters: dict[str, Any] = field(default_factory=dict)
    keep_labels: bool = True
    start_timeout_s: float = 90.0
    clock: bool = False
    lockstep: bool = False
    answer_timeout_s: float = 10.0


def lockstep_parameters(sequence: Sequence) -> dict[str, Any]:
    """Parameters of the segmenter under which the pace of a play in lockstep looks like no broken camera.

    The node measures silence in real time, and here real time passes as it answers: rates are given, not learned, a
    stream is never stale, and a frame waits for its partner until that is certainly not sent any more.
    """
    rates = {f"{s.value}_expected_rate_hz": round(sequence.rate_of(s), 3) for s in sequence.sensors}
    patience = {"stale_periods": 1000.0, "pairing_timeout_ms": 250.0, "queue_size": 20, "max_queue_age_ms": 10000.0}
    return rates | patience


def refuse_timing_faults(scenario: Scenario) -> None:
    """Raises UserError where a fault of the scenario means nothing in lockstep."""
    timing = sorted({fault.fault for fault in scenario.faults if fault.kind.timing})
    if timing:
        raise UserError(
            f"scenario {scenario.name} has faults of timing ({', '.join(timing)}): in lockstep messages come when the "
            "node has answered, so play it at the pace real, or with --simulate"
        )


def play_live(source: Path, scenario: Scenario, options: LiveOptions, folder: Path) -> Recording:
    """Plays `source` through `scenario` into a segmenter; the logs of all three processes stay in `folder`.

    Raises:
        UserError: when one of the processes fails; its last words are in the sentence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scenario_file = folder / "scenario.yaml"
    scenario_file.write_text(json.dumps(scenario.to_dict()))  # JSON is YAML
    if importlib.util.find_spec("rclpy") is None:
        raise UserError(
            "playing over ROS 2 needs rclpy: source a ROS 2 installation, or pip install the extra ros of this package"
        )
    recording = [] if options.keep_labels else ["--no-labels"]
    recording += ["--acknowledge"] if options.lockstep else []
    with private_domain() as env, ExitStack() as stack:

        def start(module: str, arguments: list[str]) -> _Process:
            process = _Process(module, arguments, env, folder)
            stack.callback(process.stop)  # whatever happens below, none of them is left behind
            return process

        segmenter = start("segmenter_node", _node_arguments(options))
        recorder = start("replay_recorder", ["--out", str(folder), *recording])
        recorder.progress = lambda: recorder_written(folder)  # it decodes after SIGINT, for as long as it takes
        player = start("replay_player", _player_arguments(source, scenario_file, options, folder))
        longest_s = scenario.duration / options.scale + options.start_timeout_s + 30
        _wait_for(player, segmenter, recorder, math.inf if options.lockstep else longest_s)
        time.sleep(0.3)  # the last status is on its way to the recorder
        if recorder.stop() != 0:
            raise UserError(f"the recorder failed: {recorder.last_words()}")
        status = segmenter.stop()
        if status not in (0, -signal.SIGINT):
            raise UserError(f"the segmenter ended with status {status}: {segmenter.last_words()}")
    result = load_recording(folder)
    result.memory = [(at_ns, mib) for at_ns, mib in segmenter.memory if at_ns >= result.started_ns]
    return result


def _node_arguments(options: LiveOptions) -> list[str]:
    parameters = {"bundle": str(options.bundle), "autostart": True, "use_sim_time": options.clock, **options.parameters}
    pairs = [
        f"{key}:={json.dumps(value) if not isinstance(value, str) else value}" for key, value in parameters.items()
    ]
    return ["--ros-args", *(word for pair in pairs for word in ("-p", pair))]


def _player_arguments(source: Path, scenario: Path, options: LiveOptions, folder: Path) -> list[str]:
    clock = ["--clock"] if options.clock else []
    lockstep = ["--lockstep", "--answer-timeout", str(options.answer_timeout_s)] if options.lockstep else []
    return [
        *clock,
        *lockstep,
        *("--source", str(source), "--scenario", str(scenario), "--log", str(folder / PLAYER_FILE)),
        *("--seed", str(options.seed), "--scale", str(options.scale), "--timeout", str(options.start_timeout_s)),
    ]


def _wait_for(player: _Process, segmenter: _Process, recorder: _Process, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    next_sample = 0.0
    while player.running:
        if time.monotonic() >= next_sample:
            next_sample = time.monotonic() + MEMORY_EVERY_S
            segmenter.sample_memory()
        for process in (segmenter, recorder):
            if not process.running:
                raise UserError(f"{process.name} ended during the play: {process.last_words()}")
        if time.monotonic() > deadline:
            raise UserError(f"the play has not ended after {timeout_s:.0f} s: {player.last_words()}")
        time.sleep(0.1)
    if player.stop() != 0:
        hint = " ".join(f"{p.name}: {p.last_words()}" for p in (segmenter, recorder))
        raise UserError(f"the player failed: {player.last_words()} {hint}".strip())


def interrupt(process: subprocess.Popen[bytes], progress: Callable[[], int], patience_s: float) -> int:
    """Ends a process by SIGINT and gives its exit status; kills it when `progress` rests for `patience_s`."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    seen, since = progress(), time.monotonic()
    while process.poll() is None:
        time.sleep(0.05)
        now = progress()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > patience_s:
            process.kill()
            break
    return process.wait()


class _Process:
    """A module of `rgbd_seg_ros.nodes` run by the same Python, its output in a file."""

    def __init__(self, module: str, arguments: list[str], env: dict[str, str], folder: Path) -> None:
        self.name = module
        self.memory: list[tuple[int, float]] = []
        self.progress: Callable[[], int] = lambda: 0
        self._log = folder / f"{module}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"rgbd_seg_ros.nodes.{module}", *arguments],
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # ^C in the terminal reaches only the parent, which stops them in order
            )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def sample_memory(self) -> None:
        """Notes (steady time in ns, resident memory in MiB); nothing where the system does not tell."""
        statm = Path(f"/proc/{self._process.pid}/statm")
        if statm.exists():
            pages = int(statm.read_text().split()[1])
            self.memory.append((time.monotonic_ns(), pages * resource.getpagesize() / 2**20))

    def stop(self) -> int:
        """Ends the process and gives its exit status."""
        return interrupt(self._process, self.progress, STOP_S)

    def last_words(self) -> str:
        """The end of what it printed, on one line."""
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(lines[-3:]) or "it said nothing"

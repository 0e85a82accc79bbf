"""What the commands that play something have in common: input, run, report, pictures, table."""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.accuracy import Truth, comparable, measure
from rgbd_seg_ros.evaluation.joining import join
from rgbd_seg_ros.evaluation.page import show, show_miou, write_page
from rgbd_seg_ros.evaluation.report import build_report, write_report
from rgbd_seg_ros.evaluation.timeline import draw_timeline
from rgbd_seg_ros.evaluation.video import film, moments
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.paths import default_bundle
from rgbd_seg_ros.replay.bag_source import is_bag
from rgbd_seg_ros.replay.named_scenarios import load_scenario
from rgbd_seg_ros.replay.record import Record
from rgbd_seg_ros.replay.recording import Recording
from rgbd_seg_ros.replay.rendering import rendered
from rgbd_seg_ros.replay.scenario import Scenario
from rgbd_seg_ros.replay.schedule import FaultInjector, healthy_records, scheduled
from rgbd_seg_ros.replay.sequence import Sequence, is_sequence, pack
from rgbd_seg_ros.replay.source import open_source

console = Console(highlight=False)
CACHE = Path(".cache") / "sequences"
LISTED_SWITCHES = 12
RENDERED_S = 8.0
"""Rendered sequences are played forth and back; a longer one would only take longer to render."""


@dataclass(frozen=True, slots=True)
class Play:
    """What is played into what."""

    sequence: Sequence
    scenario: Scenario
    bundle: Bundle
    seed: int

    @property
    def duration_ns(self) -> int:
        """Length of the play."""
        return round(self.scenario.duration * 1e9)

    def records(self, epoch_ns: int = 0) -> Iterator[Record]:
        """The messages that are sent, in order, images included."""
        injector = FaultInjector(self.scenario, self.sequence.rate_hz, self.seed)
        frames = self.sequence.bounced(self.duration_ns)
        return scheduled(healthy_records(frames, epoch_ns, self.duration_ns), injector)

    def truth(self) -> Truth | None:
        """Ground truth by stream and number of the frame in the play; None where there is none for these classes."""
        truth_set = self.sequence.label_set
        if truth_set is None or not comparable(truth_set, self.bundle.manifest.label_set):
            return None
        labels: dict[Sensor, list[Any]] = {sensor: [] for sensor in Sensor}
        for frame in self.sequence.bounced(self.duration_ns):
            labels[frame.sensor].append(frame.label)
        return lambda sensor, index: labels[sensor][index] if index < len(labels[sensor]) else None


def add_play_arguments(parser: argparse.ArgumentParser, default_scenario: str | None) -> None:
    """The arguments that choose input, scenario and bundle."""
    parser.add_argument("--input", type=Path, help="folder of rgb and depth images, or a rosbag2; default: rendered")
    parser.add_argument("--bundle", type=Path, help="model bundle; default: the one shipped")
    parser.add_argument(
        "--scenario",
        default=default_scenario,
        help="YAML file, or the name of one in config/faults (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=2, help="of the rendered room and the faults (default: %(default)s)"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--duration", type=float, help="seconds to play; default: as the scenario says")
    length.add_argument("--once", action="store_true", help="play every frame of the input once")
    parser.add_argument("--rgb-topic", help="colour topic of a bag; default: found by name")
    parser.add_argument("--depth-topic", help="depth topic of a bag")
    parser.add_argument("--label-topic", help="ground-truth topic of a bag")
    parser.add_argument(
        "--rate", type=float, help="frames per second of folders without times (default: 30) and of prepared sets"
    )
    parser.add_argument("--size", default="640x480", help="of rendered frames (default: %(default)s)")
    parser.add_argument("--world", default="indoor", help="rendered world (default: %(default)s)")


def prepare(args: argparse.Namespace, work: Path) -> Play:
    """Opens everything that `add_play_arguments` names; unpacked inputs are packed into `work`.

    Raises:
        UserError: when something is missing or damaged.
    """
    scenario = load_scenario(args.scenario, args.duration)
    bundle = load_bundle(args.bundle or default_bundle())
    sequence = _sequence(args, scenario, bundle, work)
    if args.once:
        scenario = replace(scenario, duration=sequence.duration_s)
    play = Play(sequence, scenario, bundle, args.seed)
    truth_set, label_set = play.sequence.label_set, bundle.manifest.label_set
    if truth_set is not None and not comparable(truth_set, label_set):
        console.print(f"no mIoU: the truth has the classes of {truth_set.name}, the bundle those of {label_set.name}")
    return play


def _sequence(args: argparse.Namespace, scenario: Scenario, bundle: Bundle, work: Path) -> Sequence:
    if args.input is None:
        width, height = parse_size(args.size)
        with progress_bar("rendering", "frames") as advance:
            return rendered(CACHE, world=args.world, seed=args.seed, duration_s=min(RENDERED_S, scenario.duration),
                            size=(width, height), progress=advance)  # fmt: skip
    topics = {f"{role}_topic": getattr(args, f"{role}_topic") for role in ("rgb", "depth", "label")}
    options: dict[str, Any] = {} if args.rate is None else {"rate_hz": args.rate}
    if is_bag(args.input):
        options = topics | {"label_set": bundle.manifest.label_set}
    longest_s = None if args.once else scenario.duration
    return Sequence(pack_input(args.input, work / "sequence", longest_s, **options))


def pack_input(path: Path, folder: Path, duration_s: float | None = None, **options: Any) -> Path:
    """Folder of the packed sequence at `path`, or of what `path` holds packed into `folder`."""
    if is_sequence(path):
        return path
    source = open_source(path, **options)
    with progress_bar(f"reading {path.name}", "frames") as advance:
        return pack(source, folder, duration_s, lambda done: advance(done, None)).folder


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of a text like 640x480.

    Raises:
        UserError: when it is none.
    """
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise UserError(f"--size is {text!r}; give it as 640x480") from error
    return width, height


def evaluate_recording(play: Play, recording: Recording, facts: dict[str, Any]) -> dict[str, Any]:
    """The report of a play."""
    joined = join(recording)
    truth, label_set = play.truth(), play.bundle.manifest.label_set
    accuracy = None
    if truth is not None and play.sequence.label_set is not None:
        accuracy = measure(joined, truth, play.sequence.label_set, label_set, play.scenario)
    return build_report(recording, joined, play.scenario, accuracy, play_facts(play) | facts)


def play_facts(play: Play) -> dict[str, Any]:
    """What a report says about its input: enough to play it again."""
    manifest = play.bundle.manifest
    return {
        "command": shlex.join(["rgbd-seg", *sys.argv[1:]]),
        "input": play.sequence.name,
        "frames": {s.value: play.sequence.count(s) for s in Sensor},
        "bundle": {
            "name": manifest.name,
            "label_set": manifest.label_set.name,
            "sha256": {mode.value: entry.model.sha256 for mode, entry in manifest.modes.items()},
        },
        "scenario_sha256": hashlib.sha256(repr(play.scenario).encode()).hexdigest(),
        "seed": play.seed,
    }


def write_outputs(play: Play, recording: Recording, report: dict[str, Any], out: Path, with_video: bool) -> None:
    """report.json, timeline.png, video.mp4, poster.png and report.html into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    write_report(report, out / "report.json")
    draw_timeline(recording, play.scenario, out / "timeline.png", f"{play.sequence.name}: {play.scenario.name}")
    if with_video:
        total = round(play.scenario.duration * 30)
        with progress_bar("drawing the video", "pictures") as advance:
            stream = moments(recording, play.records(), play.scenario)
            film(stream, play.scenario, play.bundle.manifest.label_set, out, lambda done: advance(done, total))
    write_page(report, out)


def print_table(report: dict[str, Any]) -> None:
    """A short table of the modes, a line for each switch that took its time, and the verdict."""
    table = Table("mode", title=f"{report['input']}: {report['scenario']['name']}", title_justify="left")
    for column in ("labels", "labels/s", "latency p50 ms", "p95 ms", "mIoU"):
        table.add_column(column, justify="right")
    for mode, count in report["labels_out"].items():
        latency = report["latency_ms"].get(mode) or {}
        accuracy = (report["miou"] or {}).get(mode)
        cells = (report["label_rate_hz"].get(mode), latency.get("p50"), latency.get("p95"))
        table.add_row(mode, str(count), *(show(cell) for cell in cells), show_miou(accuracy))
    console.print(table)
    for sensor, frames in report["frames_in"].items():
        drops = ", ".join(f"{reason} {count}" for reason, count in report["dropped"][sensor].items()) or "none"
        lost = report["lost_in_transport"][sensor]
        console.print(
            f"{sensor}: {frames['sent']} sent, {frames['labelled']} labelled, dropped: {drops}, lost on the way: {lost}"
        )
    downs = [s for s in report["switches"] if s["latency_ms"] is not None and not s["restores"]]
    for switch in downs[:LISTED_SWITCHES]:
        console.print(f"{switch['trigger']}: first {switch['to']} label after {switch['latency_ms']:.0f} ms")
    if report["passed"]:
        console.print("[green]every frame of a surviving stream was labelled[/green]")
    for failure in report["failures"]:
        console.print(f"[red]{failure}[/red]")


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar that appears with the first call of what it gives: (done, total or None)."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(what, total=None)

    def advance(done: int, total: int | None) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        bar.stop()

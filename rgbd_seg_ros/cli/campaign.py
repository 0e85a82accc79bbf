"""run every fault scenario with several seeds on a bundle and put the results in one table."""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from rgbd_seg_ros.cli import _play
from rgbd_seg_ros.cli._signals import TERMINATED, unwind_on_sigterm
from rgbd_seg_ros.cli._simulated import MemoLabeller, run_simulated
from rgbd_seg_ros.evaluation.campaign_table import (
    HEAD,
    campaign_row,
    crash_row,
    summarise,
    table,
    write_campaign_page,
)
from rgbd_seg_ros.evaluation.comparison import markdown_table
from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.paths import default_bundle
from rgbd_seg_ros.replay.live import LiveOptions, play_live
from rgbd_seg_ros.replay.named_scenarios import load_scenario
from rgbd_seg_ros.replay.rendering import code_version, rendered
from rgbd_seg_ros.replay.scenario import library
from rgbd_seg_ros.replay.sequence import Sequence

RENDERED_S = 7.0
"""Played forth and back. With 6 s the shipped freezes (4 s to 8 s) would end on the very image that was frozen."""
PIECE = 8
ROOMS = ("core", "scenes", "datasets", "inference", "replay", "evaluation", "nodes", "cli")
CODE = tuple(code_version(f"rgbd_seg_ros.{room}") for room in ROOMS)
"""Every room whose code takes part in a play; the networks of `models` are in the bundle."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument(
        "--input", type=Path, help="folder, bag or packed sequence; default: one rendered room per seed"
    )
    parser.add_argument("--bundle", type=Path, help="model bundle; default: the one shipped")
    parser.add_argument("--scenarios", nargs="*", help="files or names; default: the whole library")
    parser.add_argument("--seeds", type=int, default=4, help="of rooms and faults: 0 to n - 1 (default: %(default)s)")
    parser.add_argument("--duration", type=float, help="seconds of each play; default: as the scenario says")
    parser.add_argument("--size", default="320x240", help="of rendered frames (default: %(default)s)")
    parser.add_argument("--world", default="indoor", help="rendered world (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="plays in parallel (default: %(default)s)")
    parser.add_argument(
        "--live", action="store_true", help="over ROS 2 with the node, one play at a time, in real time"
    )
    parser.add_argument("--out", type=Path, default=Path("out/campaign"), help="folder (default: %(default)s)")


@dataclass(frozen=True, slots=True)
class Job:
    """The plays of one seed, which share a sequence: folder, bundle, scenarios that are not done yet."""

    sequence: Path
    bundle: Path
    seed: int
    scenarios: tuple[str, ...]
    duration: float | None
    live: bool


def run(args: argparse.Namespace) -> int:
    """Plays what is not done yet; 1 when any play shows a problem."""
    bundle = load_bundle(args.bundle or default_bundle())
    scenarios = args.scenarios or library()
    for name in scenarios:
        load_scenario(name)  # a misspelt name ends it here, not after an hour
    results = args.out / "runs"
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rgbd_seg_") as work:
        jobs, done = plan(args, bundle.folder, scenarios, results, Path(work))
        total = len(scenarios) * args.seeds
        with _play.progress_bar("playing", "plays") as advance:
            for row, file in play_all(jobs, 1 if args.live else args.workers, results, play_job):
                if row["crash"] is None:  # a crash is tried again by the next call
                    keep(row, file)
                done.append(row)
                advance(len(done), total)
    done.sort(key=lambda row: (row["scenario"], row["seed"]))
    facts = f"{bundle.manifest.name}, {'over ROS 2' if args.live else 'virtual time'}"
    write_campaign_page(done, facts, args.out / "campaign.html")
    summary = summarise(done)
    keep(summary | {"rows": done}, args.out / "campaign.json")
    (args.out / "table.md").write_text(markdown_table(HEAD, [line["cells"] for line in table(done)]))
    _print(done, summary)
    return 1 if summary["bad"] else 0


def plan(
    args: argparse.Namespace, bundle: Path, scenarios: list[str], results: Path, work: Path
) -> tuple[list[Job], list[dict[str, Any]]]:
    """The jobs that are left and the rows that an earlier call left in `results`.

    Reads `input`, `seeds`, `size`, `world`, `duration` and `live` of `args`.
    """
    jobs, done = [], []
    shared: Path | None = None
    for seed in range(args.seeds):
        if args.input is None:
            width, height = _play.parse_size(args.size)
            with _play.progress_bar(f"rendering room {seed}", "frames") as advance:
                sequence = rendered(_play.CACHE, world=args.world, seed=seed, duration_s=RENDERED_S,
                                    size=(width, height), progress=advance).folder  # fmt: skip
        else:
            shared = sequence = shared or _play.pack_input(args.input, work / "sequence")
        left = []
        for name in scenarios:
            job = Job(sequence, bundle, seed, (name,), args.duration, args.live)
            file = results / _result_name(job)
            if file.exists():
                done.append(json.loads(file.read_text()))
            else:
                left.append(name)
        if left:
            jobs.append(Job(sequence, bundle, seed, tuple(left), args.duration, args.live))
    return jobs, done


def _result_name(job: Job) -> str:
    """Names the play by all that decides its result: a play with another bundle, input or code is another play."""
    name = job.scenarios[0]
    scenario = load_scenario(name)
    manifest = (job.bundle / "manifest.json").read_bytes()
    sequence = Sequence(job.sequence)
    text = f"{scenario!r} {sequence.facts} {sequence.digest} {job.duration} {job.live} {CODE}".encode()
    return f"{scenario.name}-{job.seed}-{hashlib.sha256(manifest + text).hexdigest()[:12]}.json"


def play_all(
    jobs: list[Job], workers: int, results: Path, play: Callable[[Job], list[dict[str, Any]]]
) -> Iterator[tuple[dict[str, Any], Path]]:
    """Rows as they are ready, with the file for each.

    Labels of healthy frames are shared among the plays of one piece in virtual time, so that is its size there. A
    piece whose process dies is played again alone, one scenario at a time; a scenario that ends its process is a crash.
    """
    left = [
        replace(job, scenarios=job.scenarios[i : i + size])
        for job in jobs
        for size in (1 if job.live else PIECE,)
        for i in range(0, len(job.scenarios), size)
    ]
    broken: list[Job] = []
    with _pool(workers) as pool:
        futures = {pool.submit(_guarded, play, piece): piece for piece in left}
        for future in as_completed(futures):
            try:
                rows = future.result()
            except BrokenProcessPool:
                broken.append(futures[future])
                continue
            yield from _named(futures[future], rows, results)
    for one in (replace(piece, scenarios=(name,)) for piece in broken for name in piece.scenarios):
        yield from _named(one, _play_alone(one, play), results)


def _guarded(play: Callable[[Job], list[dict[str, Any]]], job: Job) -> list[dict[str, Any]]:
    """`play(job)` in a worker; SIGTERM unwinds the play and then ends the worker, which would go on with the next."""
    try:
        return play(job)
    except SystemExit:
        os._exit(TERMINATED)


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(max(1, workers), multiprocessing.get_context("spawn"), unwind_on_sigterm)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)  # whoever interrupts a campaign does not wait for what has not begun


def _play_alone(job: Job, play: Callable[[Job], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    with _pool(1) as pool:
        try:
            return pool.submit(_guarded, play, job).result()
        except BrokenProcessPool:
            return [crash_row(name, job.seed, "the process died") for name in job.scenarios]


def _named(piece: Job, rows: list[dict[str, Any]], results: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    for name, row in zip(piece.scenarios, rows, strict=True):
        yield row, results / _result_name(replace(piece, scenarios=(name,)))


def play_job(job: Job) -> list[dict[str, Any]]:
    """Plays the scenarios of a job; a play that crashes gives a row that says so."""
    bundle = load_bundle(job.bundle)
    sequence = Sequence(job.sequence)
    segmenter = None if job.live else Segmenter(bundle, threads=1)
    label = MemoLabeller(segmenter) if segmenter else None
    rows = []
    for name in job.scenarios:
        scenario = load_scenario(name, job.duration)
        play = _play.Play(sequence, scenario, bundle, job.seed)
        try:
            rows.append(campaign_row(scenario.name, job.seed, _report(play, label)))
        except Exception as error:  # a crash is a result: the campaign goes on and its table shows it
            rows.append(crash_row(scenario.name, job.seed, f"{type(error).__name__}: {error}"))
    if segmenter:
        segmenter.close()
    return rows


def _report(play: _play.Play, label: MemoLabeller | None) -> dict[str, Any]:
    if label is not None:
        return _play.evaluate_recording(play, run_simulated(play, label), {"simulated": True})
    with tempfile.TemporaryDirectory(prefix="rgbd_seg_") as logs:
        options = LiveOptions(play.bundle.folder, play.seed)
        recording = play_live(play.sequence.folder, play.scenario, options, Path(logs))
        return _play.evaluate_recording(play, recording, {"simulated": False})


def keep(data: dict[str, Any], file: Path) -> None:
    """Writes JSON; the file appears whole or not at all."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(data, indent=1))
    partial.replace(file)


def _print(rows: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    narrow = [number for number, name in enumerate(HEAD) if name not in ("frames", "labelled", "dropped", "switches")]
    shown = Table(*(HEAD[number] for number in narrow))
    for line in table(rows):
        shown.add_row(*(str(line["cells"][number]) for number in narrow), style="red" if line["bad"] else None)
    _play.console.print(shown)
    for problem in summary["problems"][:20]:
        _play.console.print(f"[red]{problem}[/red]")
    _play.console.print(
        f"{summary['runs']} runs, {summary['crashes']} crashes, {summary['unlabelled']} surviving frames unlabelled, "
        f"{summary['wrong']} wrong switches, {summary['late']} faults noticed late"
    )

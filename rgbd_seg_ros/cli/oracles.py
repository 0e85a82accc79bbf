"""compare the core with what other nodes do when a stream fails, and with a perfect switch, over many rooms."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from rgbd_seg_ros.cli import _play, campaign
from rgbd_seg_ros.cli._simulated import MemoLabeller, policy_rows
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.campaign_table import crash_row
from rgbd_seg_ros.evaluation.comparison import markdown_table
from rgbd_seg_ros.evaluation.policy_table import HEAD, draw_policies, policy_summary, summary_rows
from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.paths import default_bundle
from rgbd_seg_ros.replay.named_scenarios import load_scenario
from rgbd_seg_ros.replay.sequence import Sequence


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--input", type=Path, help="folder, bag or packed sequence with truth; default: rendered rooms")
    parser.add_argument("--bundle", type=Path, help="model bundle; default: the one shipped")
    parser.add_argument("--scenarios", nargs="*", default=["demo"], help="files or names (default: demo)")
    parser.add_argument("--seeds", type=int, default=10, help="of rooms and faults: 0 to n - 1 (default: %(default)s)")
    parser.add_argument("--duration", type=float, help="seconds of each play; default: as the scenario says")
    parser.add_argument("--size", default="320x240", help="of rendered frames (default: %(default)s)")
    parser.add_argument("--world", default="indoor", help="rendered world (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="plays in parallel (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/oracles"), help="folder (default: %(default)s)")
    parser.set_defaults(live=False)


def run(args: argparse.Namespace) -> int:
    """Plays what is not done yet and compares; 1 when a play crashed."""
    bundle = load_bundle(args.bundle or default_bundle())
    for name in args.scenarios:
        load_scenario(name)
    results = args.out / "oracle_runs"
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rgbd_seg_") as work:
        jobs, done = campaign.plan(args, bundle.folder, args.scenarios, results, Path(work))
        with _play.progress_bar("playing", "plays") as advance:
            for row, file in campaign.play_all(jobs, args.workers, results, oracle_job):
                if row["crash"] is None:
                    campaign.keep(row, file)
                done.append(row)
                advance(len(done), len(args.scenarios) * args.seeds)
    crashes = [row for row in done if row["crash"] is not None]
    for row in crashes:
        _play.console.print(f"[red]{row['scenario']} (seed {row['seed']}): {row['crash']}[/red]")
    played = sorted((row for row in done if row["crash"] is None), key=lambda row: (row["scenario"], row["seed"]))
    if not played:
        raise UserError("no play came to its end: there is nothing to compare")
    _write(args, played, f"{bundle.manifest.name}: {', '.join(args.scenarios)}")
    return 1 if crashes else 0


def _write(args: argparse.Namespace, played: list[dict[str, Any]], title: str) -> None:
    summary = policy_summary(played)
    lines = summary_rows(summary)
    campaign.keep({"summary": summary, "rows": played}, args.out / "oracles.json")
    (args.out / "table.md").write_text(markdown_table(HEAD, lines))
    draw_policies(summary, args.out / "policies.png", title)
    shown = Table(*HEAD, title=title, title_justify="left")
    for line in lines:
        shown.add_row(*line)
    _play.console.print(shown)


def oracle_job(job: campaign.Job) -> list[dict[str, Any]]:
    """Plays the scenarios of a job under every policy; a play that crashes gives a row that says so."""
    bundle, sequence = load_bundle(job.bundle), Sequence(job.sequence)
    segmenter = Segmenter(bundle, threads=1)
    label = MemoLabeller(segmenter)
    rows: list[dict[str, Any]] = []
    for name in job.scenarios:
        scenario = load_scenario(name, job.duration)
        try:
            policies = policy_rows(_play.Play(sequence, scenario, bundle, job.seed), label)
            rows.append({"scenario": scenario.name, "seed": job.seed, "crash": None, "policies": policies})
        except Exception as error:  # a crash is a result: the comparison goes on without it and says so
            rows.append(crash_row(scenario.name, job.seed, f"{type(error).__name__}: {error}"))
    segmenter.close()
    return rows

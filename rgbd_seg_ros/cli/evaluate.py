"""play a bag, a folder or a rendered sequence through a fault scenario and report accuracy, switches and losses."""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from rgbd_seg_ros.cli import _play
from rgbd_seg_ros.cli._simulated import MemoLabeller, policy_rows, run_simulated, stream_of
from rgbd_seg_ros.cli.demo import add_live_arguments, node_parameters, settings_of
from rgbd_seg_ros.core.stream import StreamConfig
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.comparison import compare_reports
from rgbd_seg_ros.evaluation.page import show, show_miou
from rgbd_seg_ros.evaluation.report import read_report
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.nodes.parameters import CORE, core_settings
from rgbd_seg_ros.replay.live import LiveOptions, lockstep_parameters, play_live, refuse_timing_faults
from rgbd_seg_ros.replay.recording import Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    _play.add_play_arguments(parser, "healthy")
    parser.add_argument("--bag", dest="input", type=Path, help="the same as --input")
    add_live_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("out/evaluate"), help="folder (default: %(default)s)")
    parser.add_argument(
        "--simulate", action="store_true", help="in virtual time without ROS: as fast as the models run, none lost"
    )
    parser.add_argument(
        "--no-labels", action="store_true", help="record no label images, for plays of hours: no mIoU, no video"
    )
    parser.add_argument(
        "--pace", choices=("real", "lockstep"), default="real",
        help="over ROS: the time of the cameras, or as fast as the node answers with none lost (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--speed", type=float, default=1.0, help="of the play at the pace real (default: %(default)s)")
    parser.add_argument(
        "--clock", action="store_true", help="publish /clock and run the node on it; always in lockstep"
    )
    parser.add_argument(
        "--oracles", action="store_true", help="compare with zero-filled fusion, a synchroniser and a perfect switch"
    )
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"), help="compare two reports and play nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Plays and reports; 1 when a frame of a surviving stream stayed without a label."""
    if args.compare:
        _print_comparison(*args.compare)
        return 0
    if args.pace == "lockstep" and (args.simulate or args.speed != 1.0):
        raise UserError("--pace lockstep plays over ROS at no speed of its own: leave out --simulate and --speed")
    if not 0.0 < args.speed < math.inf:
        raise UserError(f"--speed is {args.speed:g}: give a number above 0, 2 for twice as fast")
    config = _core_config(args)
    with tempfile.TemporaryDirectory(prefix="rgbd_seg_") as temporary:
        work = Path(temporary)
        play = _play.prepare(args, work)
        if args.oracles and play.truth() is None:
            raise UserError(f"--oracles needs ground truth in the bundle's classes, and {play.sequence.name} has none")
        recording = _simulated(args, play, config) if args.simulate else _live(args, play, work)
        pace = "virtual time" if args.simulate else args.pace
        facts: dict[str, Any] = {"backend": args.backend, "simulated": args.simulate, "pace": pace}
        if args.oracles:
            facts["oracles"] = _oracles(args, play, config)
        report = _play.evaluate_recording(play, recording, facts)
        _play.write_outputs(play, recording, report, args.out, not (args.no_video or args.no_labels))
    _play.print_table(report)
    if args.oracles:
        _print_oracles(report["oracles"])
    _play.console.print(f"report: {args.out / 'report.html'}")
    return 0 if report["passed"] else 1


def _live(args: argparse.Namespace, play: _play.Play, work: Path) -> Recording:
    lockstep = args.pace == "lockstep"
    if lockstep:
        refuse_timing_faults(play.scenario)
    parameters = (lockstep_parameters(play.sequence) if lockstep else {}) | node_parameters(args)
    options = LiveOptions(play.bundle.folder, args.seed, args.speed, parameters, keep_labels=not args.no_labels,
                          clock=args.clock or lockstep, lockstep=lockstep)  # fmt: skip
    how = "in lockstep" if lockstep else f"for {play.scenario.duration / args.speed:.0f} s"
    with _play.console.status(f"playing {how} over ROS 2"):
        return play_live(play.sequence.folder, play.scenario, options, work / "logs")


def _core_config(args: argparse.Namespace) -> StreamConfig:
    """What `--set` says about the core.

    Raises:
        UserError: with `--simulate`, for anything that only the node has.
    """
    given = settings_of(args.set)
    if not args.simulate:
        given = {name: value for name, value in given.items() if name in CORE}
    elif args.clock or args.speed != 1.0:
        raise UserError("--simulate plays in virtual time without ROS: leave out --clock and --speed")
    return core_settings(given)


def _simulated(args: argparse.Namespace, play: _play.Play, config: StreamConfig) -> Recording:
    segmenter = Segmenter(play.bundle, backend=args.backend, threads=args.threads)
    try:
        with _play.console.status("labelling in virtual time"):
            return run_simulated(play, MemoLabeller(segmenter), stream_of(play.bundle.modes, config))
    finally:
        segmenter.close()


def _oracles(args: argparse.Namespace, play: _play.Play, config: StreamConfig) -> list[dict[str, Any]]:
    segmenter = Segmenter(play.bundle, backend=args.backend, threads=args.threads)
    try:
        with _play.console.status("labelling as others would"):
            return policy_rows(play, MemoLabeller(segmenter), config)
    finally:
        segmenter.close()


def _print_oracles(rows: list[dict[str, Any]]) -> None:
    table = Table("policy", title="the same messages, other policies (virtual time)", title_justify="left")
    for column in ("moments labelled", "mIoU of these", "mIoU, silence counted as error"):
        table.add_column(column, justify="right")
    for row in rows:
        scores = (show(row[key]) if row[key] is None else f"{row[key]:.4f}" for key in ("miou_given", "miou_always"))
        table.add_row(row["policy"], f"{row['labelled']} of {row['moments']}", *scores)
    _play.console.print(table)


def _print_comparison(before: Path, after: Path) -> None:
    table = Table()
    table.add_column("", no_wrap=True)
    for path in (before, after):
        table.add_column(path.parent.name if path.suffix else path.name, justify="right", overflow="fold")
    table.add_column("change", justify="right")
    for name, old, new in compare_reports(read_report(before), read_report(after)):
        numbers = not isinstance(old, bool) and isinstance(old, int | float) and isinstance(new, int | float)
        digits = show_miou if "mIoU" in name or "miou" in name else show
        table.add_row(name, digits(old), digits(new), f"{new - old:+.4g}" if numbers else "")
    _play.console.print(table)

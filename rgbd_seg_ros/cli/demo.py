"""play an RGB-D stream with scripted failures through the segmenter, over real ROS 2, and report what happened."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rgbd_seg_ros.cli import _play
from rgbd_seg_ros.cli._fitting import as_text, play_until_it_fits
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.live import LiveOptions, play_live
from rgbd_seg_ros.replay.recording import Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    _play.add_play_arguments(parser, "demo")
    add_live_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder (default: %(default)s)")


def add_live_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of commands that start the node."""
    parser.add_argument("--backend", default="auto", help="inference backend of the node (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="inference threads of the node (default: %(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME:=VALUE", help="any other parameter of the node; repeatable"
    )
    parser.add_argument("--no-video", action="store_true", help="leave the video and the poster out")


def node_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters of the node that the arguments name.

    Raises:
        UserError: when a `--set` is not of the form NAME:=VALUE.
    """
    return {"backend": args.backend, "threads": args.threads, **settings_of(args.set)}


def settings_of(words: Sequence[str]) -> dict[str, str]:
    """Names and values of the texts NAME:=VALUE; of a name that comes again the last value.

    Raises:
        UserError: when one has another form.
    """
    settings = {}
    for text in words:
        name, separator, value = text.partition(":=")
        if not separator:
            raise UserError(f"--set {text}: write it as NAME:=VALUE")
        settings[name] = value
    return settings


def run(args: argparse.Namespace) -> int:
    """Plays, reports, and gives 1 when a frame of a surviving stream stayed without a label.

    Where the machine is too slow for the bundle, it is played again with smaller networks, unless `--set` names a size.
    """
    with tempfile.TemporaryDirectory(prefix="rgbd_seg_") as temporary:
        work = Path(temporary)
        play = _play.prepare(args, work)
        parameters = node_parameters(args)
        recordings: list[Recording] = []  # the last one counts

        def play_once(size: tuple[int, int] | None) -> dict[str, Any]:
            sized = parameters if size is None else {**parameters, "network_size": as_text(size)}
            options = LiveOptions(play.bundle.folder, seed=args.seed, parameters=sized)
            shutil.rmtree(work / "logs", ignore_errors=True)  # labels of an earlier play
            with _play.console.status(f"playing {play.scenario.duration:.0f} s over ROS 2"):
                recordings[:] = [play_live(play.sequence.folder, play.scenario, options, work / "logs")]
            return _play.evaluate_recording(play, recordings[0], {"backend": args.backend})

        if "network_size" in parameters:
            report = play_once(None) | {"network_size": parameters["network_size"]}
        else:
            report = play_until_it_fits(play_once, play.bundle.manifest, _play.console.print)
        _play.write_outputs(play, recordings[0], report, args.out, not args.no_video)
    _play.print_table(report)
    if report["passed"] and report.get("too_large"):
        _play.console.print(f"on this machine, as busy as it was, give the node network_size:={report['network_size']}")
    _play.console.print(f"report: {args.out / 'report.html'}")
    return 0 if report["passed"] else 1

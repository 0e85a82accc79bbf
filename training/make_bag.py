#!/usr/bin/env python3
"""Write a rosbag2 with colour, depth, camera_info and ground-truth labels from any source of frames.

python training/make_bag.py data/nyu13 --split test --out bags/nyu
python training/make_bag.py data/midair7 --only Kite_training-sunny-trajectory_0002 --out bags/flight
python training/make_bag.py rendered:indoor --seconds 20 --out bags/rooms --storage sqlite3
python training/make_bag.py ~/frames --rate 30 --out bags/mine
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from rgbd_seg_ros.datasets.manifest import MANIFEST_NAME
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.bag_writer import STORAGES, write_bag
from rgbd_seg_ros.replay.rendering import LABELS, rendered
from rgbd_seg_ros.replay.set_source import SetSource
from rgbd_seg_ros.replay.source import Source, SourceFrame, open_source
from rgbd_seg_training.data.options import parse_size

RENDERED = "rendered:"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "input", help=f"prepared set, frame folder, bag, or {RENDERED}WORLD ({', '.join(LABELS)}) for a rendered flight"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the bag; must not exist")
    parser.add_argument("--storage", choices=tuple(STORAGES), default="mcap")
    parser.add_argument("--seconds", type=float, help="length (default: everything; rendered: 20)")
    parser.add_argument("--rate", type=float, help="frames per second (default: the data's own, rendered 30)")
    parser.add_argument("--split", help="split of a prepared set (default: test)")
    parser.add_argument("--only", default="", help="samples of a prepared set whose name begins so")
    parser.add_argument("--size", type=parse_size, default=(480, 640), metavar="HxW", help="of rendered frames")
    parser.add_argument("--seed", type=int, default=0, help="of rendered frames")
    parser.add_argument("--cache", type=Path, default=Path(".cache/scenes"), help="where rendered frames are kept")
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    return parser


def _is_set(path: Path) -> bool:
    """Whether a folder is a prepared set or has the RGB/Label layout."""
    return (path / MANIFEST_NAME).is_file() or ((path / "RGB").is_dir() and (path / "Label").is_dir())


def _open(args: argparse.Namespace, progress: Progress) -> Source:
    if args.input.startswith(RENDERED):
        world = args.input.removeprefix(RENDERED)
        if world not in LABELS:
            raise UserError(f"There is no rendered world {world!r}: choose {', '.join(LABELS)}.")
        task = progress.add_task("rendering", total=None)
        return rendered(
            args.cache, world=world, seed=args.seed, duration_s=args.seconds or 20.0, rate_hz=args.rate or 30.0,
            size=(args.size[1], args.size[0]), workers=args.workers,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    path = Path(args.input)
    if _is_set(path):
        return SetSource(path, args.split, args.rate, args.only)
    return open_source(path, **({"rate_hz": args.rate} if args.rate else {}))


def _watched(source: Source, progress: Progress) -> Iterator[SourceFrame]:
    task = progress.add_task("writing", total=None)
    for frame in source:
        yield frame
        progress.advance(task)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = build_parser().parse_args(argv)
    try:
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            source = _open(args, progress)
            count = write_bag(source, args.out, args.storage, args.seconds, _watched(source, progress))
    except UserError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    print(f"{count} images of {source.name} in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

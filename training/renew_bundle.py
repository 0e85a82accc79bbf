#!/usr/bin/env python3
"""Give a finished bundle the class choice of today, which is faster; its networks stay as they were trained.

python training/renew_bundle.py bundles/rooms --frames data/rooms:test --out bundles/rooms
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_training.export.frames import named_frames
from rgbd_seg_training.export.renew import renew_bundle
from rgbd_seg_training.scripts import AGAIN, run_script


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("bundle", type=Path, help="bundle to read")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="bundle to write; may be the same folder")
    parser.add_argument("--frames", metavar="SET[:SPLIT]", help="prepared data set to compare old and new on")
    parser.add_argument("--frame-count", type=int, default=32, metavar="N", help="frames of it to use (32)")


def run(args: argparse.Namespace) -> None:
    """Renews as `args` says."""
    bundle = load_bundle(args.bundle)
    frames = named_frames(args.frames, "test", args.frame_count, bundle.manifest.label_set)
    print(f"wrote {renew_bundle(bundle, args.out, frames, report=print).folder}")


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    args = parser.parse_args()
    return run_script(lambda: run(args), AGAIN)


if __name__ == "__main__":
    sys.exit(main())

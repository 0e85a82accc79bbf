#!/usr/bin/env python3
"""Make an 8-bit bundle of a finished fp32 one, without its torch networks; faster on processors, with other labels here
and there.

python training/prepare.py rendered --world indoor --count 1 --val-count 24 --test-count 60 --size 480x640 \\
    --out data/few
python training/quantize_bundle.py bundles/rooms --calibrate data/few:val --frames data/few:test --out runs/rooms_int8
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_training.export.frames import named_frames
from rgbd_seg_training.export.quantized import quantize_bundle
from rgbd_seg_training.scripts import AGAIN, run_script


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("bundle", type=Path, help="bundle to read")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="bundle to write")
    parser.add_argument("--name", help="name of the bundle (default: that of the folder)")
    parser.add_argument(
        "--calibrate", required=True, metavar="SET[:SPLIT]", help="prepared data set like the images of use (split val)"
    )
    parser.add_argument("--calibrate-count", type=int, default=24, metavar="N", help="frames of it to use (24)")
    parser.add_argument("--frames", metavar="SET[:SPLIT]", help="prepared data set to compare on (split test)")
    parser.add_argument("--frame-count", type=int, default=60, metavar="N", help="frames of it to use (60)")
    parser.add_argument("--min-agreement", type=float, metavar="SHARE", help="refuse below this share of equal labels")


def run(args: argparse.Namespace) -> None:
    """Quantises as `args` says."""
    bundle = load_bundle(args.bundle)
    labels = bundle.manifest.label_set
    made = quantize_bundle(
        bundle,
        args.out,
        named_frames(args.calibrate, "val", args.calibrate_count, labels),
        named_frames(args.frames, "test", args.frame_count, labels),
        min_agreement=args.min_agreement,
        name=args.name,
        report=print,
    )
    print(f"wrote {made.folder}")


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    args = parser.parse_args()
    return run_script(lambda: run(args), AGAIN)


if __name__ == "__main__":
    sys.exit(main())

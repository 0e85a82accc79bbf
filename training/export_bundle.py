#!/usr/bin/env python3
"""Export trained networks as a model bundle, each verified against torch.

python training/export_bundle.py --fusion runs/primkd/student/models/fusion --rgb runs/crodino/models/rgb \\
    --depth runs/crodino/models/depth --label-set nyu13 --size 240x320 --frames data/nyu13:test --out runs/my_bundle
"""

from __future__ import annotations

import argparse
import shlex
import sys

from rgbd_seg_ros.core.label_sets import LABEL_SETS, LabelSet
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.inference.manifest import PRECISIONS, UPSAMPLING
from rgbd_seg_training.data.options import parse_size
from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle
from rgbd_seg_training.export.frames import named_frames
from rgbd_seg_training.scripts import AGAIN, run_script

MODES = ("fusion", "rgb", "depth")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    for mode in MODES:
        parser.add_argument(f"--{mode}", metavar="FOLDER", help=f"saved network of mode {mode} (models/... of a run)")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="bundle to write")
    parser.add_argument("--name", help="name of the bundle (default: that of the folder)")
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument("--label-set", choices=sorted(LABEL_SETS), help="classes that the networks were trained for")
    labels.add_argument("--label-set-of", metavar="SET", help="take the classes from a prepared data set")
    parser.add_argument("--size", type=parse_size, default=(240, 320), metavar="HxW", help="network size (240x320)")
    parser.add_argument("--dynamic", action="store_true", help="leave the size open, in steps of 32")
    parser.add_argument(
        "--upsampling",
        choices=UPSAMPLING,
        default="exact",
        help="fast: labels at a quarter of the size (default exact)",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of weights and activations")
    parser.add_argument("--frames", metavar="SET[:SPLIT]", help="prepared data set to verify (and calibrate) with")
    parser.add_argument("--frame-count", type=int, default=16, metavar="N", help="frames of it to use (16)")
    parser.add_argument("--min-agreement", type=float, metavar="SHARE", help="refuse below this share of equal labels")
    parser.add_argument("--half-weights", action="store_true", help="fp32 with weights as half floats in the files")
    parser.add_argument("--checkpoint", action="store_true", help="put the torch networks into the bundle as well")


def run(args: argparse.Namespace) -> None:
    """Exports as `args` says."""
    labels: LabelSet = LABEL_SETS[args.label_set] if args.label_set else PreparedSet.open(args.label_set_of).label_set
    frames = named_frames(args.frames, "test", args.frame_count, labels)
    height, width = args.size
    options = ExportOptions(
        height,
        width,
        dynamic=args.dynamic,
        upsampling=args.upsampling,
        precision=args.precision,
        frames=frames,
        min_agreement=args.min_agreement,
        half_weights=args.half_weights,
        checkpoint=args.checkpoint,
        training={"command": shlex.join(["training/export_bundle.py", *sys.argv[1:]])},
    )
    models = {mode: getattr(args, mode) for mode in MODES if getattr(args, mode)}
    bundle = export_bundle(models, args.out, labels, options, args.name, report=print)
    print(f"wrote {bundle.folder}")


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    args = parser.parse_args()
    return run_script(lambda: run(args), AGAIN)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Convert a published CMX, PrimKD or SegFormer checkpoint into a model folder.

python training/import_checkpoint.py cmx_mit_b2_nyu.pth --out models/cmx_b2_nyu
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rgbd_seg_training.primkd.published import import_published
from rgbd_seg_training.scripts import run_script


def main(argv: list[str] | None = None) -> None:
    """Convert one file and say what became of its keys."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="the .pth file")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--input", choices=["rgb", "depth"], default="rgb", help="input of a single-stream network")
    parser.add_argument(
        "--order", choices=["auto", "bgr", "rgb"], default="auto", help="channel order it was trained on"
    )
    parser.add_argument("--label-set", default="", help="name of the label set, kept with the model")
    arguments = parser.parse_args(argv)
    report = import_published(
        arguments.checkpoint, arguments.out, arguments.input, arguments.order, arguments.label_set
    )
    print(f"{arguments.out}: {report.spec.architecture} {report.spec.encoder}, {report.spec.num_classes} classes")
    print(f"  {report.loaded} tensors loaded, {len(report.dropped)} dropped (aligners and classifiers of training)")
    for key in report.dropped:
        print(f"    dropped {key}")


if __name__ == "__main__":
    sys.exit(run_script(main))

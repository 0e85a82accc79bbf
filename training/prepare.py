#!/usr/bin/env python3
"""Turn official downloads or rendered scenes into the one layout that training reads.

python training/prepare.py rendered --world indoor --count 2000 --size 240x320 --out data/rooms
python training/prepare.py nyu      --source ~/Downloads/nyu --classes 13 --out data/nyu13
"""

from __future__ import annotations

import argparse
import importlib
import sys

from rgbd_seg_training.scripts import run_script

SOURCES = {
    "rendered": "render a set: no download needed",
    "nyu": "NYU Depth v2 from its .mat files",
    "sunrgbd": "SUN RGB-D from its two zip files, unpacked",
    "potsdam": "ISPRS Potsdam tiles",
    "midair": "Mid-Air drone flights",
    "check": "re-read a prepared set, print its statistics, write a contact sheet",
}


def build_parser() -> argparse.ArgumentParser:
    """The command line: one sub-command for each module of `rgbd_seg_training.data.sources`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="source_name", required=True)
    for name, text in SOURCES.items():
        module = importlib.import_module(f"rgbd_seg_training.data.sources.{name}")
        command = commands.add_parser(name, help=text, description=text)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_script(lambda: args.run(args), "interrupted; run the command again to continue")


if __name__ == "__main__":
    sys.exit(main())

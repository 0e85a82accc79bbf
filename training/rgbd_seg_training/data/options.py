"""Command-line options that several `prepare.py` sources share."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path


def parse_size(text: str) -> tuple[int, int]:
    """`HxW` to (height, width); argparse reports other texts."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or not all(int(v) > 0 for v in match.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, e.g. 240x320")
    return int(match[1]), int(match[2])


def add_common_arguments(parser: argparse.ArgumentParser, source: bool = True) -> None:
    """Add --source (unless the data are made here), --out and --workers."""
    if source:
        parser.add_argument("--source", type=Path, required=True, help="folder with the official files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not exist")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")

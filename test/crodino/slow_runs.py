"""Runs of ten minutes, to be interrupted; a process of its own. Argument: a folder where each leaves a file."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rgbd_seg_training.scripts import run_script
from rgbd_seg_training.study.processes import in_processes


def run(folder: Path, name: str) -> None:
    (folder / name).touch()
    time.sleep(600)


def main() -> None:
    for _ in in_processes(run, [(Path(sys.argv[1]), str(index)) for index in range(6)], 2):
        pass


if __name__ == "__main__":
    sys.exit(run_script(main))

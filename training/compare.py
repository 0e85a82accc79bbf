#!/usr/bin/env python3
"""Compare CroDiNo-KD with single-modality training, teacher/student methods and its own variants over several seeds.

python training/compare.py --config training/configs/crodino/study_rooms.yaml --data.root data/rooms --out runs/study

Repeat the command to continue where it stopped; `report.md` in --out holds tables with intervals, costs and pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser

from rgbd_seg_training.cli import run_script
from rgbd_seg_training.study.plan import StudyConfig
from rgbd_seg_training.study.study import run_study


def build_parser() -> ArgumentParser:
    """All options of the script; each is a YAML key as well."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below; later ones win")
    parser.add_argument("--out", type=str, required=True, help="folder of runs and report")
    parser.add_class_arguments(StudyConfig)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse options and run the study."""
    parser = build_parser()
    config = parser.instantiate(parser.parse_args(argv))
    sections = {name: getattr(config, name) for name in StudyConfig.__dataclass_fields__}
    run_study(StudyConfig(**sections), Path(config.out), report=lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(run_script(main))

#!/usr/bin/env python3
"""Compare training methods and their variants over several seeds: CroDiNo-KD, PrimKD, and what they are up against.

python training/compare.py --config training/configs/crodino/study_rooms.yaml --data.root data/rooms --out runs/study
python training/compare.py --config training/configs/primkd/study_rooms.yaml --data.root data/rooms_small \\
    --out runs/primkd --records docs/results/primkd_rooms.jsonl

Repeat the command to continue where it stopped; `report.md` in --out holds tables with intervals, costs and pictures.
Runs that a --records file holds are not repeated, even where --out is gone; new ones are added to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser

from rgbd_seg_training.scripts import run_script
from rgbd_seg_training.study.plan import StudyConfig
from rgbd_seg_training.study.records import RecordFile
from rgbd_seg_training.study.study import run_study


def build_parser() -> ArgumentParser:
    """All options of the script; each is a YAML key as well."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below; later ones win")
    parser.add_argument("--out", type=str, required=True, help="folder of runs and report")
    parser.add_argument("--records", type=str, default="", help="file of finished runs, one line of JSON each")
    parser.add_class_arguments(StudyConfig)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse options and run the study."""
    parser = build_parser()
    config = parser.instantiate(parser.parse_args(argv))
    sections = {name: getattr(config, name) for name in StudyConfig.__dataclass_fields__}
    records = RecordFile(Path(config.records) if config.records else None)
    run_study(StudyConfig(**sections), Path(config.out), lambda line: print(line, flush=True), records)


if __name__ == "__main__":
    sys.exit(run_script(main))

#!/usr/bin/env python3
"""Train an RGB-D model by PrimKD: first a single-modality teacher, then the CMX student that it guides.

python training/train_primkd.py --config training/configs/primkd/nyu_b2.yaml --data.root data/nyu --run runs/nyu_b2
"""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import ArgumentParser
from lightning.pytorch.utilities import rank_zero_only

from rgbd_seg_training.cli import script_parser, settings_of
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.primkd.config import PrimKdConfig
from rgbd_seg_training.primkd.stages import Experiment, StudentConfig, TeacherConfig, obtain_teacher, train_student
from rgbd_seg_training.scripts import run_script
from rgbd_seg_training.settings import DataConfig, open_data


def build_parser() -> ArgumentParser:
    """All options of the script; each is a YAML key as well."""
    parser = script_parser(__doc__ or "")
    parser.add_argument("--train", type=TrainConfig, default=TrainConfig())
    parser.add_argument("--data", type=DataConfig, default=DataConfig())
    parser.add_argument("--teacher", type=TeacherConfig, default=TeacherConfig())
    parser.add_argument("--student", type=StudentConfig, default=StudentConfig())
    parser.add_argument("--guidance", type=PrimKdConfig, default=PrimKdConfig())
    parser.add_argument("--encoder_weights", type=str, default="", help="file with ImageNet weights of the MiT")
    return parser


_print = rank_zero_only(print)  # further processes of a distributed run say nothing


def main(argv: list[str] | None = None) -> None:
    """Parse options, train the teacher (unless one is named), train the student."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    config = parser.instantiate(arguments)
    experiment = Experiment(config.teacher, config.student, config.guidance, config.train, config.encoder_weights)
    data, prepared = open_data(config.data, decoupled=False, seed=config.train.seed)
    settings = {**settings_of(arguments), "script": "train_primkd", "label_set": prepared.label_set.name}
    run = Path(config.run)
    teacher = obtain_teacher(experiment, data, run, settings, config.resume)
    result = train_student(experiment, teacher, data, run, settings, config.resume)
    score = result["validation"].get("val/miou")
    scored = "not validated" if score is None else f"mean IoU {100 * score:.1f} % on split {config.data.validation}"
    _print(f"{run / 'student' / 'models' / 'fusion'}: {result['steps']} steps, {scored}")


if __name__ == "__main__":
    sys.exit(run_script(main))

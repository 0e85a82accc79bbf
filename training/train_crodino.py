#!/usr/bin/env python3
"""Train the RGB model and the depth model together by CroDiNo-KD, or one of the methods that it is compared with.

python training/train_crodino.py --config training/configs/crodino/rooms.yaml --data.root data/rooms --run runs/crodino
python training/train_crodino.py --config ... --method.approach single --method.modality depth --run runs/depth_alone
"""

from __future__ import annotations

import sys

from jsonargparse import ArgumentParser

from rgbd_seg_training.approaches import MethodConfig, build_method
from rgbd_seg_training.cli import script_parser, settings_of
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.fit import fit, seed_everything
from rgbd_seg_training.run_folder import RunFolder
from rgbd_seg_training.scripts import run_script
from rgbd_seg_training.settings import DataConfig, ModelConfig, open_data


def build_parser() -> ArgumentParser:
    """All options of the script; each is a YAML key as well."""
    parser = script_parser(__doc__ or "")
    parser.add_argument("--train", type=TrainConfig, default=TrainConfig())
    parser.add_argument("--data", type=DataConfig, default=DataConfig())
    parser.add_argument("--model", type=ModelConfig, default=ModelConfig())
    parser.add_argument("--fusion", type=ModelConfig, default=ModelConfig(architecture="cmx"))
    parser.add_argument("--method", type=MethodConfig, default=MethodConfig())
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse options, train, save the models."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    config = parser.instantiate(arguments)
    decoupled = config.method.approach == "crodino"
    data, prepared = open_data(config.data, decoupled, config.train.seed)
    seed_everything(config.train)
    method = build_method(config.method, config.model, config.fusion, data.num_classes)
    settings = {**settings_of(arguments), "script": "train_crodino", "label_set": prepared.label_set.name}
    result = fit(method, data, config.train, RunFolder(config.run), settings, resume=config.resume)
    print(f"{config.run}: {result['validation']}")


if __name__ == "__main__":
    sys.exit(run_script(main))

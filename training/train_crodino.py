#!/usr/bin/env python3
"""Train the RGB model and the depth model together by CroDiNo-KD.

python training/train_crodino.py --config training/configs/crodino/rooms.yaml --data.root data/rooms --run runs/crodino
"""

from __future__ import annotations

import sys

from rgbd_seg_training.cli import run_script, script_parser, settings_of
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.crodino import CrodinoConfig, CrodinoMethod
from rgbd_seg_training.fit import fit, seed_everything
from rgbd_seg_training.run_folder import RunFolder
from rgbd_seg_training.settings import DataConfig, ModelConfig, open_data


def main(argv: list[str] | None = None) -> None:
    """Parse options, train, save both models."""
    parser = script_parser(__doc__ or "")
    parser.add_argument("--train", type=TrainConfig, default=TrainConfig())
    parser.add_argument("--data", type=DataConfig, default=DataConfig())
    parser.add_argument("--model", type=ModelConfig, default=ModelConfig())
    parser.add_argument("--method", type=CrodinoConfig, default=CrodinoConfig())
    arguments = parser.parse_args(argv)
    config = parser.instantiate(arguments)
    seed_everything(config.train)
    data, prepared = open_data(config.data, decoupled=True, seed=config.train.seed)
    models = {m: config.model.build((m,), data.num_classes) for m in ("rgb", "depth")}
    method = CrodinoMethod(models["rgb"], models["depth"], config.method)
    settings = {**settings_of(arguments), "script": "train_crodino", "label_set": prepared.label_set.name}
    result = fit(method, data, config.train, RunFolder(config.run), settings, resume=config.resume)
    print(f"{config.run}: {result['validation']}")


if __name__ == "__main__":
    sys.exit(run_script(main))

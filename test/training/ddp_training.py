"""Script of the distributed test: train a method without batch statistics on `devices` processes.

python ddp_training.py RUN DEVICES BATCH
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from toy_training import ToyMethod, toy_config, toy_data

from rgbd_seg_training.fit import fit, seed_everything
from rgbd_seg_training.run_folder import RunFolder


class PlainMethod(ToyMethod):
    """No batch norm and no dropout, so that two half batches are one whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.model.norm = nn.Identity()  # type: ignore[assignment]
        self.model.forward = self.plain_forward  # type: ignore[method-assign]

    def plain_forward(self, rgb: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        assert rgb is not None
        self.model.hidden = self.model.first(rgb.permute(0, 3, 1, 2).float() / 255)
        return self.model.last(torch.relu(self.model.hidden))


def train(run: Path, devices: int, batch: int) -> RunFolder:
    """Three epochs into a run folder."""
    config = toy_config(devices=devices, batch_size=batch, epochs=3)
    seed_everything(config)
    fit(PlainMethod(), toy_data(count=16), config, RunFolder(run), {"train": config}, report=print)
    return RunFolder(run)


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

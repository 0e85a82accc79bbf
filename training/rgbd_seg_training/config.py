"""Settings of the engine, shared by every method; each is a command-line option and a YAML key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rgbd_seg_ros.errors import UserError

from .class_balance import Balance
from .devices import process_count
from .losses import Region
from .optim import OptimizerConfig


@dataclass(frozen=True)
class TrainConfig:
    """How long, on what and with which numerics a method is trained.

    Attributes:
        epochs: passes over the training split; ignored where `steps` is given.
        steps: optimiser steps, 0 = by `epochs`.
        minutes: wall-clock limit of the whole run over all its parts; the learning-rate curve then follows whichever
            of steps and time is further, so that the run always ends annealed. 0 = none. Runs with a limit are not
            reproducible bit for bit, and have one process.
        epoch_steps: optimiser steps between validations and checkpoints, 0 = one pass over the training split.
        batch_size: samples per process and backward pass.
        accumulate: backward passes per optimiser step.
        precision: arithmetic of the forward pass, by Lightning's names.
        accelerator: `auto`, `cpu`, `gpu`...
        devices: number of processes with a device each, or `auto`: every GPU of the machine.
        sync_batchnorm: batch norms take the statistics of all processes; torch can do so on GPUs only.
        ema: decay of the moving average of weights that is validated and saved, 0 = none.
        validate_every: epochs between validations.
        patience: validations without a better mean IoU before the run ends early, 0 = never.
        keep: weights that are saved as models: those of the last step or of the best validation.
        label_stride: losses compare at every n-th label of each axis, from a random offset: cheaper, equal on average.
        region_loss: a further loss on the overlap of classes, see `region_loss`.
        class_balance: weights of the classes in the cross entropy, see `balance_weights`.
        seed: seed of weights, data order and augmentation.
        workers: loader processes, 0 = load in the training process.
        threads: torch threads, 0 = torch's choice.
        channels_last: memory layout of convolution weights.
        compile: backend of torch.compile for the networks in training, empty = none; `inductor` takes minutes at the
            start of a run and pays in long ones.
        log_every: optimiser steps between log lines.
        gradient_shares_every: optimiser steps between measurements of gradient shares, 0 = never.
        optimizer: AdamW and its curve.
    """

    epochs: int = 500
    steps: int = 0
    minutes: float = 0.0
    epoch_steps: int = 0
    batch_size: int = 8
    accumulate: int = 1
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    accelerator: str = "auto"
    devices: int | str = 1
    ema: float = 0.0
    validate_every: int = 1
    patience: int = 0
    keep: Literal["last", "best"] = "last"
    label_stride: int = 1
    region_loss: Region = "none"
    class_balance: Balance = "none"
    seed: int = 0
    workers: int = 0
    threads: int = 0
    channels_last: bool = False
    compile: str = ""
    log_every: int = 10
    gradient_shares_every: int = 0
    sync_batchnorm: bool = True
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "validate_every", "log_every", "label_stride"):
            if getattr(self, name) < 1:
                raise UserError(f"train.{name} is {getattr(self, name)}; give at least 1.")
        if self.devices != "auto":  # which is counted when the run begins
            process_count(self.devices, self.accelerator)
        if not 0 <= self.ema < 1:
            raise UserError(f"train.ema is {self.ema}; give a decay from 0 (off) to below 1.")

    def steps_per_epoch(self, samples: int, processes: int = 1) -> int:
        """Optimiser steps of one epoch over `samples` training samples."""
        if self.epoch_steps > 0:
            return self.epoch_steps
        return max(1, samples // (self.batch_size * self.accumulate * processes))

    def total_steps(self, samples: int, processes: int = 1) -> int:
        """Optimiser steps of the whole run."""
        return self.steps if self.steps > 0 else self.epochs * self.steps_per_epoch(samples, processes)

"""The Lightning module around a method: steps, schedule, logging, validation, exact resume."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassConfusionMatrix

from rgbd_seg_ros.core.frames import UNLABELLED

from .class_balance import balance_weights
from .compiling import compile_networks
from .config import TrainConfig
from .figures import RunningMeans, stacked
from .loading import TrainingData, training_loader, validation_loader
from .losses import region_loss, sparse_labels
from .method import Batch, LossTerm, Method, check_depth_images, gradient_shares, model_inputs
from .optim import build_optimizer, rate_factor
from .random_states import of_all_processes, random_states, restore_random_states


def mean_iou(confusion: Tensor) -> Tensor:
    """Mean IoU of a K x K confusion matrix (rows truth) over the classes that occur in truth or prediction."""
    confusion = confusion.double()
    hit = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hit
    return (hit / union)[union > 0].mean()


class Engine(pl.LightningModule):
    """Trains a `Method`.

    `elapsed_s` counts all time of the run over its parts, `stepping_s` that of training steps alone (no loading, no
    validation).

    All that decides a run lies in its state: weights, AdamW moments, step count (the rate is a function of it), elapsed
    time, random states. The data order is a function of seed and step. A run that was interrupted
    continues from the last finished epoch as if nothing had happened.
    """

    def __init__(self, method: Method, data: TrainingData, config: TrainConfig) -> None:
        super().__init__()
        self.method = method
        self._config = config
        self._data = data
        self.epoch_means = RunningMeans()
        self.elapsed_s = 0.0
        self.stepping_s = 0.0
        self._tick: float | None = None
        self._step_began = 0.0
        self._random_states: list[dict[str, Any]] | None = None
        self._clip_groups: dict[str, list[nn.Parameter]] | None = None
        self._confusion = nn.ModuleDict(
            {mode: MulticlassConfusionMatrix(data.num_classes, ignore_index=UNLABELLED) for mode in method.deployable()}
        )
        check_depth_images(method, data.hha)
        method.region_loss = region_loss(config.region_loss)
        method.class_weights = balance_weights(data.class_pixels, config.class_balance)
        if config.channels_last:
            self.method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            compile_networks(method.deployable().values(), config.compile)

    # Length of the run

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps between two validations."""
        return self._config.steps_per_epoch(len(self._data.train), self.trainer.world_size)

    @property
    def run_progress(self) -> float:
        """Finished share of the run, by steps or by time, whichever is further."""
        total = self._config.total_steps(len(self._data.train), self.trainer.world_size)
        by_steps = self.global_step / total
        limit_s = self._config.minutes * 60
        return max(by_steps, self.elapsed_s / limit_s) if limit_s > 0 else by_steps

    def _clock(self) -> None:
        now = time.monotonic()
        if self._tick is not None:
            self.elapsed_s += now - self._tick
        self._tick = now

    # Data

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches of the epoch that the step count points at."""
        return training_loader(
            self._data,
            batch=self._config.batch_size,
            batches=self.steps_per_epoch * self._config.accumulate,
            seed=self._config.seed,
            epoch=self.global_step // self.steps_per_epoch,
            workers=self._config.workers,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """This process's part of the validation split."""
        loader = validation_loader(
            self._data,
            batch=self._config.batch_size,
            workers=self._config.workers,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )
        return [] if loader is None else loader

    # Training

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW without decay on biases and norms; the rate is set at every step from the progress."""
        return build_optimizer(self.method, self._config.optimizer)

    def on_train_start(self) -> None:
        """Put the random states of the interrupted part back; a new run of several processes parts them."""
        self._tick = time.monotonic()
        rank, world = self.trainer.global_rank, self.trainer.world_size
        if self._random_states is not None and rank < len(self._random_states):
            restore_random_states(self._random_states[rank], self.device)
        elif world > 1:
            torch.manual_seed(self._config.seed + rank)  # else all of them would drop the same channels
        self._random_states = None

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> int | None:
        """Set learning rate and ramps; -1 skips a batch that no epoch has."""
        if batch_idx >= self.steps_per_epoch * self._config.accumulate:
            # Lightning resumes inside the finished epoch and, unless that one had a validation, would train on.
            return -1
        self._clock()
        progress = min(self.run_progress, 1.0)
        rate = self._config.optimizer.lr * rate_factor(progress, self._config.optimizer)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        self.method.set_progress(progress)
        self._step_began = time.monotonic()
        return None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sum of the weighted terms, each of them logged."""
        terms = self.method.training_losses(sparse_labels(batch, self._config.label_stride))
        total = torch.stack([term.weighted.float() for term in terms]).sum()
        self._log_terms(terms, total.detach())
        every = self._config.gradient_shares_every
        if every and self.global_step % every == 0 and batch_idx % self._config.accumulate == 0:
            shares = gradient_shares(terms, self.method.share_points())
            self.epoch_means.add({f"gradient/{name}": share for name, share in shares.items()})
        return total

    def _log_terms(self, terms: list[LossTerm], total: Tensor) -> None:
        figures: dict[str, float | Tensor] = {"loss/total": total}
        for term in terms:
            value = term.value.detach()
            figures[f"loss/{term.name}"] = value
            figures[f"share/{term.name}"] = torch.where(total != 0, term.weight * value / total, 0.0)
        figures |= {f"probe/{name}": value for name, value in self.method.probes().items()}
        figures["rate"] = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.epoch_means.add(figures)
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:
            values = dict(zip(figures, stacked(figures).float(), strict=True))
            self.log_dict(values, on_step=True, on_epoch=False, batch_size=self._config.batch_size)
            self.log("loss", total, prog_bar=True, logger=False, batch_size=self._config.batch_size)

    def on_train_epoch_start(self) -> None:
        """Begin the means anew."""
        self.epoch_means.clear()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip each group of the method by its own norm, whose mean is logged as it was before."""
        if not gradient_clip_val:
            return
        if self._clip_groups is None:
            self._clip_groups = self.method.clip_groups()
        clip = torch.nn.utils.clip_grad_norm_
        norms = {f"gradient_norm/{n}": clip(group, gradient_clip_val) for n, group in self._clip_groups.items()}
        self.epoch_means.add(norms)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """End the run when its time is up; the last weights are validated, whatever `train.validate_every` says."""
        self._clock()
        self.stepping_s += time.monotonic() - self._step_began
        if self.run_progress >= 1.0:
            self.trainer.should_stop = True
            self.trainer.check_val_every_n_epoch = 1  # Lightning asks right after this

    # Validation

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch of every deployable model to its confusion matrix."""
        for mode, model in self.method.deployable().items():
            logits = model(**model_inputs(model, batch))
            self._confusion[mode].update(logits.argmax(1), batch["label"])  # type: ignore[union-attr, operator]

    def on_validation_epoch_end(self) -> None:
        """Log mean IoU and pixel accuracy of every mode, and `val/miou`, their mean."""
        scores = []
        for mode, metric in self._confusion.items():
            confusion = metric.compute()  # type: ignore[union-attr, operator]
            metric.reset()  # type: ignore[union-attr, operator]
            scores.append(mean_iou(confusion))
            accuracy = confusion.diagonal().sum() / confusion.sum().clamp(min=1)
            self.log_dict({f"val/miou_{mode}": scores[-1], f"val/pixel_accuracy_{mode}": accuracy})
        self.log("val/miou", torch.stack(scores).mean(), prog_bar=True)

    # Resume

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep time and random states, as plain types that load without unpickling code."""
        checkpoint["elapsed_s"] = self.elapsed_s
        checkpoint["stepping_s"] = self.stepping_s
        checkpoint["random_states"] = of_all_processes(random_states(self.device), self.trainer.world_size)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember time and random states for `on_train_start`."""
        self.elapsed_s = float(checkpoint["elapsed_s"])
        self.stepping_s = float(checkpoint.get("stepping_s", 0.0))
        states = checkpoint["random_states"]
        self._random_states = states if isinstance(states, list) else [states]  # one alone in older files

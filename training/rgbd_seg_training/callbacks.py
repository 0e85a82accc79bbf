"""Callbacks of the engine: moving average of weights, CSV history, progress."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import RichProgressBar, WeightAveraging
from torch import Tensor

from .run_folder import write_atomically

TensorList = tuple[Tensor, ...] | list[Tensor]


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and buffers, validated and saved in place of the raw weights.

    The decay starts low and rises to `decay`: min(decay, (1 + n) / (10 + n)) at update n, so that short runs
    do not drag their first weights along. The average lives on the device that trains.
    """

    def __init__(self, decay: float) -> None:
        def average(means: TensorList, currents: TensorList, updates: Tensor | int) -> None:
            # All tensors of a kind at once: one by one they take a tenth of the step of a small network.
            count = int(updates)
            factor = min(decay, (1 + count) / (10 + count))
            if torch.is_floating_point(means[0]):
                torch._foreach_lerp_(means, [c.to(means[0].dtype) for c in currents], 1 - factor)
            else:
                torch._foreach_copy_(means, currents)

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the average when the fit begins."""
        # Lightning would take the module's device, still the CPU here: every step would copy all weights there.
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


class CsvHistory(pl.Callback):
    """One row of figures per epoch in `metrics.csv`; figures of a validation stand in the epoch that it belongs to.

    The rows are part of the checkpoint: a resumed run continues the table where its checkpoint ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[str, float]] = []
        self._validated = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember that this epoch has figures of its own; Lightning keeps those of the last validation for ever."""
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's figures and write the table anew."""
        if self.rows and self.rows[-1]["step"] == trainer.global_step:
            return  # Lightning closes the checkpoint's own epoch once more when it resumes.
        figures = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val/") and self._validated
        }
        figures |= pl_module.epoch_means.means()  # type: ignore[operator, union-attr]
        self._validated = False
        self.rows.append({"step": trainer.global_step, **dict(sorted(figures.items()))})
        if trainer.is_global_zero:
            write_atomically(self._path, self._table())

    def _table(self) -> str:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Rows of the part before the interruption."""
        self.rows = list(state_dict["rows"])


class ProgressBar(RichProgressBar):
    """Lightning's bar, with the steps of the whole run: runs here end by steps or time, not by epochs."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch}, step {self.trainer.global_step}/{self.trainer.max_steps}"


class EpochLines(pl.Callback):
    """One line of text per epoch, for logs and terminals without a progress bar."""

    def __init__(self, name: str, history: CsvHistory, report: Callable[[str], None]) -> None:
        self._name, self._history, self._report = name, history, report

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report step, loss and validation."""
        if trainer.is_global_zero and self._history.rows:
            row = self._history.rows[-1]
            figures = [f"{k} {row[k]:.4f}" for k in row if k == "loss/total" or k.startswith("val/miou")]
            self._report(f"{self._name}: step {int(row['step'])}, {', '.join(figures)}")

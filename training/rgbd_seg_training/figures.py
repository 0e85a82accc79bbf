"""Means of logged figures over an epoch, without a word to Lightning or the device at every step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Figures = Mapping[str, "float | Tensor"]
"""Figures of a step by name: numbers, or scalar tensors, which are not read before a mean or a log line is due."""


class RunningMeans:
    """Mean of each figure over the steps that gave it.

    Lightning's own bookkeeping of some twenty figures takes a tenth of the step of a small network, and reading a value
    waits for a GPU to finish the step. Here a step costs one addition.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], tuple[Tensor, int]] = {}

    def add(self, figures: Figures) -> None:
        """Add the figures of one step; those given together are kept together."""
        if not figures:
            return
        names, values = tuple(figures), stacked(figures)
        total, count = self._sums.get(names, (torch.zeros_like(values), 0))
        self._sums[names] = (total + values, count + 1)

    def means(self) -> dict[str, float]:
        """The means so far."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, (total, count) in self._sums.items():
            for name, value in zip(names, total.tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + count
        return {name: value / counts[name] for name, value in sums.items()}

    def clear(self) -> None:
        """Forget all figures; an epoch begins."""
        self._sums.clear()


def stacked(figures: Figures) -> Tensor:
    """The values as one float64 vector on the device of the tensors among them (float32 on those without float64)."""
    device = next((v.device for v in figures.values() if isinstance(v, Tensor)), torch.device("cpu"))
    kind = torch.float32 if device.type == "mps" else torch.float64
    return torch.stack([torch.as_tensor(v, dtype=kind, device=device).detach() for v in figures.values()])

"""Data order: which samples make up which batch, the same after an interruption as without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Sampler

from rgbd_seg_ros.errors import UserError


class SampleSource(Protocol):
    """What the engine needs of a data set; `has_one_size()` is called where it exists."""

    def __len__(self) -> int: ...

    def __getitem__(self, draw: int, /) -> Any:
        """Sample `draw % len(self)` as it looks in pass `draw // len(self)`: each pass disturbs a sample anew."""


@dataclass(frozen=True)
class TrainingData:
    """Training and validation samples of a run.

    Attributes:
        train: augmented samples.
        validation: plain samples with one `label` each, or None.
        num_classes: classes of the label set.
        collate: samples to batch; None = torch's default.
        class_pixels: labelled pixels of each class among the training samples, empty if unknown.
        hha: `depth` of the samples are HHA images.
    """

    train: SampleSource
    validation: SampleSource | None
    num_classes: int
    collate: Callable[[list[Any]], Any] | None = None
    class_pixels: tuple[int, ...] = ()
    hha: bool = False


class EndlessOrder(Sampler[int]):
    """The part of an endless sequence of draws that belongs to one epoch and one process.

    The sequence is pass 0, a permutation of the samples, then pass 1, ...; the permutation of pass p depends on the
    seed and p alone. Draw `p * samples + i` is sample i in pass p. Epoch e takes its draws e*n .. (e+1)*n-1; process r
    of w takes every w-th of them. An epoch can therefore be shorter or longer than the data set and start anywhere
    without replaying what came before.
    """

    def __init__(self, samples: int, taken: int, seed: int, epoch: int, rank: int = 0, world: int = 1) -> None:
        if samples < 1:
            raise UserError("The training split is empty; prepare the data set again or name another split.")
        self._samples, self._taken, self._seed, self._epoch = samples, taken, seed, epoch
        self._rank, self._world = rank, world

    def __len__(self) -> int:
        return self._taken // self._world

    def __iter__(self) -> Iterator[int]:
        first = self._epoch * self._taken
        current, at = -1, torch.empty(0)
        for position in range(first + self._rank, first + len(self) * self._world, self._world):
            wanted, offset = divmod(position, self._samples)
            if wanted != current:
                generator = torch.Generator().manual_seed(self._seed * 1_000_003 + wanted)
                current, at = wanted, torch.randperm(self._samples, generator=generator)
            yield wanted * self._samples + int(at[offset])


def training_loader(
    data: TrainingData, *, batch: int, batches: int, seed: int, epoch: int, workers: int, rank: int = 0, world: int = 1
) -> DataLoader[Any]:
    """Loader of one epoch: `batches` batches of `batch` samples for process `rank` of `world`."""
    order = EndlessOrder(len(data.train), batches * batch * world, seed, epoch, rank, world)
    return DataLoader(
        data.train,  # type: ignore[arg-type]
        batch_size=batch,
        sampler=order,
        num_workers=workers,
        collate_fn=data.collate,
        pin_memory=torch.cuda.is_available(),
    )


def validation_loader(
    data: TrainingData, *, batch: int, workers: int, rank: int = 0, world: int = 1
) -> DataLoader[Any] | None:
    """Loader of the validation samples; process `rank` of `world` sees every `world`-th sample once.

    Samples are validated at their own size, and SUN RGB-D has several: where the source says `has_one_size() == False`,
    every sample is a batch of its own, since padding or resizing would change what the network makes of it.
    """
    if data.validation is None:
        return None
    if hasattr(data.validation, "has_one_size") and not data.validation.has_one_size():
        batch = 1
    return DataLoader(
        data.validation,  # type: ignore[arg-type]
        batch_size=batch,
        sampler=range(rank, len(data.validation), world),
        num_workers=workers,
        collate_fn=data.collate,
        pin_memory=torch.cuda.is_available(),
    )

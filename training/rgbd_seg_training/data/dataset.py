"""The torch data set, its reproducible sampler and the loader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_training.data.augmentation import Augmentation, Item, make_item
from rgbd_seg_training.data.geometry import centred
from rgbd_seg_training.data.stores import open_store

Key = tuple[int, int]


class SegmentationDataset(Dataset[dict[str, Any]]):
    """A split of a prepared set as training or evaluation items.

    An item is a dictionary: `rgb` uint8 H x W x 3, `depth` float32 H x W metres (uint8 H x W x 3 with `hha`), `label`
    int64 H x W (255 ignored), `name`, `index`; with decoupled augmentation see `augmentation.make_item`.

    The random numbers of an item depend on (seed, epoch, index) alone: not on the worker that makes it, on the order of
    the items, nor on whether the run was resumed.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        split: str,
        augmentation: Augmentation | None = None,
        *,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        hha: bool = False,
        cache: str = "none",
        workers: int = 1,
    ) -> None:
        """Open a split.

        Args:
            prepared: the set.
            split: train, val or test.
            augmentation: disturbances; None gives the images as they are.
            seed: of the augmentation.
            size: (height, width) that source images are brought to before augmentation; None keeps theirs.
            hha: give HHA images in place of depth.
            cache: none, memory or disk (see `stores`).
            workers: processes that fill the cache.

        Raises:
            UserError: see `stores.open_store`.
        """
        self.prepared, self.split, self.augmentation, self.seed = prepared, split, augmentation, seed
        self._store = open_store(prepared, split, cache, size, hha, workers)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._store)

    def __getitem__(self, key: Key | int) -> dict[str, Any]:
        """The item of (epoch, index); a plain index means epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        sample = self._store[index]
        scale = self.prepared.metres_per_unit
        if self.augmentation:
            rng = np.random.default_rng((self.seed, epoch, index))
            item: Item = self.augmentation.apply(sample, scale, rng)
        else:
            shape = sample.label.shape[:2]
            item = make_item(sample, scale, centred(shape, shape), None)
        return {**item, "name": sample.name, "index": index}


class EpochSampler(Sampler[Key]):
    """Yields (epoch, index) in an order that depends on (seed, epoch) alone; every rank gets its own share.

    `set_epoch` chooses the epoch (Lightning calls it). `start` skips the first items of the next pass, so that a run
    that was stopped within an epoch continues with the items it had not seen.
    """

    def __init__(self, length: int, *, seed: int = 0, shuffle: bool = True, rank: int = 0, world: int = 1) -> None:
        self.length, self.seed, self.shuffle, self.rank, self.world = length, seed, shuffle, rank, world
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self.epoch = epoch

    def _order(self) -> list[int]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch, 0x5EED)).permutation(self.length)
        # Every rank gets equally many, by repeating the first ones: unequal shares would hang a distributed run.
        padded = np.resize(order, len(self) * self.world)
        return [int(i) for i in padded[self.rank :: self.world]]

    def __iter__(self) -> Iterator[Key]:
        """Keys of this epoch from `start` on; `start` applies once."""
        start, self.start = self.start, 0
        return iter([(self.epoch, index) for index in self._order()[start:]])

    def __len__(self) -> int:
        """Keys of a whole epoch for this rank."""
        return (self.length + self.world - 1) // self.world


def _start_loader_worker(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def make_loader(
    dataset: SegmentationDataset,
    batch_size: int,
    *,
    shuffle: bool,
    workers: int = 0,
    seed: int = 0,
    rank: int = 0,
    world: int = 1,
    drop_last: bool | None = None,
) -> DataLoader[dict[str, Any]]:
    """A loader over `EpochSampler`; shuffled loaders drop the last short batch unless told otherwise.

    Batches are dictionaries of tensors stacked along a new first axis, and lists of names.
    """
    sampler = EpochSampler(len(dataset), seed=seed, shuffle=shuffle, rank=rank, world=world)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        drop_last=shuffle if drop_last is None else drop_last,
        persistent_workers=workers > 0,
        worker_init_fn=_start_loader_worker,
        pin_memory=torch.cuda.is_available(),
    )

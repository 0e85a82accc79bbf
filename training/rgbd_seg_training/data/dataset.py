"""The torch data set: a split of a prepared set as training or evaluation items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset

from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_training.data.augmentation import Augmentation, Item, make_item
from rgbd_seg_training.data.geometry import centred
from rgbd_seg_training.data.stores import open_store


class SegmentationDataset(Dataset[dict[str, Any]]):
    """A split of a prepared set as training or evaluation items.

    An item is a dictionary: `rgb` uint8 H x W x 3, `depth` float32 H x W metres (uint8 H x W x 3 with `hha`), `label`
    int64 H x W (255 ignored), `name`, `index`; with decoupled augmentation see `augmentation.make_item`.

    With augmentation, item `p * len(self) + i` is sample i as it looks in pass p. Its random numbers depend on
    (seed, p, i) alone: not on the worker that makes it, on the order of the items, nor on whether the run was resumed.
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
        # Loader workers are the parallelism, and a forked worker would wait for ever for OpenCV's threads.
        cv2.setNumThreads(1)
        self._store = open_store(prepared, split, cache, size, hha, workers)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._store)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The samples, as they look in pass 0."""
        return (self[index] for index in range(len(self)))

    def has_one_size(self) -> bool:
        """Whether all items are known to have the same size, so that they can be stacked to a batch."""
        return self.augmentation is not None or self._store.has_one_size()

    def __getitem__(self, draw: int) -> dict[str, Any]:
        """One item, as the class describes."""
        number, index = divmod(draw, len(self))
        sample = self._store[index]
        scale = self.prepared.metres_per_unit
        if self.augmentation:
            rng = np.random.default_rng((self.seed, number, index))
            item: Item = self.augmentation.apply(sample, scale, rng)
        else:
            shape = sample.label.shape[:2]
            item = make_item(sample, scale, centred(shape, shape), None)
        return {**item, "name": sample.name, "index": index}

"""Where a data set takes its samples from: the files, or arrays packed once in memory or on disk.

Packed arrays make decoding free, so that two CPU cores can train without waiting for the loader. On disk they are
memory-mapped: worker processes and later runs share the pages.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.datasets.manifest import MANIFEST_NAME, write_json
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample
from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.data.jobs import run_jobs


class SampleStore(Protocol):
    """Samples by position."""

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, index: int) -> Sample:
        """One sample; raises `UserError` where it cannot be read."""

    def has_one_size(self) -> bool:
        """Whether all samples are known to have the same size."""


def resize_sample(sample: Sample, size: tuple[int, int]) -> Sample:
    """The sample at (height, width): colour by area, everything else by nearest neighbour."""
    if sample.label.shape[:2] == size:
        return sample
    shape = (size[1], size[0])
    shrinks = size[0] <= sample.label.shape[0] and size[1] <= sample.label.shape[1]
    rgb = cv2.resize(sample.rgb, shape, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)

    def nearest(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return cv2.resize(image, shape, interpolation=cv2.INTER_NEAREST_EXACT)

    hha = None if sample.hha is None else nearest(sample.hha)
    return Sample(sample.name, rgb.astype(np.uint8), nearest(sample.depth), nearest(sample.label), hha)


class FileStore:
    """Samples decoded from their files each time."""

    def __init__(self, prepared: PreparedSet, split: str, size: tuple[int, int] | None, hha: bool) -> None:
        self._prepared, self._size, self._hha = prepared, size, hha
        self._split, self._names = split, prepared.names(split)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._names)

    def has_one_size(self) -> bool:
        """Whether all samples are known to have the same size."""
        return self._size is not None or self._prepared.has_one_size(self._split)

    def __getitem__(self, index: int) -> Sample:
        """Decode one sample."""
        sample = self._prepared.read(self._names[index], self._hha)
        return resize_sample(sample, self._size) if self._size else sample


class PackedStore:
    """Samples of one size in four arrays."""

    def __init__(self, names: tuple[str, ...], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._names, self._arrays = names, arrays

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._names)

    def has_one_size(self) -> bool:
        """True: the arrays have it."""
        return True

    def __getitem__(self, index: int) -> Sample:
        """One sample: views, nothing is copied."""
        images = {kind: np.asarray(array[index]) for kind, array in self._arrays.items()}
        return Sample(self._names[index], images["rgb"], images["depth"], images["label"], images.get("hha"))


_Allocate = Callable[[str, tuple[int, ...], type], npt.NDArray[Any]]


def _fill(source: FileStore, allocate: _Allocate, hha: bool, workers: int) -> dict[str, npt.NDArray[Any]]:
    height, width = source[0].label.shape
    count = len(source)
    kinds: dict[str, tuple[tuple[int, ...], type]] = {
        "rgb": ((count, height, width, 3), np.uint8),
        "depth": ((count, height, width), np.uint16),
        "label": ((count, height, width), np.uint8),
    }
    if hha:
        kinds["hha"] = ((count, height, width, 3), np.uint8)
    arrays = {kind: allocate(kind, shape, dtype) for kind, (shape, dtype) in kinds.items()}
    for index, sample in enumerate(run_jobs(source.__getitem__, [(i,) for i in range(count)], workers, "packing")):
        if sample.label.shape != (height, width):
            raise UserError(
                f"Sample {sample.name} is {sample.label.shape[1]}x{sample.label.shape[0]} but others are "
                f"{width}x{height}: name a common size to pack this set, or use cache=none."
            )
        for kind, array in arrays.items():
            array[index] = getattr(sample, kind)
    return arrays


def _pack_on_disk(source: FileStore, names: tuple[str, ...], folder: Path, hha: bool, workers: int) -> PackedStore:
    done = folder / "done.json"
    kinds = ("rgb", "depth", "label", "hha") if hha else ("rgb", "depth", "label")
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)

        def allocate(kind: str, shape: tuple[int, ...], dtype: type) -> npt.NDArray[Any]:
            return np.lib.format.open_memmap(folder / f".{kind}.{os.getpid()}.npy", "w+", dtype, shape)

        for kind, array in _fill(source, allocate, hha, workers).items():
            array.flush()  # type: ignore[attr-defined]
            (folder / f".{kind}.{os.getpid()}.npy").replace(folder / f"{kind}.npy")
        write_json(done, {"samples": len(names)})
    return PackedStore(names, {kind: np.load(folder / f"{kind}.npy", mmap_mode="r") for kind in kinds})


def _pack_folder(prepared: PreparedSet, split: str, size: tuple[int, int] | None, hha: bool) -> Path:
    """Folder of a packed split; another manifest, list of names or size is another folder."""
    manifest = prepared.root / MANIFEST_NAME
    facts = manifest.read_bytes() if manifest.is_file() else repr(prepared.manifest).encode()
    digest = hashlib.sha256(facts + "\n".join(prepared.names(split)).encode() + repr((size, hha)).encode())
    return prepared.root / ".packed" / f"{split}-{digest.hexdigest()[:12]}"


def open_store(
    prepared: PreparedSet,
    split: str,
    cache: str = "none",
    size: tuple[int, int] | None = None,
    hha: bool = False,
    workers: int = 1,
) -> SampleStore:
    """Samples of a split.

    Args:
        prepared: the set.
        split: its split.
        cache: `none` decodes files each time; `memory` and `disk` pack them once.
        size: (height, width) that samples are brought to, None to keep theirs.
        hha: whether samples carry HHA.
        workers: processes that pack.

    Raises:
        UserError: unknown cache or split, an empty split, unreadable samples, or mixed sizes in a packed store.
    """
    names = prepared.names(split)
    if not names:
        raise UserError(f"Split {split!r} of {prepared.root} is empty.")
    source = FileStore(prepared, split, size, hha)
    if cache == "none":
        return source
    if cache == "memory":
        return PackedStore(names, _fill(source, lambda _, shape, dtype: np.empty(shape, dtype), hha, workers))
    if cache == "disk":
        return _pack_on_disk(source, names, _pack_folder(prepared, split, size, hha), hha, workers)
    raise UserError(f"Cache {cache!r} is unknown: choose none, memory or disk.")

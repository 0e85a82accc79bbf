"""Statistics of a prepared set: class frequencies of every split, colour and depth of the training split."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.datasets.manifest import Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_training.data.jobs import run_jobs


@dataclass(frozen=True)
class Sums:
    """Sums over pixels from which means and deviations follow; they add up over images."""

    class_pixels: npt.NDArray[np.int64]
    pixels: int
    rgb: npt.NDArray[np.float64]
    rgb_squared: npt.NDArray[np.float64]
    depth_pixels: int
    depth: float
    depth_squared: float

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))


def _measure_sample(prepared: PreparedSet, name: str) -> Sums:
    sample = prepared.read(name)
    rgb = sample.rgb.reshape(-1, 3).astype(np.float64)
    depth = sample.depth[sample.depth > 0].astype(np.float64) * prepared.metres_per_unit
    counts = np.bincount(sample.label.ravel(), minlength=UNLABELLED + 1)[: len(prepared.label_set.classes)]
    return Sums(
        counts.astype(np.int64),
        len(rgb),
        rgb.sum(0),
        (rgb**2).sum(0),
        depth.size,
        float(depth.sum()),
        float((depth**2).sum()),
    )


def _deviation(total: float, squared: float, count: int) -> float:
    return float(max(squared / count - (total / count) ** 2, 0.0) ** 0.5)


def sum_split(prepared: PreparedSet, split: str, workers: int = 1) -> Sums:
    """Add up all samples of a split, which also proves that every file can be read."""
    names = prepared.names(split)
    total: Sums | None = None
    jobs = [(prepared, name) for name in names]
    for sums in run_jobs(_measure_sample, jobs, workers, f"reading {split}"):
        total = sums if total is None else total + sums
    if total is None:
        zero = np.zeros(3)
        return Sums(np.zeros(len(prepared.label_set.classes), np.int64), 0, zero, zero, 0, 0.0, 0.0)
    return total


def measure_set(prepared: PreparedSet, workers: int = 1) -> Manifest:
    """The set's manifest with statistics filled in; colour and depth come from `train`, or else the first split."""
    manifest = prepared.manifest
    sums = {split: sum_split(prepared, split, workers) for split in manifest.splits}
    if not sums:
        return manifest
    reference = sums.get("train") or next(iter(sums.values()))
    depth = manifest.depth
    if reference.depth_pixels:
        depth = replace(
            depth,
            mean_m=reference.depth / reference.depth_pixels,
            std_m=_deviation(reference.depth, reference.depth_squared, reference.depth_pixels),
            missing_share=1.0 - reference.depth_pixels / reference.pixels,
        )
    rgb: tuple[tuple[float, ...] | None, tuple[float, ...] | None] = None, None
    if reference.pixels:
        mean = tuple(float(v) for v in reference.rgb / reference.pixels)
        std = tuple(
            _deviation(t, s, reference.pixels) for t, s in zip(reference.rgb, reference.rgb_squared, strict=True)
        )
        rgb = mean, std
    class_pixels = {split: tuple(int(v) for v in s.class_pixels) for split, s in sums.items()}
    return replace(manifest, depth=depth, rgb_mean=rgb[0], rgb_std=rgb[1], class_pixels=class_pixels)

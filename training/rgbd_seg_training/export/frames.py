"""Images to verify and calibrate an export with: real ones from a prepared data set, and made-up ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.preprocess import InputBuffers


@dataclass(frozen=True)
class ExportFrame:
    """One image pair, of any size.

    Attributes:
        rgb: uint8 H x W x 3.
        depth: float32 H x W metres, 0 = missing.
        label: uint8 H x W ground truth, 255 = ignored, or None.
    """

    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8] | None = None

    def inputs(self, names: Sequence[str], height: int, width: int) -> dict[str, npt.NDArray[np.generic]]:
        """Graph inputs `names` at network size, resized as at run time."""
        buffers = InputBuffers(height, width)
        made = {"rgb": buffers.color(self.rgb), "depth": buffers.depth(self.depth, 1.0)}
        return {name: made[name] for name in names}


def pattern_frames(count: int, height: int, width: int, seed: int = 0) -> list[ExportFrame]:
    """Random images with detail at all scales, depth from 0.1 to 20 m with holes; deterministic by `seed`."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        rgb = (255 * _clouds(rng, height, width, 3)).astype(np.uint8)
        depth = (0.1 * 200.0 ** _clouds(rng, height, width, 1)[..., 0]).astype(np.float32)
        depth[_clouds(rng, height, width, 1)[..., 0] > 0.8] = 0.0
        frames.append(ExportFrame(rgb, depth))
    return frames


def set_frames(path: str | Path, split: str, count: int, label_set: LabelSet) -> list[ExportFrame]:
    """Up to `count` samples of a prepared data set, spread evenly over `split`; with labels if the classes agree.

    Raises:
        UserError: the set is unusable or the split is empty.
    """
    prepared = PreparedSet.open(path)
    names = prepared.names(split)
    if not names:
        raise UserError(f"split {split} of data set {path} is empty; name another one.")
    chosen = sorted({round(i) for i in np.linspace(0, len(names) - 1, count)})
    frames = []
    for index in chosen:
        sample = prepared.read(names[index])
        depth = sample.depth.astype(np.float32) * np.float32(prepared.metres_per_unit)
        labelled = prepared.label_set.classes == label_set.classes
        frames.append(ExportFrame(sample.rgb, depth, sample.label if labelled else None))
    return frames


def named_frames(text: str | None, split: str, count: int, label_set: LabelSet) -> list[ExportFrame]:
    """`set_frames` of what a command line names as SET[:SPLIT]; `split` is the default, nothing gives no frames.

    Raises:
        UserError: the set is unusable or the split is empty.
    """
    if not text:
        return []
    path, _, named = text.partition(":")
    return set_frames(path, named or split, count, label_set)


def _clouds(rng: np.random.Generator, height: int, width: int, channels: int) -> npt.NDArray[np.float32]:
    """Noise of several scales added up, stretched to 0..1."""
    total = np.zeros((height, width, channels), np.float32)
    for scale in (1, 4, 16, 64):
        shape = (max(1, height // scale), max(1, width // scale), channels)
        coarse = rng.random(shape, np.float32)
        total += scale**0.5 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(total.shape)
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, np.float32(1e-6))

"""Samples of random images."""

from __future__ import annotations

import numpy as np

from rgbd_seg_ros.datasets import Sample


def random_sample(name: str, seed: int, height: int = 24, width: int = 32) -> Sample:
    rng = np.random.default_rng(seed)
    depth = rng.integers(500, 5000, (height, width)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.2] = 0
    label = rng.integers(0, 13, (height, width)).astype(np.uint8)
    label[rng.random(label.shape) < 0.1] = 255
    return Sample(name, rng.integers(0, 256, (height, width, 3)).astype(np.uint8), depth, label)

"""A small prepared set that the tests of this room share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets import DepthFacts, Intrinsics, Manifest, PreparedSet, Sample
from rgbd_seg_training.data.set_writer import SetWriter

# A busy machine is no reason to fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def random_sample(name: str, seed: int, height: int = 24, width: int = 32) -> Sample:
    rng = np.random.default_rng(seed)
    depth = rng.integers(500, 5000, (height, width)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.2] = 0
    label = rng.integers(0, 13, (height, width)).astype(np.uint8)
    label[rng.random(label.shape) < 0.1] = 255
    return Sample(name, rng.integers(0, 256, (height, width, 3)).astype(np.uint8), depth, label)


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    out = tmp_path_factory.mktemp("sets") / "small"
    writer = SetWriter(out, {"source": "test"})
    splits = {"train": [f"t{i}" for i in range(6)], "val": ["v0", "v1"]}
    for seed, name in enumerate(splits["train"] + splits["val"]):
        writer.write(random_sample(name, seed))
    facts = Manifest("small", LABEL_SETS["nyu13"], DepthFacts(0.001, 0.3, 10.0), Intrinsics(32, 24, 30, 30, 15.5, 11.5))
    return writer.finish(facts, splits)

"""A small prepared set that the tests of this room share."""

from __future__ import annotations

import pytest
from hypothesis import settings
from random_samples import random_sample

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets import DepthFacts, Intrinsics, Manifest, PreparedSet
from rgbd_seg_training.data.set_writer import SetWriter

# A busy machine is no reason to fail.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    out = tmp_path_factory.mktemp("sets") / "small"
    writer = SetWriter(out, {"source": "test"})
    splits = {"train": [f"t{i}" for i in range(6)], "val": ["v0", "v1"]}
    for seed, name in enumerate(splits["train"] + splits["val"]):
        writer.write(random_sample(name, seed))
    facts = Manifest("small", LABEL_SETS["nyu13"], DepthFacts(0.001, 0.3, 10.0), Intrinsics(32, 24, 30, 30, 15.5, 11.5))
    return writer.finish(facts, splits)

"""Fixtures of the method tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets.manifest import DepthFacts, Manifest
from rgbd_seg_ros.datasets.prepared_set import Sample
from rgbd_seg_training.data.set_writer import SetWriter


@pytest.fixture(scope="session")
def striped_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of six classes in stripes that colour and depth both tell."""
    out = tmp_path_factory.mktemp("sets") / "stripes"
    writer = SetWriter(out, {"source": "stripes"})
    rng = np.random.default_rng(0)
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for split, count in (("train", 8), ("val", 2), ("test", 4)):
        for index in range(count):
            label = np.repeat(rng.integers(0, 6, (1, 4)), 16, 1).repeat(64, 0).astype(np.uint8)
            rgb = (label[..., None] * 40 + rng.integers(0, 20, (64, 64, 3))).astype(np.uint8)
            splits[split].append(f"{split}_{index}")
            writer.write(Sample(splits[split][-1], rgb, (500 + 300 * label.astype(np.uint16)), label))
    facts = Manifest(
        name="stripes",
        label_set=LABEL_SETS["potsdam6"],
        depth=DepthFacts(0.001, 0.0, 65.535),
        camera=Intrinsics(64, 64, 60.0, 60.0, 32.0, 32.0),
        source={},
    )
    writer.finish(facts, splits, workers=1)
    return out

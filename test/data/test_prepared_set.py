"""The common layout: round trips, resumed and killed runs, and errors that name the file and the remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from random_samples import random_sample

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets import Manifest, PreparedSet
from rgbd_seg_ros.datasets.images import write_png
from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.data.set_writer import SetWriter


@pytest.fixture
def copied(small_set: PreparedSet, tmp_path: Path) -> Path:
    shutil.copytree(small_set.root, tmp_path / "copy")
    return tmp_path / "copy"


def test_reads_back_what_was_written(small_set: PreparedSet) -> None:
    written, read = random_sample("t3", 3), small_set.read("t3")
    np.testing.assert_array_equal(read.rgb, written.rgb)
    np.testing.assert_array_equal(read.depth, written.depth)
    np.testing.assert_array_equal(read.label, written.label)


def test_manifest_survives_the_round_trip_through_json(small_set: PreparedSet) -> None:
    manifest = small_set.manifest
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict())), "here") == manifest


def test_statistics_are_those_of_the_training_split(small_set: PreparedSet) -> None:
    samples = [small_set.read(name) for name in small_set.names("train")]
    depth = np.concatenate([s.depth.ravel() for s in samples]).astype(float) / 1000
    facts = small_set.manifest.depth
    assert facts.mean_m == pytest.approx(depth[depth > 0].mean())
    assert facts.std_m == pytest.approx(depth[depth > 0].std())
    assert facts.missing_share == pytest.approx((depth == 0).mean())
    pixels = np.concatenate([s.rgb.reshape(-1, 3) for s in samples]).astype(float)
    np.testing.assert_allclose(small_set.manifest.rgb_mean or (), pixels.mean(0))
    np.testing.assert_allclose(small_set.manifest.rgb_std or (), pixels.std(0))
    labels = np.concatenate([s.label.ravel() for s in samples])
    np.testing.assert_array_equal(small_set.manifest.class_pixels["train"], np.bincount(labels, minlength=256)[:13])


def test_an_unfinished_run_is_no_data_set(tmp_path: Path) -> None:
    SetWriter(tmp_path / "s", {}).write(random_sample("a", 0))
    with pytest.raises(UserError, match="does not exist"):
        PreparedSet.open(tmp_path / "s")


def test_a_resumed_run_keeps_finished_samples(tmp_path: Path) -> None:
    SetWriter(tmp_path / "s", {"size": 1}).write(random_sample("a", 0))
    again = SetWriter(tmp_path / "s", {"size": 1})
    assert again.has("a") and not again.has("b")


def test_refuses_to_resume_with_other_options(tmp_path: Path) -> None:
    SetWriter(tmp_path / "s", {"size": 1})
    with pytest.raises(UserError, match="other options"):
        SetWriter(tmp_path / "s", {"size": 2})


def test_refuses_to_finish_without_every_sample(tmp_path: Path) -> None:
    writer = SetWriter(tmp_path / "s", {})
    writer.write(random_sample("a", 0))
    with pytest.raises(UserError, match=r"1 samples .* missing, first b"):
        writer.finish(Manifest("s", LABEL_SETS["nyu13"]), {"train": ["a", "b"]})
    assert not (tmp_path / "s").exists()


def test_refuses_to_write_over_a_finished_set(copied: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        SetWriter(copied, {})


@pytest.mark.parametrize("kind", ["rgb", "depth", "label"])
def test_names_a_missing_image(copied: Path, kind: str) -> None:
    (copied / kind / "t0.png").unlink()
    with pytest.raises(UserError, match=rf"{kind}/t0\.png is missing"):
        PreparedSet.open(copied).read("t0")


@pytest.mark.parametrize("kind", ["rgb", "depth", "label"])
def test_names_a_damaged_image(copied: Path, kind: str) -> None:
    (copied / kind / "t0.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=rf"{kind}/t0\.png is damaged"):
        PreparedSet.open(copied).read("t0")


def test_names_images_of_different_size(copied: Path) -> None:
    write_png(copied / "depth" / "t0.png", np.ones((5, 5), np.uint16))
    with pytest.raises(UserError, match="depth is 5x5 but colour is 32x24"):
        PreparedSet.open(copied).read("t0")


def test_names_a_label_outside_the_label_set(copied: Path) -> None:
    write_png(copied / "label" / "t0.png", np.full((24, 32), 13, np.uint8))
    with pytest.raises(UserError, match="holds 13, but label set nyu13 has 13 classes"):
        PreparedSet.open(copied).read("t0")


def test_names_an_unknown_split(small_set: PreparedSet) -> None:
    with pytest.raises(UserError, match="no split 'test': it has train, val"):
        small_set.names("test")


def test_notices_a_shortened_split_list(copied: Path) -> None:
    (copied / "splits" / "train.txt").write_text("t0\n")
    with pytest.raises(UserError, match="1 names, the manifest says 6"):
        PreparedSet.open(copied).names("train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "is not the manifest"),
        ({"version": 99}, "version 99"),
        ({"label_set": {"name": "x", "classes": ["a"], "colors": []}}, "damaged"),
        ({"depth": {"metres_per_unit": 0}}, "damaged"),
        ({"files": {}}, "damaged"),
        ({"camera": {"width": 3}}, "damaged"),
    ],
)
def test_refuses_a_damaged_manifest(copied: Path, change: dict[str, object], message: str) -> None:
    path = copied / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        PreparedSet.open(copied)

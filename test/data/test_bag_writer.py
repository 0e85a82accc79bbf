"""Bags: what goes in comes out, for both storages and every kind of source."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

import make_bag
from rgbd_seg_ros.cli._play import add_play_arguments, prepare
from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.testing import write_test_bundle
from rgbd_seg_ros.replay.bag_source import BagSource
from rgbd_seg_ros.replay.bag_writer import EPOCH_NS, INFO_TOPIC, LABEL_TOPIC, TOPICS, BagWriter, write_bag
from rgbd_seg_ros.replay.set_source import SetSource
from rgbd_seg_ros.replay.source import SourceFrame, open_source


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_prepared_set_comes_back_from_its_bag(small_set: PreparedSet, tmp_path: Path, storage: str) -> None:
    source = SetSource(small_set.root, "train", rate_hz=20.0)
    assert write_bag(source, tmp_path / "bag", storage) == 12
    bag = BagSource(tmp_path / "bag")
    assert (bag.camera.fx, bag.camera.width) == (30.0, 32)
    played, wanted = list(bag), list(source)
    assert [(f.sensor, f.stamp_ns - EPOCH_NS) for f in played] == [(f.sensor, f.stamp_ns) for f in wanted]
    for got, given in zip(played, wanted, strict=True):
        np.testing.assert_array_equal(got.image, given.image)
        assert got.image.dtype == given.image.dtype
        np.testing.assert_array_equal(got.label, given.label)


def test_ground_truth_is_written_once_per_stamp_and_camera_info_with_every_colour_frame(
    small_set: PreparedSet, tmp_path: Path
) -> None:
    write_bag(SetSource(small_set.root, "train"), tmp_path / "bag")
    with AnyReader([tmp_path / "bag"]) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
        first = next(iter(reader.messages()))
        message = reader.deserialize(first[2], first[0].msgtype)
    assert counts == {TOPICS["rgb"]: 6, TOPICS["depth"]: 6, INFO_TOPIC: 6, LABEL_TOPIC: 6}
    assert message.header.frame_id == "camera_rgb_optical_frame"
    assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == first[1]


def test_depth_in_other_units_is_written_in_metres(tmp_path: Path, small_set: PreparedSet) -> None:
    shutil.copytree(small_set.root, tmp_path / "set")
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    manifest["depth"]["metres_per_unit"] = 0.02
    (tmp_path / "set" / "manifest.json").write_text(json.dumps(manifest))
    write_bag(SetSource(tmp_path / "set", "val"), tmp_path / "bag", "mcap")
    depth = next(f.image for f in BagSource(tmp_path / "bag") if f.sensor is Sensor.DEPTH)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, small_set.read("v0").depth * 0.02, rtol=1e-6)


@pytest.mark.parametrize(("words", "rate_hz"), [([], 5.0), (["--rate", "20"], 20.0)])
def test_a_prepared_set_is_played_at_its_own_rate_unless_told_otherwise(
    small_set: PreparedSet, tmp_path: Path, words: list[str], rate_hz: float
) -> None:
    shutil.copytree(small_set.root, tmp_path / "set")
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    manifest["rate_hz"] = 5.0
    (tmp_path / "set" / "manifest.json").write_text(json.dumps(manifest))
    bundle = write_test_bundle(tmp_path / "bundle")
    parser = argparse.ArgumentParser()
    add_play_arguments(parser, "healthy")
    args = parser.parse_args(["--input", str(tmp_path / "set"), "--bundle", str(bundle.folder), *words])
    assert prepare(args, tmp_path).sequence.rate_hz == rate_hz


def test_nothing_is_left_of_a_bag_that_failed(small_set: PreparedSet, tmp_path: Path) -> None:
    source = SetSource(small_set.root, "val")
    with pytest.raises(UserError, match="cannot hold an image"), BagWriter(tmp_path / "bag", source) as bag:
        bag.add(SourceFrame(Sensor.RGB, 0, np.zeros((4, 5, 3), np.uint8)))
        bag.add(SourceFrame(Sensor.DEPTH, 0, np.zeros((4, 5), np.int64)))
    assert list(tmp_path.iterdir()) == []


def test_refuses_to_write_over_a_bag_and_unknown_storages(small_set: PreparedSet, tmp_path: Path) -> None:
    source = SetSource(small_set.root, "val")
    write_bag(source, tmp_path / "bag")
    with pytest.raises(UserError, match="exists already"):
        write_bag(source, tmp_path / "bag")
    with pytest.raises(UserError, match="choose mcap or sqlite3"):
        write_bag(source, tmp_path / "other", "rosbag1")


def test_only_the_named_samples_and_seconds_are_written(small_set: PreparedSet, tmp_path: Path) -> None:
    assert write_bag(SetSource(small_set.root, "train", 10.0), tmp_path / "short", duration_s=0.25) == 6
    assert write_bag(SetSource(small_set.root, "train", only="t3"), tmp_path / "one") == 2
    with pytest.raises(UserError, match="begins with 'nobody'"):
        SetSource(small_set.root, "train", only="nobody")


def test_the_command_line_writes_rendered_flights_and_reports_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--cache",
        str(tmp_path / "cache"),
        "--size",
        "48x64",
        "--seconds",
        "0.2",
        "--rate",
        "10",
        "--workers",
        "1",
    ]
    assert make_bag.main(["rendered:indoor", "--out", str(tmp_path / "bag"), *options]) == 0
    played = list(BagSource(tmp_path / "bag", label_set=LABEL_SETS["nyu13"]))
    assert [f.sensor for f in played] == [Sensor.RGB, Sensor.DEPTH] * 2
    assert played[0].label is not None and played[0].label.max() < 13
    capsys.readouterr()
    assert make_bag.main(["rendered:moon", "--out", str(tmp_path / "x"), *options]) == 2
    assert capsys.readouterr().err.startswith("error: There is no rendered world 'moon'")


def test_the_command_line_takes_frame_folders(tmp_path: Path) -> None:
    for kind, image in (("rgb", np.full((6, 8, 3), 90, np.uint8)), ("depth", np.full((6, 8), 1500, np.uint16))):
        (tmp_path / "frames" / kind).mkdir(parents=True)
        for i in range(3):
            cv2.imwrite(str(tmp_path / "frames" / kind / f"{i:04d}.png"), image)
    assert make_bag.main([str(tmp_path / "frames"), "--rate", "5", "--out", str(tmp_path / "bag")]) == 0
    depth = [f for f in BagSource(tmp_path / "bag") if f.sensor is Sensor.DEPTH]
    assert [f.stamp_ns - depth[0].stamp_ns for f in depth] == [0, 200_000_000, 400_000_000]
    assert (depth[0].image == 1500).all()


def test_a_prepared_set_can_be_played_as_it_is(small_set: PreparedSet) -> None:
    source = open_source(small_set.root, rate_hz=5)
    assert isinstance(source, SetSource)
    assert source.rate_hz == 5
    assert source.label_set == small_set.label_set

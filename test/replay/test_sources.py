"""Folders of any usual naming, packed sequences and bags give the same frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.sequence import Sequence, SequenceWriter, is_sequence, pack
from rgbd_seg_ros.replay.source import SourceFrame, open_source
from rgbd_seg_ros.scenes.camera import Camera

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 255, (3, 12, 16, 3), np.uint8)
DEPTH = RNG.integers(300, 5000, (3, 12, 16), np.uint16)
LABEL = RNG.integers(0, 13, (3, 12, 16), np.uint8)

NAMINGS = {
    "kinect": ("frame-{:06d}.color.png", "frame-{:06d}.depth.png", None),
    "replica": ("{:04d}_rgb.png", "{:04d}_depth_mm.png", "{:04d}_label13.png"),
    "folders": ("rgb/{:05d}.png", "depth/{:05d}.png", None),
    "colour folders": ("color/img_{:04d}.png", "depth/img_{:04d}_abs.png", None),
    "scannet": ("color/{}.png", "depth/{}.png", "label/{}.png"),
    "tum": ("rgb/1305031102.{:06d}.png", "depth/1305031102.{:06d}.png", None),
}


def write_folder(folder: Path, naming: str) -> None:
    rgb, depth, label = NAMINGS[naming]
    for i in range(3):
        for pattern, image in ((rgb, RGB[i][..., ::-1]), (depth, DEPTH[i]), (label, LABEL[i] + 1)):
            if pattern is not None:
                path = folder / pattern.format(i * (33333 if naming == "tum" else 1))
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)


@pytest.mark.parametrize("naming", NAMINGS)
def test_a_folder_is_read_whatever_its_naming(tmp_path: Path, naming: str) -> None:
    write_folder(tmp_path, naming)
    frames = list(open_source(tmp_path))
    assert [f.sensor for f in frames] == [Sensor.RGB, Sensor.DEPTH] * 3
    assert all(np.array_equal(f.image, RGB[i]) for i, f in enumerate(frames[::2]))
    assert all(np.array_equal(f.image, DEPTH[i]) for i, f in enumerate(frames[1::2]))
    stamps = [f.stamp_ns for f in frames]
    assert stamps[::2] == stamps[1::2] == sorted(set(stamps))
    assert stamps[2] - stamps[0] == pytest.approx(33.3e6, rel=0.01)


def test_labels_with_zero_for_void_become_labels_with_255(tmp_path: Path) -> None:
    write_folder(tmp_path, "replica")
    cv2.imwrite(str(tmp_path / "0000_label13.png"), np.zeros((12, 16), np.uint8))
    source = open_source(tmp_path)
    labels = [f.label for f in source if f.sensor is Sensor.RGB]
    assert source.label_set == LABEL_SETS["nyu13"]
    assert (labels[0] == 255).all()
    assert np.array_equal(labels[1], LABEL[1])


def test_depth_of_another_scale_becomes_millimetres(tmp_path: Path) -> None:
    write_folder(tmp_path, "folders")
    frames = [f for f in open_source(tmp_path, depth_scale=5000.0) if f.sensor is Sensor.DEPTH]
    assert np.array_equal(frames[0].image, np.round(DEPTH[0] / 5.0).astype(np.uint16))


def test_colour_alone_is_a_source_too(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1_rgb.png"), RGB[0])
    assert [f.sensor for f in open_source(tmp_path)] == [Sensor.RGB]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UserError, match="no colour or depth images"):
        open_source(tmp_path)


def test_nothing_at_the_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing at"):
        open_source(tmp_path / "absent")


def test_a_damaged_image_is_refused_by_name_and_leaves_nothing_packed(tmp_path: Path) -> None:
    write_folder(tmp_path / "in", "folders")
    (tmp_path / "in" / "depth" / "00001.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"00001\.png"):
        pack(open_source(tmp_path / "in"), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_packed_sequence_gives_back_what_went_in(tmp_path: Path) -> None:
    write_folder(tmp_path / "in", "replica")
    packed = pack(open_source(tmp_path / "in"), tmp_path / "out")
    assert is_sequence(tmp_path / "out")
    assert packed.label_set == LABEL_SETS["nyu13"]
    for before, after in zip(open_source(tmp_path / "in"), open_source(tmp_path / "out"), strict=True):
        assert (before.sensor, before.stamp_ns) == (after.sensor, after.stamp_ns)
        assert np.array_equal(before.image, after.image)
        assert np.array_equal(before.label, after.label)


def test_packing_stops_at_the_duration(tmp_path: Path) -> None:
    write_folder(tmp_path / "in", "folders")
    assert pack(open_source(tmp_path / "in"), tmp_path / "out", duration_s=0.04).count(Sensor.RGB) == 2


def test_a_sequence_bounces_back_and_forth_with_rising_stamps(tmp_path: Path) -> None:
    write_folder(tmp_path / "in", "folders")
    packed = pack(open_source(tmp_path / "in"), tmp_path / "out")
    frames = list(packed.bounced(round(0.3e9)))
    rgb = [f for f in frames if f.sensor is Sensor.RGB]
    order = [next(i for i in range(3) if np.array_equal(f.image, RGB[i])) for f in rgb]
    assert order == [0, 1, 2, 2, 1, 0, 0, 1, 2]
    gaps = np.diff([f.stamp_ns for f in rgb])
    assert abs(gaps - 33_333_333).max() <= 2
    assert [f.sensor for f in frames] == [Sensor.RGB, Sensor.DEPTH] * 9


def test_a_damaged_sequence_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "in", "folders")
    pack(open_source(tmp_path / "in"), tmp_path / "out")
    with (tmp_path / "out" / "rgb.raw").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match="damaged packed sequence"):
        Sequence(tmp_path / "out")


def test_a_stream_that_changes_its_size_cannot_be_packed(tmp_path: Path) -> None:
    writer = SequenceWriter(tmp_path / "s", name="s", camera=Camera.default(16, 12), label_set=None, rate_hz=30.0)
    writer.add(SourceFrame(Sensor.RGB, 0, RGB[0]))
    with pytest.raises(UserError, match="the ones before"):
        writer.add(SourceFrame(Sensor.RGB, 1, RGB[0][:6]))


@pytest.mark.shared
def test_the_real_frames_open_as_they_are(shared: Path) -> None:
    for name, sensors in (("kinect_stream", 2), ("replica_office0", 2), ("nyu", 2), ("nyu_rgb_label", 1)):
        source = open_source(shared / "data" / name)
        frames = [frame for frame, _ in zip(source, range(sensors), strict=False)]
        assert len({f.sensor for f in frames}) == sensors
    assert source.camera.width == 625
    assert open_source(shared / "data" / "kinect_stream").camera.fx == 585.0

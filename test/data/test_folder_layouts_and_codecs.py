"""Folders of other projects as they are, and the depth encodings of real files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgbd_seg_ros.datasets import PreparedSet
from rgbd_seg_ros.datasets.depth_codecs import decode_depth, encode_depth
from rgbd_seg_ros.errors import UserError


def write_folders(root: Path, depth: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = {
        "RGB/7.jpg": np.full((12, 16, 3), (30, 120, 200), np.uint8),
        "Label/7.png": rng.integers(0, 41, (12, 16)).astype(np.uint8),
        "HHA/7.jpg": np.full((12, 16, 3), (60, 100, 155), np.uint8),  # BGR: disparity 155 = 2 m
    }
    if depth:
        images["Depth/7.png"] = rng.integers(0, 9000, (12, 16)).astype(np.uint16)
    for name, image in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), image)
    (root / "train.txt").write_text("RGB/7.jpg\tLabel/7.png\n")
    (root / "test.txt").write_text("7\n")
    return images


def test_reads_cmx_folders_with_void_zero_and_hha(tmp_path: Path) -> None:
    images = write_folders(tmp_path / "NYUDepthv2")
    prepared = PreparedSet.open(tmp_path / "NYUDepthv2")
    assert prepared.label_set.name == "nyu40"
    assert prepared.names("train") == prepared.names("test") == ("7",)
    sample = prepared.read("7", hha=True)
    stored = images["Label/7.png"].astype(int)
    np.testing.assert_array_equal(sample.label, np.where(stored == 0, 255, stored - 1))
    assert sample.hha is not None and np.abs(sample.hha.astype(int) - (155, 100, 60)).max() <= 3
    assert np.abs(sample.depth / 1000 - 2.0).max() < 0.1  # from the disparity channel
    assert np.abs(sample.rgb.astype(int) - (200, 120, 30)).max() <= 3


def test_reads_depth_folders_in_their_own_unit(tmp_path: Path) -> None:
    images = write_folders(tmp_path / "mine", depth=True)
    hints = {"label_set": "nyu40", "depth": {"metres_per_unit": 0.0001}}
    (tmp_path / "mine" / "rgbd_seg.json").write_text(json.dumps(hints))
    prepared = PreparedSet.open(tmp_path / "mine")
    np.testing.assert_array_equal(prepared.read("7").depth, images["Depth/7.png"])
    assert prepared.metres_per_unit == 0.0001


def test_takes_own_classes_and_an_own_camera(tmp_path: Path) -> None:
    images = write_folders(tmp_path / "barn", depth=True)
    cv2.imwrite(str(tmp_path / "barn" / "Label" / "7.png"), images["Label/7.png"] % 3)
    camera = {"width": 16, "height": 12, "fx": 15.0, "fy": 15.0, "cx": 7.5, "cy": 5.5}
    hints = {"label_set": {"name": "barn", "classes": ["cow", "straw", "gate"]}, "label_offset": 0, "camera": camera}
    (tmp_path / "barn" / "rgbd_seg.json").write_text(json.dumps(hints))
    prepared = PreparedSet.open(tmp_path / "barn")
    assert prepared.label_set.classes == ("cow", "straw", "gate") and len(set(prepared.label_set.colors)) == 3
    np.testing.assert_array_equal(prepared.read("7").label, images["Label/7.png"] % 3)
    seen = prepared.camera("7")
    assert seen is not None and (seen.fx, seen.cy) == (15.0, 5.5)


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        (None, "label set of .* is not known"),
        ({"label_set": "nyu41"}, "label set of .* is not known"),
        ({"label_sets": "nyu40"}, "unknown entries label_sets"),
        ({"label_set": "nyu40", "depth": {"unit": 1}}, "unknown depth entry"),
        ({"label_set": {"name": "barn"}}, "label set in .* is damaged"),
        ({"label_set": {"name": "barn", "classes": ["a", "b"], "colors": [[1, 2, 3]]}}, "2 classes but 1 colours"),
        ({"label_set": "nyu40", "camera": {"fx": 1}}, "camera in .* is damaged"),
    ],
)
def test_says_what_the_folders_do_not(tmp_path: Path, hints: object, message: str) -> None:
    write_folders(tmp_path / "mine", depth=True)
    if hints is not None:
        (tmp_path / "mine" / "rgbd_seg.json").write_text(json.dumps(hints))
    with pytest.raises(UserError, match=message):
        PreparedSet.open(tmp_path / "mine")


def test_refuses_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither manifest\.json"):
        PreparedSet.open(tmp_path)


@given(st.lists(st.floats(0, 60, width=32), min_size=1, max_size=20), st.sampled_from([0.001, 0.002, 0.02]))
def test_storing_depth_keeps_holes_and_loses_at_most_half_a_unit(values: list[float], unit: float) -> None:
    metres = np.array(values, np.float32)
    back = decode_depth(encode_depth(metres, unit, 0.0, 60.0), "linear", unit)
    np.testing.assert_array_equal(back == 0, metres == 0)
    measured = metres > unit
    assert np.abs(back - metres)[measured].max(initial=0) <= unit / 2 + 1e-5


@given(st.floats(0.0, 8.0))
def test_sun_bits_are_unrotated(metres: float) -> None:
    millimetres = np.array([[round(metres * 1000)]], np.uint16)
    rotated = (millimetres << np.uint16(3)) | (millimetres >> np.uint16(13))
    assert decode_depth(rotated, "sunrgbd")[0, 0] == pytest.approx(millimetres[0, 0] / 1000)


def test_infinite_and_absent_depth_is_missing() -> None:
    halves = np.array([[1.5, np.inf, np.nan, 0.0]], np.float16).view(np.uint16)
    np.testing.assert_array_equal(decode_depth(halves, "float16"), [[1.5, 0, 0, 0]])
    grey = decode_depth(np.array([[0, 255]], np.uint8), "grey", min_m=1.0, max_m=5.0)
    np.testing.assert_array_equal(grey, [[0, 5]])
    with pytest.raises(UserError, match="'millimetres' is unknown"):
        decode_depth(grey, "millimetres")


@pytest.mark.shared
def test_real_sun_and_tum_frames_decode_to_plausible_rooms(shared: Path) -> None:
    folder = shared / "data" / "depth_encodings"
    sun = decode_depth(cv2.imread(str(folder / "SUN_depth.png"), cv2.IMREAD_UNCHANGED), "sunrgbd")
    tum = decode_depth(cv2.imread(str(folder / "TUM_depth.png"), cv2.IMREAD_UNCHANGED), "linear", 1 / 5000)
    for depth in (sun, tum):
        valid = depth[depth > 0]
        assert 0.5 < np.median(valid) < 6.0 and valid.max() <= 14.0 and valid.size > depth.size / 3


@pytest.mark.shared
def test_real_nyu_labels_map_from_40_to_13_classes(shared: Path) -> None:
    from rgbd_seg_ros.core.label_sets import NYU40_TO_NYU13

    for number in ("000433", "000464"):
        stored_40, stored_13 = (
            cv2.imread(str(shared / "data" / "nyu" / f"nyu_{number}_label{n}.png"), cv2.IMREAD_UNCHANGED)
            for n in (40, 13)
        )
        both = (stored_40 > 0) & (stored_13 > 0)
        mapped = np.array(NYU40_TO_NYU13)[stored_40[both].astype(int) - 1]
        assert both.mean() > 0.5
        np.testing.assert_array_equal(mapped, stored_13[both].astype(int) - 1)

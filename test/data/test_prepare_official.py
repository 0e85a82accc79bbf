"""From official files (in miniature) to the common layout, value by value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from official_files import write_midair, write_nyu, write_potsdam, write_sunrgbd

import prepare
from rgbd_seg_ros.core.label_sets import NYU40_TO_NYU13
from rgbd_seg_ros.datasets import PreparedSet
from rgbd_seg_ros.datasets.depth_codecs import decode_depth
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.hha import encode_hha
from rgbd_seg_training.data.sources import midair, nyu, potsdam, sunrgbd
from rgbd_seg_training.data.sources.check import check_set


@pytest.fixture(scope="module")
def nyu_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("nyu")
    return folder, write_nyu(folder)


@pytest.mark.parametrize("classes", [40, 13])
def test_nyu_keeps_images_depth_labels_and_the_one_based_splits(
    nyu_files: tuple[Path, dict[str, np.ndarray]], tmp_path: Path, classes: int
) -> None:
    source, truth = nyu_files
    prepared = nyu.prepare_nyu(source, tmp_path / "out", nyu.NyuOptions(classes=classes), workers=1)
    assert prepared.names("train") == ("0001", "0002", "0004")
    assert prepared.names("test") == ("0003", "0005")
    sample = prepared.read("0004")
    np.testing.assert_array_equal(sample.rgb, truth["images"][3])
    assert np.abs(sample.depth / 1000 - truth["depths"][3]).max() <= 0.0005 + 1e-6
    stored = truth["labels"][3].astype(int)
    to_40 = np.concatenate([[-1], truth["mapClass"][0].astype(int) - 1])[stored]
    expected = to_40 if classes == 40 else np.array([*NYU40_TO_NYU13, -1])[to_40]
    np.testing.assert_array_equal(sample.label, np.where(expected < 0, 255, expected))
    assert set(prepared.manifest.source["sha256"]) == {"nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"}


def test_nyu_raw_depth_keeps_its_holes_and_the_frame_can_be_cut_off(
    nyu_files: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    source, truth = nyu_files
    options = nyu.NyuOptions(depth="raw", hha=True, crop=True, val_share=0.34)
    prepared = nyu.prepare_nyu(source, tmp_path / "out", options, workers=1)
    sample = prepared.read("0001", hha=True)
    assert sample.rgb.shape == (428, 562, 3) and sample.hha is not None and sample.hha.shape == (428, 562, 3)
    raw = truth["rawDepths"][0][44:472, 40:602]
    np.testing.assert_array_equal(sample.depth == 0, raw == 0)
    np.testing.assert_array_equal(sample.rgb, truth["images"][0][44:472, 40:602])
    camera = prepared.camera("0001")
    assert camera is not None and camera.cx == pytest.approx(285.582) and camera.width == 562
    assert prepared.names("train") == ("0001", "0002") and prepared.names("val") == ("0004",)


def test_nyu_names_the_missing_and_the_damaged_file(
    nyu_files: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    source, _ = nyu_files
    for name in (nyu.MAT, nyu.SPLITS):
        (tmp_path / name).symlink_to(source / name)
    with pytest.raises(UserError, match=r"classMapping40\.mat is not in .*download it"):
        nyu.prepare_nyu(tmp_path, tmp_path / "out", nyu.NyuOptions(), workers=1)
    (tmp_path / nyu.MAPPING).symlink_to(source / nyu.MAPPING)
    (tmp_path / nyu.MAT).unlink()
    (tmp_path / nyu.MAT).write_bytes(b"cut short")
    with pytest.raises(UserError, match="damaged or incomplete"):
        nyu.prepare_nyu(tmp_path, tmp_path / "out", nyu.NyuOptions(), workers=1)
    assert not (tmp_path / "out").exists()


def test_sun_reads_rotated_depth_referenced_labels_and_server_paths(tmp_path: Path) -> None:
    truth = write_sunrgbd(tmp_path / "source")
    prepared = sunrgbd.prepare_sunrgbd(tmp_path / "source", tmp_path / "out", sunrgbd.SunOptions(hha=True), workers=2)
    assert prepared.names("train") == ("00001", "00002") and prepared.names("test") == ("00003",)
    for i in range(3):
        sample = prepared.read(f"{i + 1:05d}", hha=True)
        np.testing.assert_array_equal(sample.depth, np.minimum(truth[f"depth{i}"], 8000))
        stored = truth[f"label{i}"].astype(int)
        np.testing.assert_array_equal(sample.label, np.where(stored == 0, 255, stored - 1))
    camera = prepared.camera("00002")
    assert camera is not None and (camera.width, camera.height, camera.fx, camera.cy) == (28, 20, 529.5, 265.0)


@pytest.mark.parametrize("depth", ["bfx", "raw"])
def test_sun_makes_hha_of_filled_depth_with_normals_from_measured_pixels(tmp_path: Path, depth: str) -> None:
    write_sunrgbd(tmp_path / "source")
    folder = tmp_path / "source/SUNRGBD/kv1/b3do/img_0063"
    raw = cv2.imread(str(folder / "depth/d.png"), cv2.IMREAD_UNCHANGED)
    filled = np.where(raw == 0, np.uint16(3000 << 3), raw)
    assert cv2.imwrite(str(folder / "depth_bfx/d.png"), filled)
    options = sunrgbd.SunOptions(depth=depth, hha=True)
    sample = sunrgbd.prepare_sunrgbd(tmp_path / "source", tmp_path / "out", options, workers=1).read("00003", hha=True)
    metres, measured = (decode_depth(image, "sunrgbd") for image in (filled, raw))
    np.testing.assert_array_equal(sample.hha, encode_hha(metres, (529.5, 529.5, 365.0, 265.0), measured > 0))
    assert (sample.depth == 0).any() == (depth == "raw")


def test_sun_names_a_missing_image(tmp_path: Path) -> None:
    write_sunrgbd(tmp_path / "source")
    (tmp_path / "source/SUNRGBD/kv1/b3do/img_0063/depth_bfx/d.png").unlink()
    with pytest.raises(UserError, match=r"img_0063/depth_bfx/d\.png is missing"):
        sunrgbd.prepare_sunrgbd(tmp_path / "source", tmp_path / "out", sunrgbd.SunOptions(), workers=1)
    assert not (tmp_path / "out").exists()


def test_potsdam_cuts_tiles_and_reads_colors_and_normalised_heights(tmp_path: Path) -> None:
    truth = write_potsdam(tmp_path / "source", {"2_10": "ndsm dsm", "6_7": "dsm", "2_13": "dsm"})
    options = potsdam.PotsdamOptions(size=32, stride=24, tiles=("2_10", "6_7", "2_13"), val_tiles=("6_7",))
    prepared = potsdam.prepare_potsdam(tmp_path / "source", tmp_path / "out", options, workers=1)
    # Training: 0, 24, 48 along each side of 80 pixels; testing: 0, 32, 64 with padding.
    assert len(prepared.names("train")) == len(prepared.names("val")) == len(prepared.names("test")) == 9
    sample = prepared.read("2_10_00048_00024")
    np.testing.assert_array_equal(sample.rgb, truth["rgb2_10"][48:80, 24:56])
    classes = truth["label2_10"][48:80, 24:56]
    np.testing.assert_array_equal(sample.label, np.where(classes == 6, 255, classes))
    assert (sample.depth == round((120 - 12.3) / 0.002)).all()
    assert prepared.manifest.source["heights"] == {"2_10": "ndsm", "6_7": "dsm", "2_13": "dsm"}


def test_potsdam_counts_every_test_pixel_once(tmp_path: Path) -> None:
    truth = write_potsdam(tmp_path / "source", {"2_13": "dsm"})
    options = potsdam.PotsdamOptions(size=32, stride=16, tiles=("2_13",), boundary="keep")
    prepared = potsdam.prepare_potsdam(tmp_path / "source", tmp_path / "out", options, workers=1)
    full = np.where(truth["label2_13"] == 6, 0, truth["label2_13"])
    assert prepared.manifest.class_pixels["test"] == tuple(np.bincount(full.ravel(), minlength=6))


def test_potsdam_ground_estimate_finds_buildings_on_a_slope() -> None:
    slope = np.tile(np.linspace(30, 36, 400, dtype=np.float32), (400, 1))
    surface = slope.copy()
    surface[100:180, 100:180] += 12.0
    above = surface - potsdam.ground_height(surface, pixel_m=0.5)
    assert abs(above[110:170, 110:170].mean() - 12.0) < 1.5
    assert np.abs(above[300:380, 250:350]).mean() < 1.0


def test_potsdam_refuses_a_test_tile_for_validation(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2_13 is a test tile"):
        potsdam.prepare_potsdam(tmp_path, tmp_path / "o", potsdam.PotsdamOptions(val_tiles=("2_13",)))
    with pytest.raises(UserError, match="no tile 9_9"):
        potsdam.prepare_potsdam(tmp_path, tmp_path / "o", potsdam.PotsdamOptions(tiles=("9_9",)))


@pytest.mark.parametrize("classes", [14, 7])
def test_midair_reads_half_float_depth_groups_classes_and_strides_frames(tmp_path: Path, classes: int) -> None:
    truth = write_midair(tmp_path / "source")
    options = midair.MidAirOptions(classes=classes, frame_stride=2, size=32, climates=("sunny",))
    prepared = midair.prepare_midair(tmp_path / "source", tmp_path / "out", options, workers=1)
    assert len(prepared.names("train")) == 6 and len(prepared.names("test")) == 3
    assert all("trajectory_0002" in name for name in prepared.names("test"))
    sample = prepared.read("Kite_training-sunny-trajectory_0001-000004")
    where = "Kite_training/sunny/trajectory_0001/000004"
    ids, metres = truth[f"{where}/label"], truth[f"{where}/depth"].astype(np.float64)
    np.testing.assert_array_equal(sample.label, np.array(midair.GROUPS_7)[ids] if classes == 7 else ids)
    expected = np.where(ids == 0, 1250.0, metres)
    assert np.abs(sample.depth * 0.02 - expected).max() <= 0.011
    assert tuple(sample.rgb[5, 5]) == pytest.approx((200, 100, 50), abs=3)
    assert prepared.manifest.rate_hz == 12.5


def test_midair_sky_can_be_missing_depth_and_images_can_shrink(tmp_path: Path) -> None:
    truth = write_midair(tmp_path / "source", trajectories=1, frames=1)
    options = midair.MidAirOptions(classes=14, sky="missing", size=16, sets=("PLE_training",))
    prepared = midair.prepare_midair(tmp_path / "source", tmp_path / "out", options, workers=1)
    sample = prepared.read(prepared.names("train")[0])
    assert sample.label.shape == (16, 16)
    np.testing.assert_array_equal(sample.depth == 0, sample.label == 0)
    assert set(np.unique(sample.label)) <= set(np.unique(truth["PLE_training/fall/trajectory_0000/000000/label"]))
    assert prepared.camera("any") is not None and prepared.camera("any").fx == 8.0  # type: ignore[union-attr]


def test_a_killed_run_leaves_nothing_that_looks_finished_and_is_resumed(tmp_path: Path) -> None:
    write_midair(tmp_path / "source", trajectories=2, frames=3)
    depth = tmp_path / "source/MidAir/PLE_training/fall/depth/trajectory_0001/000002.PNG"
    kept = depth.read_bytes()
    depth.write_bytes(kept[:20])
    options = midair.MidAirOptions(frame_stride=1, size=32)
    with pytest.raises(UserError, match=r"000002\.PNG is damaged"):
        midair.prepare_midair(tmp_path / "source", tmp_path / "out", options, workers=1)
    assert not (tmp_path / "out").exists()
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "out.partial" / "rgb").iterdir()}
    assert written
    depth.write_bytes(kept)
    prepared = midair.prepare_midair(tmp_path / "source", tmp_path / "out", options, workers=1)
    assert all((prepared.root / "rgb" / p.name).stat().st_mtime_ns == time for p, time in written.items())
    assert not (tmp_path / "out.partial").exists()


def test_check_notices_labels_that_changed(tmp_path: Path) -> None:
    write_midair(tmp_path / "source", trajectories=1, frames=2)
    prepared = midair.prepare_midair(tmp_path / "source", tmp_path / "out", midair.MidAirOptions(size=32), workers=1)
    check_set(prepared)
    label = prepared.path("label", prepared.names("train")[0])
    cv2.imwrite(str(label), np.zeros((32, 32), np.uint8))
    with pytest.raises(UserError, match=r"Labels of split train .* changed"):
        check_set(PreparedSet.open(prepared.root))


def test_the_command_line_prepares_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_midair(tmp_path / "source", trajectories=3, frames=2)
    common = ["--workers", "1"]
    out = str(tmp_path / "out")
    assert prepare.main(["midair", "--source", str(tmp_path / "source"), "--out", out, "--size", "32", *common]) == 0
    assert (
        prepare.main(["check", out, "--sheet", str(tmp_path / "sheet.png"), "--augmented", "decoupled", *common]) == 0
    )
    assert "every file can be read" in capsys.readouterr().out.replace("\n", " ")
    for picture in ("sheet.png", "augmented.png"):
        image = cv2.imread(str(tmp_path / picture))
        assert image is not None and image.std() > 10


def test_the_command_line_reports_mistakes_in_one_sentence(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    (tmp_path / "out").mkdir()
    write_midair(tmp_path / "source", trajectories=1, frames=1)
    command = [sys.executable, str(root / "training" / "prepare.py"), "midair", "--source", str(tmp_path / "source")]
    environment = {"PYTHONPATH": f"{root}:{root / 'training'}", "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ") and "exists already" in ended.stderr and "Traceback" not in ended.stderr

"""The shipped bundle on frames of another label set, with and without depth."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.core.label_sets import LABEL_SETS, NYU40_TO_NYU13
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_training.bundle_score import confuse_bundle

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))

import evaluate  # noqa: E402

BUNDLE = ROOT / "bundles" / "rooms"


def write_frames(root: Path, label_set: str, stored: np.ndarray, depth: bool) -> Path:
    """One frame in the folders that CMX and PrimKD users have."""
    images = {"RGB": np.full((*stored.shape, 3), 127, np.uint8), "Label": stored}
    images |= {"Depth": np.full(stored.shape, 2000, np.uint16)} if depth else {}
    for kind, image in images.items():
        (root / kind).mkdir(parents=True)
        cv2.imwrite(str(root / kind / "a.png"), image)
    (root / "test.txt").write_text("a\n")
    (root / "rgbd_seg.json").write_text(json.dumps({"label_set": label_set, "depth": {"metres_per_unit": 0.001}}))
    return root


def forty_classes() -> np.ndarray:
    """Every NYU-40 class in a stripe; stored labels start at 1."""
    return np.repeat(np.arange(1, 41, dtype=np.uint8), 4)[None].repeat(96, 0)


def test_truth_of_forty_classes_is_scored_in_the_thirteen_of_the_bundle(tmp_path: Path) -> None:
    frames = PreparedSet.open(write_frames(tmp_path / "frames", "nyu40", forty_classes(), depth=True))
    matrix = confuse_bundle(load_bundle(BUNDLE), Mode.FUSION, frames, "test")
    expected = np.bincount(np.array(NYU40_TO_NYU13), minlength=13) * 4 * 96
    assert matrix.counts.sum(1).tolist() == expected.tolist()


def test_a_set_without_depth_scores_the_colour_model_alone_and_draws_what_it_labels(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", "nyu40", forty_classes(), depth=False)
    evaluate.main(["--bundle", str(BUNDLE), "--data", str(frames), "--out", str(tmp_path / "out")])
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["scores"]
    assert list(scores) == ["rgb"]
    panel = cv2.imread(str(tmp_path / "out" / "panels.png"))[..., ::-1]
    sample = PreparedSet.open(frames).read("a")
    segmenter = Segmenter(load_bundle(BUNDLE), preload=False)
    labelled = segmenter.segment(Mode.RGB, sample.rgb, None, 0.001).label
    segmenter.close()
    colour = LABEL_SETS["nyu13"].colors[int(labelled[48, 80])]
    assert panel[22 + 90, 3 * 240 + 120].tolist() == list(colour)


def test_classes_that_the_bundle_cannot_express_are_refused(tmp_path: Path) -> None:
    frames = PreparedSet.open(write_frames(tmp_path / "frames", "potsdam6", np.ones((96, 160), np.uint8), depth=True))
    with pytest.raises(UserError, match="potsdam6"):
        confuse_bundle(load_bundle(BUNDLE), Mode.FUSION, frames, "test")


def test_frames_without_any_truth_give_pictures_and_dashes_for_scores(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", "nyu13", np.zeros((96, 160), np.uint8), depth=True)
    evaluate.main(["--bundle", str(BUNDLE), "--data", str(frames), "--out", str(tmp_path / "out")])
    assert "| depth | - | - |" in (tmp_path / "out" / "scores.md").read_text()
    assert (tmp_path / "out" / "panels.png").is_file()

"""Accuracy by mode and by stretch, and the translation between label sets."""

from __future__ import annotations

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS, LabelSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.accuracy import measure, stretches, translation
from rgbd_seg_ros.evaluation.comparison import compare_reports, policy_row
from rgbd_seg_ros.evaluation.joining import join
from rgbd_seg_ros.evaluation.report import build_report
from rgbd_seg_ros.replay.recording import LabelOutput, Recording, SentFrame
from rgbd_seg_ros.replay.scenario import Fault, Scenario

TWO = LabelSet("two", ("a", "b"), ((0, 0, 0), (255, 255, 255)))
TRUTH = np.array([[0, 0, 1, 1]], np.uint8)
WRONG = np.array([[0, 1, 1, 1]], np.uint8)
S = 1_000_000_000


def played() -> Recording:
    """Colour frames at 0 s to 3 s: right in fusion, then half wrong in rgb, the last one without a label."""
    frames = [SentFrame(Sensor.RGB, i, i * S, i * S, i * S) for i in range(4)]
    outputs = [
        LabelOutput(i * S + 1, i * S, mode, {Sensor.RGB: i * S}, {}, image)
        for i, (mode, image) in enumerate([(Mode.FUSION, TRUTH), (Mode.RGB, WRONG), (Mode.RGB, TRUTH)])
    ]
    return Recording(0, 4 * S, frames, outputs, received={Sensor.RGB: 4, Sensor.DEPTH: 0})


SCENARIO = Scenario("s", 4.0, (Fault("drop", "depth", 1.0, 2.0),))


def test_accuracy_is_kept_apart_by_mode_and_by_stretch() -> None:
    result = measure(join(played()), lambda sensor, index: TRUTH, TWO, TWO, SCENARIO).to_dict()
    assert result["miou"]["fusion"] == 1.0
    assert result["miou"]["rgb"] == pytest.approx((3 / 4 + 4 / 5) / 2, abs=1e-4)
    assert [(p["start_s"], p["faults"], p["miou"]) for p in result["miou_by_interval"]] == [
        (0.0, [], 1.0),
        (1.0, ["depth drop"], pytest.approx(0.775)),
        (3.0, [], None),
    ]
    assert result["iou_by_class"]["a"] == pytest.approx(5 / 6, abs=1e-4)


def test_stretches_cut_the_play_where_faults_begin_and_end() -> None:
    parts = stretches(Scenario("s", 10.0, (Fault("drop", "rgb", 2, 4), Fault("freeze", "depth", 5, 3))))
    assert [(p.start_s, p.end_s, p.name) for p in parts] == [
        (0, 2, "healthy"),
        (2, 5, "rgb drop"),
        (5, 6, "rgb drop, depth freeze"),
        (6, 8, "depth freeze"),
        (8, 10, "healthy"),
    ]


def test_silence_counts_as_error_where_it_is_asked_for() -> None:
    row = policy_row("ours", join(played()), lambda sensor, index: TRUTH, TWO, TWO)
    assert (row["moments"], row["labelled"]) == (4, 3)
    assert row["miou_given"] == pytest.approx((5 / 6 + 6 / 7) / 2, abs=1e-4)
    assert row["miou_always"] < row["miou_given"]


def test_label_images_of_another_size_than_the_truth_are_compared_at_the_size_of_the_truth() -> None:
    """As those of depth alone where the depth image is smaller than the colour image."""
    coarse = np.array([[0, 1]], np.uint8)
    frames = [SentFrame(Sensor.DEPTH, 0, 0, 0, 0)]
    outputs = [LabelOutput(1, 0, Mode.DEPTH, {Sensor.DEPTH: 0}, {}, coarse)]
    joined = join(Recording(0, 4 * S, frames, outputs, received={Sensor.RGB: 0, Sensor.DEPTH: 1}))
    fine = np.repeat(TRUTH, 2, axis=0)
    assert measure(joined, lambda sensor, index: fine, TWO, TWO, SCENARIO).to_dict()["miou"]["depth"] == 1.0
    assert policy_row("ours", joined, lambda sensor, index: fine, TWO, TWO)["miou_given"] == 1.0


def test_nyu40_truth_is_expressed_in_nyu13() -> None:
    table = translation(LABEL_SETS["nyu40"], LABEL_SETS["nyu13"])
    assert LABEL_SETS["nyu13"].classes[table[LABEL_SETS["nyu40"].classes.index("bed")]] == "bed"
    assert table[255] == 255


def test_label_sets_that_have_nothing_in_common_are_refused() -> None:
    with pytest.raises(UserError, match="cannot be compared"):
        translation(LABEL_SETS["potsdam6"], LABEL_SETS["nyu13"])


def test_two_reports_are_put_side_by_side() -> None:
    truth = measure(join(played()), lambda sensor, index: TRUTH, TWO, TWO, SCENARIO)
    before = build_report(played(), join(played()), SCENARIO, truth, {})
    after = build_report(played(), join(played()), SCENARIO, None, {})
    rows = {name: (old, new) for name, old, new in compare_reports(before, after)}
    assert rows["rgb: labels"] == (2, 2)
    assert rows["fusion: mIoU"] == (1.0, None)

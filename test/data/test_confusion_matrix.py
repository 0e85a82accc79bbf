"""The confusion matrix against hand-computed cases, the reference metric and stated rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix

LABELS = st.sampled_from([0, 1, 2, 255])
IMAGES = hnp.arrays(np.uint8, (6, 7), elements=LABELS)


def test_scores_a_case_computed_by_hand() -> None:
    matrix = ConfusionMatrix(3)
    truth = np.array([[0, 0, 0, 1], [1, 1, 255, 255]])
    prediction = np.array([[0, 0, 1, 1], [1, 0, 0, 2]])
    matrix.update(truth, prediction)
    scores = matrix.scores()
    assert scores.iou[:2] == pytest.approx((2 / 4, 2 / 4))
    assert np.isnan(scores.iou[2])
    assert scores.miou == pytest.approx(0.5)
    assert scores.pixel_accuracy == pytest.approx(4 / 6)
    assert scores.mean_accuracy == pytest.approx(2 / 3)
    assert scores.fw_iou == pytest.approx(0.5)
    assert scores.pixels == 6


@pytest.mark.shared
def test_agrees_with_the_reference_metric(shared: Path) -> None:
    reference = np.load(shared / "reference" / "primkd" / "metric.npz")
    truth, prediction = reference["in.gt"], reference["in.pred"]
    matrix = ConfusionMatrix(len(reference["out.iou"]))
    truth = np.where((truth >= 0) & (truth < matrix.classes), truth, 255)
    matrix.update(truth, prediction)
    scores = matrix.scores()
    np.testing.assert_array_equal(matrix.counts[:, :-1], reference["out.hist"])
    np.testing.assert_allclose(scores.iou, reference["out.iou"], atol=1e-12)
    assert scores.miou == pytest.approx(float(reference["out.miou"]))
    assert scores.fw_iou == pytest.approx(float(reference["out.freq_iou"]))
    assert scores.mean_accuracy == pytest.approx(float(reference["out.mean_acc"]))
    assert scores.pixel_accuracy == pytest.approx(float(reference["out.pixel_acc"]))


@given(IMAGES, IMAGES)
def test_counting_in_parts_equals_counting_at_once(truth: np.ndarray, prediction: np.ndarray) -> None:
    whole, first, second = ConfusionMatrix(3), ConfusionMatrix(3), ConfusionMatrix(3)
    whole.update(truth, prediction)
    first.update(truth[:2], prediction[:2])
    second.update(truth[2:], prediction[2:])
    first.merge(second)
    np.testing.assert_array_equal(whole.counts, first.counts)


@given(IMAGES, IMAGES)
def test_ignored_pixels_never_change_the_counts(truth: np.ndarray, prediction: np.ndarray) -> None:
    matrix, other = ConfusionMatrix(3), ConfusionMatrix(3)
    matrix.update(truth, prediction)
    other.update(truth, np.where(truth == 255, 1, prediction))
    np.testing.assert_array_equal(matrix.counts, other.counts)
    assert matrix.counts.sum() == (truth != 255).sum()


@given(IMAGES)
def test_a_perfect_prediction_scores_one(truth: np.ndarray) -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(truth, truth)
    scores = matrix.scores()
    if (truth != 255).any():
        assert scores.miou == scores.pixel_accuracy == scores.fw_iou == scores.mean_accuracy == 1.0
    else:
        assert np.isnan(scores.miou)


def test_leaving_pixels_unlabelled_counts_as_an_error() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([0, 0, 1, 1]), np.array([0, 255, 1, 255]))
    assert matrix.scores().pixel_accuracy == 0.5
    assert matrix.scores().iou == (0.5, 0.5)


def test_refuses_images_of_different_size() -> None:
    with pytest.raises(UserError, match="bring the prediction to the size"):
        ConfusionMatrix(2).update(np.zeros((2, 3), int), np.zeros((3, 2), int))


@pytest.mark.parametrize("value", [-1, 2, 254])
def test_refuses_values_that_are_no_class(value: int) -> None:
    with pytest.raises(UserError, match="check the label set"):
        ConfusionMatrix(2).update(np.array([0]), np.array([value]))
    with pytest.raises(UserError, match="check the label set"):
        ConfusionMatrix(2).update(np.array([value]), np.array([0]))

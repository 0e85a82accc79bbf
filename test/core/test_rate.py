"""What a stream's period is learned from."""

from __future__ import annotations

import pytest

from rgbd_seg_ros.core.rate import RateEstimator

PERIOD = 33_333_333


def learned(stamped: bool) -> RateEstimator:
    """An estimator that knows 30 Hz; then the machine stalls, and half a second arrives in half that time."""
    rate = RateEstimator()
    for i in range(60):
        rate.observe(i * PERIOD, i * PERIOD)
    start = 60 * PERIOD
    for i in range(45):
        rate.observe(start + i * PERIOD // 2, (60 + i) * PERIOD // 2 + 30 * PERIOD if stamped else None)
    return rate


def test_a_burst_without_readable_stamps_is_not_taken_for_a_faster_camera() -> None:
    assert learned(stamped=False).expected_period_ns == pytest.approx(PERIOD, rel=0.01)


def test_a_camera_that_gets_faster_by_its_stamps_is_believed_at_once() -> None:
    assert learned(stamped=True).expected_period_ns == pytest.approx(PERIOD / 2, rel=0.2)

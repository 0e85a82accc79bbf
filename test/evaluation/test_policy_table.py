"""Policies over several rooms: means, paired differences and their intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rgbd_seg_ros.evaluation.policy_table import (
    HEAD,
    OURS,
    draw_policies,
    paired_difference,
    policy_summary,
    summary_rows,
)


def plays(*scores: tuple[float, float]) -> list[dict]:
    def row(policy: str, score: float) -> dict:
        return {"policy": policy, "moments": 10, "labelled": 9, "miou_given": score, "miou_always": score}

    return [{"policies": [row(OURS, ours), row("other", other)]} for ours, other in scores]


def test_the_same_gain_in_every_room_has_an_interval_of_no_width() -> None:
    mean, low, high = paired_difference([0.3, 0.5, 0.7], [0.2, 0.4, 0.6])
    assert (mean, low, high) == pytest.approx((0.1, 0.1, 0.1))


def test_gains_that_cancel_have_an_interval_around_zero() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(12)
    mean, low, high = paired_difference(base + np.tile([0.1, -0.1], 6), base)
    assert mean == pytest.approx(0.0)
    assert low < -0.02 < 0.02 < high


def test_a_summary_pairs_the_rooms_and_counts_the_moments(tmp_path: Path) -> None:
    summary = policy_summary(plays((0.4, 0.1), (0.6, 0.5)))
    ours, other = summary
    assert "ours_minus" not in ours
    assert other["ours_minus"][0] == pytest.approx(0.2)
    assert (ours["labelled"], ours["moments"], ours["miou_always"]) == (18, 20, pytest.approx(0.5))
    lines = summary_rows(summary)
    assert {len(line) for line in lines} == {len(HEAD)}
    assert lines[1][-2:] == ["+0.200", "+0.100 to +0.300"]
    draw_policies(summary, tmp_path / "p.png", "rooms")
    assert (tmp_path / "p.png").stat().st_size > 1000

"""Means of logged figures."""

from __future__ import annotations

import pytest
import torch

from rgbd_seg_training.figures import RunningMeans, stacked


def test_means_are_over_the_steps_that_gave_the_figure() -> None:
    means = RunningMeans()
    means.add({"loss": torch.tensor(1.0), "rate": 0.1})
    means.add({"loss": torch.tensor(2.0), "rate": 0.3, "late": 5.0})
    means.add({"seldom": 7})
    assert means.means() == pytest.approx({"loss": 1.5, "rate": 0.2, "late": 5.0, "seldom": 7.0})


def test_nothing_is_left_after_clearing_and_no_figures_are_no_entry() -> None:
    means = RunningMeans()
    means.add({"loss": 1.0})
    means.clear()
    means.add({})
    assert means.means() == {}


def test_a_figure_with_a_graph_behind_it_does_not_keep_the_graph() -> None:
    parameter = torch.ones((), requires_grad=True)
    assert not stacked({"loss": parameter * 2, "rate": 1.0}).requires_grad


def test_a_value_that_changes_in_place_afterwards_does_not_change_the_mean() -> None:
    means, value = RunningMeans(), torch.tensor(1.0, dtype=torch.float64)
    means.add({"loss": value})
    value.fill_(9.0)
    assert means.means() == {"loss": 1.0}

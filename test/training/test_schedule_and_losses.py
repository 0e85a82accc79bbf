"""Learning-rate curve, parameter groups, segmentation loss, run settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from toy_training import ToyMethod

from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.losses import segmentation_loss, sparse_labels
from rgbd_seg_training.method import freeze
from rgbd_seg_training.optim import OptimizerConfig, parameter_groups, rate_factor
from rgbd_seg_training.run_folder import RunFolder


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 0.5), st.sampled_from(["poly", "cosine", "constant"]))
def test_the_rate_rises_in_the_warm_up_and_never_after_it(warmup: float, schedule: str) -> None:
    config = OptimizerConfig(warmup=warmup, schedule=schedule)  # type: ignore[arg-type]
    rates = [rate_factor(i / 1000, config) for i in range(1001)]
    first = next(i for i in range(1001) if i / 1000 >= warmup)
    assert rates[:first] == sorted(rates[:first])
    assert rates[first:] == sorted(rates[first:], reverse=True)
    assert rates[0] == 0
    assert all(0 <= r <= 1 for r in rates)
    assert schedule == "constant" or rates[-1] == pytest.approx(0, abs=1e-9)


def test_norms_biases_and_frozen_parameters_are_not_decayed() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2), freeze(nn.Linear(2, 2)))
    decayed, plain = parameter_groups(module, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert plain["weight_decay"] == 0.0
    assert {id(p) for p in decayed["params"]} == {id(module[0].weight), id(module[2].weight)}  # type: ignore[attr-defined]
    assert len(plain["params"]) == 4  # type: ignore[arg-type]


def test_frozen_parts_stay_in_eval_mode_while_their_method_trains() -> None:
    method = ToyMethod()
    method.teacher = freeze(nn.Sequential(nn.BatchNorm2d(3)))
    method.train()
    assert method.model.training
    assert not any(m.training for m in method.teacher.modules())


def test_the_loss_is_the_mean_over_labelled_pixels_of_enlarged_scores() -> None:
    scores, label = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 8, 10))
    label[0, :3] = 255
    large = functional.interpolate(scores, size=(8, 10), mode="bilinear", align_corners=False)
    expected = functional.cross_entropy(large, label, ignore_index=255)
    assert float(segmentation_loss(scores, label)) == pytest.approx(float(expected), rel=1e-5)
    weight = torch.tensor([1.0, 2.0, 0.5])
    expected = functional.cross_entropy(large, label, ignore_index=255, weight=weight)
    assert float(segmentation_loss(scores, label, weight)) == pytest.approx(float(expected), rel=1e-5)


def test_an_image_without_labels_costs_nothing_and_gives_a_gradient_of_zero() -> None:
    scores = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(scores, torch.full((1, 4, 4), 255))
    loss.backward()
    assert float(loss.detach()) == 0
    assert scores.grad is not None
    assert scores.grad.abs().sum() == 0


def test_sparse_labels_reach_every_pixel_in_time_and_leave_images_alone() -> None:
    label = torch.arange(16).view(1, 4, 4)
    seen: set[int] = set()
    for _ in range(100):
        batch = sparse_labels({"rgb": label, "label": label, "label_depth": label}, 2)
        assert batch["rgb"] is label
        assert torch.equal(batch["label"], batch["label_depth"])
        seen |= set(batch["label"].flatten().tolist())
    assert seen == set(range(16))


@pytest.mark.parametrize("changes", [{"epochs": 0}, {"ema": 1.0}, {"batch_size": 0}, {"label_stride": 0}])
def test_settings_out_of_range_are_refused_by_name(changes: dict) -> None:
    with pytest.raises(UserError, match=next(iter(changes))):
        TrainConfig(**changes)


def test_machine_settings_may_change_between_the_parts_of_a_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.open({"train": {"threads": 1, "lr": 0.1}}, resume=False)
    run.open({"train": {"threads": 8, "lr": 0.1}}, resume=True)
    with pytest.raises(UserError, match=r"train\.lr"):
        run.open({"train": {"threads": 8, "lr": 0.2}}, resume=True)

"""Learning-rate curve, parameter groups, segmentation loss, run settings."""

from __future__ import annotations

import pickle
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
from rgbd_seg_training.crodino import CrodinoConfig
from rgbd_seg_training.data.photometry import DepthJitter
from rgbd_seg_training.devices import process_count
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


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"ema": 1.0},
        {"batch_size": 0},
        {"label_stride": 0},
        {"devices": 0},
        {"devices": -1},
        {"devices": "all"},
        {"devices": "0,1"},
    ],
)
def test_settings_out_of_range_are_refused_by_name(changes: dict) -> None:
    with pytest.raises(UserError, match=next(iter(changes))):
        TrainConfig(**changes)


def test_machine_settings_may_change_between_the_parts_of_a_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.open({"train": {"threads": 1, "lr": 0.1}}, resume=False)
    run.open({"train": {"threads": 8, "lr": 0.1}}, resume=True)
    with pytest.raises(UserError, match=r"train\.lr"):
        run.open({"train": {"threads": 8, "lr": 0.2}}, resume=True)


def test_a_run_has_one_process_unless_told_otherwise() -> None:
    assert process_count(TrainConfig().devices, TrainConfig().accelerator) == 1


@pytest.mark.parametrize(
    ("devices", "accelerator", "count"),
    [(3, "cpu", 3), ("2", "gpu", 2), ("auto", "auto", 4), ("auto", "gpu", 4), ("auto", "cuda", 4), ("auto", "cpu", 1)],
)
def test_devices_are_counted_before_anything_depends_on_them(
    devices: int | str, accelerator: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert process_count(devices, accelerator) == count
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert process_count(devices, accelerator) == (1 if devices == "auto" else count)


def test_a_run_resumes_with_the_same_number_of_processes_however_it_is_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for devices in (1, "1", "auto"):
        run.open({"train": {"devices": devices, "accelerator": "cpu"}}, resume=True)
    with pytest.raises(UserError, match=r"train\.devices=1"):
        run.open({"train": {"devices": 2, "accelerator": "cpu"}}, resume=True)


@pytest.mark.parametrize(
    ("before", "now", "name"),
    [
        ({"data": {"depth": {}}}, {"data": {"depth": {"noise": 0.0}}}, r"data\.depth\.noise"),
        ({"data": {"color": {}}}, {"data": {"color": None}}, r"data\.color"),
        ({"data": {"color": None}}, {"data": {"color": {"hue": 0.1}}}, r"data\.color"),
        ({"data": {"depth": {"noise": 0.0}}}, {"data": {"depth": {}}}, r"data\.depth\.noise"),
        ({"train": {}}, {"train": {"ema": 0.9}}, r"train\.ema"),
        ({"model": {"options": {}}}, {"model": {"options": {"width": 3}}}, r"model\.options\.width"),
        ({"method": {}}, {"method": {"crodino": {"queue": 7}}}, r"method\.crodino\.queue"),
    ],
)
def test_an_option_that_only_one_part_of_a_run_names_is_refused_unless_at_its_default(
    tmp_path: Path, before: dict, now: dict, name: str
) -> None:
    run = RunFolder(tmp_path)
    run.open(before, resume=False)
    with pytest.raises(UserError, match=name):
        run.open(now, resume=True)


def test_an_option_that_is_new_to_a_run_may_stand_at_its_default(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.open({"train": {"epochs": 3}, "data": {"depth": {}}}, resume=False)
    train = {"epochs": 3, "compile": "", "sync_batchnorm": True, "optimizer": {"power": 0.9, "betas": (0.9, 0.999)}}
    data = {"depth": {"noise": DepthJitter().noise}, "color": {}}
    run.open({"train": train, "data": data, "method": {"crodino": {"queue": 0}}}, resume=True)


@pytest.mark.parametrize("tree", [{"crodino": {"queue": 0}}, {"method": {"crodino": {"queue": 0}}}])
def test_a_run_from_before_an_option_goes_on_as_it_did_then_and_not_by_a_later_default(tmp_path: Path, tree) -> None:
    def named(norm: str) -> dict:
        part = {"crodino": {"queue": 0, "disc_norm": norm}}
        return {"method": part} if "method" in tree else part

    assert CrodinoConfig().disc_norm == "layer"
    run = RunFolder(tmp_path)
    run.open(tree, resume=False)
    run.open(named("none"), resume=True)
    with pytest.raises(UserError, match=r"crodino\.disc_norm"):
        run.open(named("layer"), resume=True)


def test_settings_that_older_code_pickled_train_with_the_defaults_of_newer_options() -> None:
    old = object.__new__(TrainConfig)
    old.__dict__.update({k: v for k, v in vars(TrainConfig()).items() if k not in ("sync_batchnorm", "compile")})
    assert pickle.loads(pickle.dumps(old)).sync_batchnorm is True

"""Rare and small classes can count for more."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from toy_training import ToyMethod, toy_config, toy_data

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, build_model
from rgbd_seg_training.baselines import DistillConfig, DistillMethod
from rgbd_seg_training.class_balance import balance_weights
from rgbd_seg_training.crodino import CrodinoConfig, CrodinoMethod
from rgbd_seg_training.engine import Engine
from rgbd_seg_training.losses import Region, region_loss, segmentation_loss
from rgbd_seg_training.method import Batch, Method
from rgbd_seg_training.primkd import PrimKdConfig, PrimKdMethod
from rgbd_seg_training.single import SingleMethod


def network(*inputs: str) -> torch.nn.Module:
    architecture = "cmx" if len(inputs) > 1 else "lightfpn"
    options = {"encoder": {"channels": [8, 8, 8, 8]}, "decoder_options": {"width": 8}}
    options |= {"decoder": "lightfpn"} if len(inputs) > 1 else {}
    return build_model(ModelSpec(architecture, "resnet10t", 3, inputs=inputs, options=options))


def test_rare_classes_weigh_more_by_the_published_formulas() -> None:
    enet = balance_weights([90, 10, 0], "enet")
    median = balance_weights([80, 15, 5], "median")
    assert enet is not None
    assert median is not None
    assert float(enet[1] / enet[0]) == pytest.approx(math.log(1.92) / math.log(1.12))
    assert enet[2] == 0
    assert (median / median[1]).tolist() == pytest.approx([15 / 80, 1, 3])


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=40).filter(any), st.sampled_from(["enet", "median"]))
def test_weights_fall_with_frequency_and_have_mean_one(pixels: list[int], rule: str) -> None:
    weights = balance_weights(pixels, rule)  # type: ignore[arg-type]
    assert weights is not None
    seen = torch.tensor(pixels) > 0
    assert float(weights[seen].mean()) == pytest.approx(1, rel=1e-4)
    order = torch.tensor(pixels)[seen].argsort()
    assert (weights[seen][order].diff() <= 1e-5).all()


def test_pixels_that_nobody_counted_are_named_with_the_remedy() -> None:
    with pytest.raises(UserError, match=r"manifest\.json does not hold"):
        balance_weights([], "enet")
    assert balance_weights([], "none") is None


def test_the_engine_hands_weights_to_the_method_and_not_to_its_state() -> None:
    data = replace(toy_data(), class_pixels=(10, 20, 70))
    method = ToyMethod()
    engine = Engine(method, data, toy_config(class_balance="median"))
    assert method.class_weights is not None
    assert (method.class_weights / method.class_weights[1]).tolist() == pytest.approx([2, 1, 2 / 7])
    assert not any("class_weights" in name for name in engine.state_dict())


def crodino() -> Method:
    return CrodinoMethod(network("rgb"), network("depth"), CrodinoConfig(w_con=0, w_disc=0, w_orth=0))  # type: ignore[arg-type]


def primkd() -> Method:
    return PrimKdMethod(network("rgb", "depth"), network("rgb"), PrimKdConfig(alpha=0, beta=0))  # type: ignore[arg-type]


def distillation() -> Method:
    return DistillMethod(network("rgb"), network("rgb", "depth"), DistillConfig("kd", w_logit=0))  # type: ignore[arg-type]


@pytest.mark.parametrize("build", [lambda: SingleMethod(network("rgb")), primkd, distillation, crodino])  # type: ignore[arg-type]
def test_every_method_leaves_out_a_class_of_weight_zero(build: Callable[[], Method]) -> None:
    torch.manual_seed(0)
    method = build().eval()  # without dropout

    def losses(batch: Batch) -> list[float]:
        torch.manual_seed(1)  # for the offset of sparse labels
        return [float(t.value.detach()) for t in method.training_losses(batch)]

    batch = {
        "rgb": torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8),
        "depth": torch.rand(2, 32, 32) * 4,
        "label": torch.randint(0, 3, (2, 32, 32)),
    }
    without = {**batch, "label": batch["label"].masked_fill(batch["label"] == 2, 255)}
    expected = losses(without)
    method.class_weights = torch.tensor([1.0, 1.0, 0.0])
    assert losses(batch) == pytest.approx(expected, rel=1e-4)
    method.class_weights = None
    assert losses(batch) != pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["lovasz", "dice"])
def test_a_small_class_that_is_missed_costs_as_much_as_a_large_one(kind: Region) -> None:
    label = torch.zeros(1, 16, 16, dtype=torch.int64)
    label[0, 0, 0], label[0, 8:] = 1, 2
    right = 50.0 * functional.one_hot(label, 3).permute(0, 3, 1, 2).float()
    rates = []
    for missed in (1, 2):
        wrong = right.clone()
        wrong[:, missed], wrong[:, 0] = 0, torch.where(label == missed, 50.0, wrong[:, 0])
        rates.append(float(segmentation_loss(wrong, label, region=region_loss(kind))))
        rates[-1] -= float(segmentation_loss(wrong, label))
    small, large = rates
    assert 0.3 < small < 0.4  # one of three classes, and a pixel of the first
    assert large > small
    assert float(segmentation_loss(right, label, region=region_loss(kind))) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", ["lovasz", "dice"])
def test_a_batch_without_labels_costs_nothing_with_a_region_loss_either(kind: Region) -> None:
    scores = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(scores, torch.full((2, 4, 4), 255), region=region_loss(kind))
    loss.backward()
    assert float(loss.detach()) == 0
    assert scores.grad is not None
    assert not scores.grad.any()


@pytest.mark.parametrize("kind", ["lovasz", "dice"])
def test_ignored_pixels_do_not_change_a_region_loss(kind: Region) -> None:
    scores, label = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    label[:, :3] = 255
    other = scores.clone()
    other[:, :, :3] = torch.randn(2, 3, 3, 8)
    first, second = (segmentation_loss(s, label, region=region_loss(kind)) for s in (scores, other))
    torch.testing.assert_close(first, second)

"""PrimKD's losses: reference vectors, gradients, selection rules, what counts and what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rgbd_seg_training.losses import segmentation_loss
from rgbd_seg_training.primkd.aligners import Aligner
from rgbd_seg_training.primkd.losses import (
    prediction_loss,
    reconstruction_errors,
    select_error,
)

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Tensor]:
    with np.load(shared / "reference" / "primkd" / "losses.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}


def stages(reference: dict[str, Tensor], letter: str) -> list[Tensor]:
    return [reference[f"in.{letter}{stage}"].clone() for stage in range(1, 5)]


@pytest.mark.shared
def test_terms_agree_with_the_reference(reference: dict[str, Tensor]) -> None:
    student, teacher, label = reference["in.logits_s"], reference["in.logits_t"], reference["out.gt"].long()
    torch.testing.assert_close(segmentation_loss(student, label), reference["out.ce"], **CLOSE)
    torch.testing.assert_close(prediction_loss(student, teacher), reference["out.kl_teacher_student"], **CLOSE)
    errors = reconstruction_errors(stages(reference, "r"), stages(reference, "t"))
    torch.testing.assert_close(errors, reference["out.mse_per_sample"], **CLOSE)
    for rule, key, beta in (
        ("max_batch", "feat_max_beta0.1", 0.1),
        ("max", "feat_per_sample_max_beta1", 1.0),
        ("average", "feat_average_beta1", 1.0),
    ):
        torch.testing.assert_close(beta * select_error(errors, rule), reference[f"out.{key}"], **CLOSE)


@pytest.mark.shared
def test_total_and_its_gradients_agree_with_the_reference(reference: dict[str, Tensor]) -> None:
    logits = reference["in.logits_s"].clone().requires_grad_()
    rebuilt = [r.requires_grad_() for r in stages(reference, "r")]
    errors = reconstruction_errors(rebuilt, stages(reference, "t"))
    total = (
        segmentation_loss(logits, reference["out.gt"].long())
        + prediction_loss(logits, reference["in.logits_t"])
        + 0.1 * select_error(errors, "max_batch")
    )
    torch.testing.assert_close(total, reference["out.total"], **CLOSE)
    total.backward()
    torch.testing.assert_close(logits.grad, reference["out.dtotal_dlogits"], rtol=1e-5, atol=1e-7)
    for stage, r in enumerate(rebuilt, start=1):
        torch.testing.assert_close(r.grad, reference[f"out.dtotal_dr{stage}"], rtol=1e-5, atol=1e-7)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "kind"), [("mlp_decoder_hint", "single"), ("mlp_decoder_mask_hint", "multi")])
def test_aligners_agree_with_the_reference(shared: Path, name: str, kind: str) -> None:
    with np.load(shared / "reference" / "primkd" / f"{name}.npz", allow_pickle=False) as file:
        data = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}
    for stage, width in enumerate((8, 16, 24, 32), start=1):
        names = {"align_loss": "align", "conv_loss": "reconstruct"}
        state = {
            key.replace(f"sd.{old}{stage}", new): value
            for key, value in data.items()
            for old, new in names.items()
            if key.startswith(f"sd.{old}{stage}")
        }
        aligner = Aligner(width, width, kind)  # type: ignore[arg-type]
        aligner.load_state_dict(state, strict=True)
        rebuilt = aligner(data[f"in.c{stage}"], data.get(f"in.mask{stage}"))
        torch.testing.assert_close(rebuilt, data[f"out.rec{stage}"], **CLOSE)


error_tables = st.lists(st.lists(st.floats(0.0, 10.0, width=32), min_size=4, max_size=4), min_size=1, max_size=6).map(
    torch.tensor
)


@settings(max_examples=50, deadline=None)
@given(error_tables)
def test_selection_rules_are_ordered(errors: Tensor) -> None:
    slack = 1e-5
    average = select_error(errors, "average")
    assert select_error(errors, "min") <= average + slack
    assert average <= select_error(errors, "max_batch") + slack
    assert select_error(errors, "max_batch") <= select_error(errors, "max") + slack
    fixed = torch.stack([select_error(errors, f"stage{s}") for s in range(1, 5)])  # type: ignore[arg-type]
    torch.testing.assert_close(fixed.mean(), average)


def test_largest_error_is_picked_for_each_sample_on_its_own() -> None:
    errors = torch.tensor([[4.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]], requires_grad=True)
    select_error(errors, "max").backward()
    assert errors.grad is not None
    assert errors.grad.tolist() == [[0.5, 0, 0, 0], [0, 0, 0, 0.5]]


def test_prediction_loss_ignores_unlabelled_pixels_unless_asked() -> None:
    torch.manual_seed(0)
    teacher, student = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    label = torch.tensor([[[0, 255], [255, 255]]])
    only = prediction_loss(student[:, :, :1, :1], teacher[:, :, :1, :1])
    torch.testing.assert_close(prediction_loss(student, teacher, label), only)
    assert not torch.isclose(prediction_loss(student, teacher), only)


def test_batch_without_labels_has_loss_zero() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    label = torch.full((1, 2, 2), 255)
    loss = segmentation_loss(logits, label) + prediction_loss(logits, torch.randn(1, 3, 2, 2), label)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0.0


def test_identical_predictions_have_no_divergence() -> None:
    logits = torch.randn(2, 5, 3, 3)
    assert prediction_loss(logits, logits).abs() < 1e-6

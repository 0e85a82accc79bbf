"""PrimKD's methods: what is trained, what is frozen, what is saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, build_model, save_model
from rgbd_seg_training.optim import parameter_groups
from rgbd_seg_training.primkd import PrimKdConfig, PrimKdMethod

STUDENT = ModelSpec("cmx", "mit_tiny", 5, options={"decoder": "lightfpn"})
TEACHER = ModelSpec("lightfpn", "mobilenetv3_small_050", 5, ("rgb",))


def batch(size: int = 32) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return {
        "rgb": torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8),
        "depth": torch.rand(2, size, size) * 5,
        "label": torch.randint(0, 5, (2, size, size)),
    }


def method(**options: object) -> PrimKdMethod:
    torch.manual_seed(1)
    return PrimKdMethod(build_model(STUDENT), build_model(TEACHER), PrimKdConfig(**options)).train()  # type: ignore[arg-type]


def test_total_is_labels_plus_alpha_predictions_plus_beta_features() -> None:
    terms = method(alpha=0.5, beta=0.2).training_losses(batch())
    assert [(t.name, t.weight) for t in terms] == [("segmentation", 1.0), ("prediction", 0.5), ("feature", 0.2)]
    assert all(t.value.requires_grad and t.value > 0 for t in terms)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"alpha": 0.0}, ["segmentation", "feature"]),
        ({"beta": 0.0}, ["segmentation", "prediction"]),
        ({"alpha": 0.0, "beta": 0.0}, ["segmentation"]),
    ],
)
def test_a_term_of_weight_zero_is_not_computed(options: dict[str, float], names: list[str]) -> None:
    assert [t.name for t in method(**options).training_losses(batch())] == names


def test_teacher_stays_frozen_and_in_eval_mode() -> None:
    kd = method()
    before = {k: v.clone() for k, v in kd.teacher.state_dict().items()}
    sum(t.weighted for t in kd.training_losses(batch())).backward()  # type: ignore[union-attr]
    assert all(p.grad is None for p in kd.teacher.parameters())
    assert all(torch.equal(v, before[k]) for k, v in kd.teacher.state_dict().items())
    trained = {id(p) for group in parameter_groups(kd, 0.01) for p in group["params"]}  # type: ignore[attr-defined]
    assert trained.isdisjoint(id(p) for p in kd.teacher.parameters())
    assert {id(p) for p in kd.student.parameters()} <= trained


def test_feature_term_reaches_only_the_chosen_stage_and_what_feeds_it() -> None:
    kd = method(alpha=0.0, beta=1.0, selection="stage2")
    terms = {t.name: t for t in kd.training_losses(batch())}
    terms["feature"].value.backward()
    assert kd.aligners is not None
    reached = [any(p.grad is not None and p.grad.abs().sum() > 0 for p in a.parameters()) for a in kd.aligners]
    assert reached == [False, True, False, False]
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in kd.student.decoder.parameters())


def test_aligners_never_reach_a_saved_student(tmp_path: Path) -> None:
    kd = method()
    assert kd.aligners is not None
    (mode, student), *rest = kd.deployable().items()
    assert mode == "fusion"
    assert not rest
    save_model(student, tmp_path)
    saved = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert saved.keys() == build_model(STUDENT).state_dict().keys()
    own = {p.data_ptr() for p in kd.aligners.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in student.parameters())
    assert json.loads((tmp_path / "model.json").read_text())["spec"] == STUDENT.to_dict()


def test_teacher_may_see_depth_instead_of_colour() -> None:
    teacher = build_model(ModelSpec("lightfpn", "mobilenetv3_small_050", 5, ("depth",)))
    terms = PrimKdMethod(build_model(STUDENT), teacher, PrimKdConfig()).train().training_losses(batch())
    assert [t.name for t in terms] == ["segmentation", "prediction", "feature"]


def test_masked_reconstruction_is_random_in_training_only() -> None:
    kd = method(alpha=0.0, mask_ratio=0.5)
    assert kd.aligners is not None
    feature = torch.randn(1, kd.student.feature_channels[0], 8, 8)
    assert not torch.equal(kd.aligners[0](feature), kd.aligners[0](feature))
    kd.eval()
    assert torch.equal(kd.aligners[0](feature), kd.aligners[0](feature))


def test_teacher_of_another_label_set_is_refused() -> None:
    other = build_model(ModelSpec("lightfpn", "mobilenetv3_small_050", 7, ("rgb",)))
    with pytest.raises(UserError, match="7 classes"):
        PrimKdMethod(build_model(STUDENT), other, PrimKdConfig())


def test_losses_follow_the_size_of_the_labels() -> None:
    kd = method().eval()
    images = batch()
    coarse = {**images, "label": images["label"][:, 1::2, 1::2]}
    for fine, sparse in zip(kd.training_losses(images), kd.training_losses(coarse), strict=True):
        torch.testing.assert_close(fine.value, sparse.value, rtol=0.3, atol=0.0)


@pytest.mark.parametrize("options", [{"alpha": -1.0}, {"mask_ratio": 1.0}, {"mask_ratio": 0.5, "aligner": "single"}])
def test_senseless_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match="guidance"):
        PrimKdConfig(**options)  # type: ignore[arg-type]

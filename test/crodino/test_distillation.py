"""The teacher/student baselines."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from crodino_parts import CLASSES, coupled_batch, small_model
from torch.nn import functional

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, SegmentationModel, build_model, save_model
from rgbd_seg_training.approaches import MethodConfig, build_method
from rgbd_seg_training.baselines import DistillConfig, DistillMethod
from rgbd_seg_training.baselines.guidance import FeatureGuidance, LogitGuidance, PrototypeGuidance, Seen
from rgbd_seg_training.crodino import CrodinoConfig
from rgbd_seg_training.settings import ModelConfig

OPTIONS = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}
TERMS = {"kd": {"logit"}, "kdnet": {"logit", "feature"}, "masked": {"masked"}, "protokd": {"logit", "prototype"}}


def small_teacher() -> SegmentationModel:
    options = {"encoder": {"channels": [8, 16, 24, 40]}, "decoder": "lightfpn", "decoder_options": {"width": 16}}
    return build_model(ModelSpec("cmx", "resnet10t", CLASSES, options=options))


@pytest.mark.parametrize("approach", TERMS)
@pytest.mark.parametrize("modality", ["rgb", "depth"])
def test_the_student_learns_every_term_and_the_teacher_stays_as_it_is(approach: str, modality: str) -> None:
    method = DistillMethod(small_model(modality), small_teacher(), DistillConfig(approach=approach))  # type: ignore[arg-type]
    method.train()
    before = {k: v.clone() for k, v in method.teacher.state_dict().items()}
    terms = method.training_losses(coupled_batch())
    assert {t.name for t in terms} == {"segmentation"} | TERMS[approach]
    for term in terms:
        (gradient,) = torch.autograd.grad(
            term.value, method.share_points()[f"h_{modality}"], retain_graph=True, allow_unused=True
        )
        assert gradient is not None and gradient.abs().sum() > 0, term.name
    assert all(torch.equal(v, before[k]) for k, v in method.teacher.state_dict().items())
    assert not any(p.requires_grad for p in method.teacher.parameters())
    assert list(method.deployable()) == [modality]


@pytest.mark.parametrize("approach", TERMS)
def test_a_weight_of_zero_turns_a_term_off(approach: str) -> None:
    config = DistillConfig(approach=approach, w_logit=0, w_feature=0, w_masked=0, w_prototype=0)  # type: ignore[arg-type]
    method = DistillMethod(small_model("rgb"), small_teacher(), config)
    assert [t.name for t in method.training_losses(coupled_batch())] == ["segmentation"]


def test_logit_guidance_is_the_softened_divergence_and_zero_for_equal_scores() -> None:
    student, teacher = (Seen(torch.zeros(1), torch.randn(2, 4, 3, 3)) for _ in range(2))
    p = functional.softmax(teacher.scores / 2, 1)
    q = functional.softmax(student.scores / 2, 1)
    expected = 4 * (p * (p / q).log()).sum(1).mean()
    assert float(LogitGuidance(2.0)(student, teacher, torch.zeros(1))) == pytest.approx(float(expected), rel=1e-4)
    assert float(LogitGuidance(2.0)(teacher, teacher, torch.zeros(1))) == pytest.approx(0, abs=1e-6)


def test_masked_guidance_draws_another_mask_each_time_and_plain_guidance_draws_none() -> None:
    seen = Seen(torch.rand(2, 8, 6, 6), torch.zeros(1))
    plain, masked = FeatureGuidance(8, 8), FeatureGuidance(8, 8, mask_ratio=0.5)
    label = torch.zeros(1)
    assert float(plain(seen, seen, label)) == float(plain(seen, seen, label))
    assert float(masked(seen, seen, label)) != float(masked(seen, seen, label))


def test_equal_features_have_equal_similarity_maps() -> None:
    label = torch.randint(0, 3, (2, 24, 24))
    student = Seen(torch.rand(2, 8, 6, 6), torch.zeros(1))
    scaled = Seen(3 * student.deepest, student.scores)
    assert float(PrototypeGuidance(3)(student, scaled, label)) == pytest.approx(0, abs=1e-6)
    other = Seen(torch.rand(2, 8, 6, 6), torch.zeros(1))
    assert float(PrototypeGuidance(3)(student, other, label)) > 1e-4


def test_similarity_maps_without_any_label_cost_nothing() -> None:
    seen = Seen(torch.rand(2, 8, 6, 6), torch.zeros(1))
    assert float(PrototypeGuidance(3)(seen, seen, torch.full((2, 24, 24), 255))) == 0


def test_every_approach_is_built_by_name(tmp_path: Path) -> None:
    save_model(small_teacher(), tmp_path)
    model = ModelConfig("lightfpn", "resnet10t", options=OPTIONS)
    fusion = ModelConfig("cmx", "resnet10t", options=OPTIONS | {"decoder": "lightfpn"})
    for approach in ("crodino", "single", *TERMS):
        config = MethodConfig(approach=approach, modality="depth", teacher=str(tmp_path))  # type: ignore[arg-type]
        modes = list(build_method(config, model, fusion, CLASSES).deployable())
        assert modes == (["rgb", "depth"] if approach == "crodino" else ["depth"])
    teacher = build_method(MethodConfig("single", "fusion"), model, fusion, CLASSES)
    assert list(teacher.deployable()) == ["fusion"]


def test_a_missing_teacher_is_told_with_the_remedy() -> None:
    with pytest.raises(UserError, match=r"--method\.teacher"):
        build_method(MethodConfig("kd"), ModelConfig("lightfpn", "resnet10t"), ModelConfig("cmx"), CLASSES)


def test_each_model_starts_from_the_same_weights_in_joint_and_in_single_training() -> None:
    model, fusion = ModelConfig("lightfpn", "resnet10t", options=OPTIONS), ModelConfig("cmx")

    def start(config: MethodConfig) -> tuple[dict[str, dict[str, torch.Tensor]], torch.Tensor]:
        torch.manual_seed(3)
        models = build_method(config, model, fusion, CLASSES).deployable()
        return {name: network.state_dict() for name, network in models.items()}, torch.rand(1)

    off = CrodinoConfig(w_aux=0, w_con=0, w_disc=0, w_orth=0)  # nothing else draws random numbers
    joint, drawn = start(MethodConfig("crodino", crodino=off))
    for modality in ("rgb", "depth"):
        alone, _ = start(MethodConfig("single", modality))  # type: ignore[arg-type]
        for name, value in alone[modality].items():
            assert torch.equal(joint[modality][name], value), name
    assert torch.equal(drawn, start(MethodConfig("single", "rgb"))[1])

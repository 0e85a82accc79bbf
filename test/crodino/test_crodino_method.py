"""What the joint training promises."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from crodino_parts import CLASSES, coupled_batch, decoupled_batch, small_method, small_model
from torch.utils.flop_counter import FlopCounterMode

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, build_model, load_model, save_model
from rgbd_seg_training.crodino import CrodinoConfig, CrodinoMethod
from rgbd_seg_training.method import check_depth_images, gradient_shares

ALL = {"w_aux": 1.0, "w_con": 0.05, "w_disc": 0.1, "w_orth": 0.1, "w_mutual": 0.5}
OFF = dict.fromkeys(ALL, 0.0)


@pytest.mark.parametrize("contrast", ["pooled", "prototype", "pixel"])
@pytest.mark.parametrize("batch", [coupled_batch(), decoupled_batch()], ids=["coupled", "decoupled"])
def test_gradients_of_the_contrast_reach_the_invariant_half_and_never_the_specific_half(
    contrast: str, batch: dict
) -> None:
    method = small_method(**OFF | {"w_con": 1.0}, contrast=contrast)
    terms = {t.name: t.value for t in method.training_losses(batch)}
    for deepest in method.share_points().values():
        (gradient,) = torch.autograd.grad(terms["contrast"], deepest, retain_graph=True)
        half = deepest.shape[1] // 2
        assert gradient[:, :half].abs().sum() > 0
        assert gradient[:, half:].abs().sum() == 0


def test_gradients_of_the_modality_classifier_reach_the_specific_half_alone() -> None:
    method = small_method(**OFF | {"w_disc": 1.0})
    terms = {t.name: t.value for t in method.training_losses(coupled_batch())}
    for deepest in method.share_points().values():
        (gradient,) = torch.autograd.grad(terms["discrimination"], deepest, retain_graph=True)
        half = deepest.shape[1] // 2
        assert gradient[:, :half].abs().sum() == 0
        assert gradient[:, half:].abs().sum() > 0


def test_large_features_mislead_the_modality_classifier_unless_they_are_normalised() -> None:
    def discrimination(norm: str, factor: float) -> tuple[float, float]:
        """The loss of an untrained classifier and its gradient on the deepest features, these times `factor`."""
        torch.manual_seed(0)
        method = small_method(**OFF | {"w_disc": 1.0}, disc_norm=norm)
        method.training_losses(coupled_batch())
        large = {n: (factor * v.specific).detach().requires_grad_() for n, v in method._views.items()}
        method._views = {n: v._replace(specific=large[n]) for n, v in method._views.items()}
        loss = method._discrimination()
        loss.backward()
        return float(loss.detach()), sum(float(x.grad.norm()) for x in large.values())  # type: ignore[union-attr]

    (plain, _), (wrong, pull) = discrimination("none", 1.0), discrimination("none", 1000.0)
    assert wrong > 3 * plain
    (small, _), (same, weaker) = discrimination("layer", 10.0), discrimination("layer", 1000.0)
    assert same == pytest.approx(small, rel=0.02)
    assert weaker < 0.1 * pull


def test_the_inference_graph_has_the_parameters_and_operations_of_the_single_modality_baseline() -> None:
    batch = coupled_batch(1)
    for name, trained in small_method(**ALL).deployable().items():
        alone = small_model(name)
        assert {k: v.shape for k, v in trained.state_dict().items()} == {
            k: v.shape for k, v in alone.state_dict().items()
        }
        counts = []
        for model in (trained.eval(), alone.eval()):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                model(**{name: batch[name]})
            counts.append(counter.get_total_flops())
        assert counts[0] == counts[1] > 0


def test_each_trained_model_loads_alone_and_labels_as_before(tmp_path: Path) -> None:
    batch = coupled_batch()
    for name, model in small_method(**ALL).deployable().items():
        model.eval()
        save_model(model, tmp_path / name)
        with torch.no_grad():
            assert torch.equal(load_model(tmp_path / name)(**{name: batch[name]}), model(**{name: batch[name]}))


@pytest.mark.parametrize("term", ["w_aux", "w_con", "w_disc", "w_orth", "w_mutual"])
def test_a_term_of_weight_zero_is_neither_listed_nor_has_it_any_parameters(term: str) -> None:
    listed = {t.name for t in small_method(**ALL).training_losses(decoupled_batch())}
    method = small_method(**ALL | {term: 0.0})
    left = {t.name for t in method.training_losses(decoupled_batch())}
    assert len(listed - left) == 1
    everything_off = small_method(**OFF)
    both = sum(p.numel() for m in everything_off.models.values() for p in m.parameters())
    assert sum(p.numel() for p in everything_off.parameters()) == both


def test_every_trainable_parameter_gets_a_gradient_when_all_terms_are_on() -> None:
    method = small_method(**ALL)
    torch.stack([t.weighted for t in method.training_losses(decoupled_batch())]).sum().backward()
    assert [n for n, p in method.named_parameters() if p.grad is None] == []


def test_the_contrast_is_absent_before_its_ramp_and_full_after_it() -> None:
    method = small_method(w_con=0.05, contrast_ramp=(0.2, 0.6))
    weights = []
    for progress in (0.1, 0.4, 0.6, 1.0):
        method.set_progress(progress)
        weights.append({t.name: t.weight for t in method.training_losses(coupled_batch())}.get("contrast", 0.0))
    assert weights == pytest.approx([0.0, 0.025, 0.05, 0.05])


def test_one_auxiliary_decoder_serves_all_four_parts_unless_the_control_asks_for_four() -> None:
    def auxiliary(shared: bool) -> int:
        return sum(p.numel() for p in small_method(aux_shared=shared).auxiliary.parameters())

    assert auxiliary(False) == 4 * auxiliary(True)


def test_shuffled_pairs_contrast_every_image_with_the_partner_of_any_image() -> None:
    batch = coupled_batch()
    paired = float(small_method(**OFF | {"w_con": 1.0}).eval().training_losses(batch)[-1].value)
    method = small_method(**OFF | {"w_con": 1.0}, shuffle_pairs=True).eval()
    drawn = {round(float(method.training_losses(batch)[-1].value), 4) for _ in range(60)}
    assert len(drawn) > 1  # drawn anew each time
    assert round(paired, 4) in drawn  # true partners among them


def test_the_shared_auxiliary_decoder_sees_differences_between_parts_when_they_are_normalised_together() -> None:
    def auxiliary_loss(norm: str, offset: float) -> float:
        method = small_method(**OFF | {"w_aux": 1.0}, aux_norm=norm).train()
        batch = coupled_batch()
        method.training_losses(batch)
        method._views = {name: view._replace(specific=view.specific + offset) for name, view in method._views.items()}
        return float(method._auxiliary())

    torch.manual_seed(0)
    assert auxiliary_loss("each", 5.0) == pytest.approx(auxiliary_loss("each", 0.0), rel=1e-4)
    assert auxiliary_loss("joint", 5.0) != pytest.approx(auxiliary_loss("joint", 0.0), rel=3e-3)


def test_a_modality_that_does_not_learn_mutually_gets_no_gradient_of_the_term() -> None:
    method = small_method(**OFF | {"w_mutual": 1.0}, mutual_learners="rgb")
    method.training_losses(decoupled_batch())[-1].value.backward()
    assert all(p.grad is None for p in method.models["depth"].parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.models["rgb"].parameters())


def test_gradient_shares_of_all_terms_add_up_to_one_at_the_deepest_features() -> None:
    method = small_method(**ALL)
    terms = method.training_losses(decoupled_batch())
    shares = gradient_shares(terms, method.share_points())
    for point in ("h_rgb", "h_depth"):
        assert sum(v for k, v in shares.items() if k.startswith(point)) == pytest.approx(1)
    assert shares["h_depth/segmentation_rgb"] == 0
    assert shares["h_rgb/contrast"] > 0


def test_a_queue_adds_negatives_and_keeps_embeddings_of_earlier_batches() -> None:
    method = small_method(**OFF | {"w_con": 1.0}, queue=8)
    first = float(method.training_losses(coupled_batch())[-1].value)
    assert first < math.log(3) * 3
    for _ in range(3):
        method.training_losses(coupled_batch())[-1].value.backward()
    assert int(method.queue.filled) == 12
    assert method.queue.rgb.norm(dim=1) == pytest.approx(torch.ones(8), abs=1e-4)


def test_keys_of_a_queue_follow_the_models_slowly_and_get_no_gradient() -> None:
    method = small_method(**OFF | {"w_con": 1.0}, queue=8, queue_momentum=0.9).train()
    method.key_networks.updates.fill_(1000)  # past the first updates, which keep less
    last = method.projection.body[2]
    with torch.no_grad():
        last.weight.mul_(-1.0)
        last.bias.mul_(-1.0)
    method.training_losses(coupled_batch())[-1].value.backward()
    keys = method.key_networks.models["projection"].get_parameter("body.2.weight")
    assert torch.allclose(keys, -0.8 * last.weight)
    assert last.weight.grad is not None
    assert not any(p.requires_grad for p in method.key_networks.parameters())
    pushed = int(method.queue.filled)
    images = method.key_networks.models["rgb"].encode(rgb=coupled_batch()["rgb"])[-1]
    embedded = method.key_networks.models["projection"](images[:, : images.shape[1] // 2].mean((2, 3)))
    embedded = embedded - embedded.mean(0)
    assert torch.allclose(method.queue.rgb[:pushed], torch.nn.functional.normalize(embedded, dim=1), atol=1e-4)


def test_a_queue_stands_still_outside_training() -> None:
    method = small_method(**OFF | {"w_con": 1.0}, queue=8).eval()
    method.training_losses(coupled_batch())
    assert int(method.queue.filled) == 0
    assert int(method.key_networks.updates) == 0


def test_models_that_do_not_fit_together_are_refused() -> None:
    other = build_model(
        ModelSpec("lightfpn", "resnet10t", CLASSES, ("depth",), options={"encoder": {"channels": [8, 16, 24, 40]}})
    )
    with pytest.raises(UserError, match="32 channels"):
        CrodinoMethod(small_model("rgb"), other, CrodinoConfig())


@pytest.mark.parametrize(
    "options",
    [
        {"w_con": -1.0},
        {"temperature": 0.0},
        {"mutual_average": 1.0},
        {"queue_momentum": 1.0},
        {"queue": 8, "contrast": "pixel"},
        {"queue": 8, "shuffle_pairs": True},
        {"contrast_ramp": (0.5, 0.2)},
        {"mutual_ramp": (0.0, 1.5)},
        {"aux_norm": "joint", "aux_shared": False},
    ],
)
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        CrodinoConfig(**options)


def test_networks_that_read_other_depth_images_than_the_set_gives_are_refused_with_the_option_to_set() -> None:
    check_depth_images(small_method(), hha=False)
    with pytest.raises(UserError, match=r"set --data\.hha false"):
        check_depth_images(small_method(), hha=True)


def test_a_batch_without_any_label_gives_finite_losses() -> None:
    batch = coupled_batch()
    batch["label"] = torch.full_like(batch["label"], 255)
    for contrast in ("pooled", "prototype", "pixel"):
        for term in small_method(**ALL, contrast=contrast).training_losses(batch):
            assert torch.isfinite(term.value), (contrast, term.name)


def test_averaged_models_of_the_mutual_term_follow_the_models_and_get_no_gradient() -> None:
    method = small_method(**OFF | {"w_mutual": 1.0}, mutual_average=0.9).train()
    weight = method.models["rgb"].get_parameter("decoder.classify.weight")
    copy = method.averages.models["rgb"].get_parameter("decoder.classify.weight")
    before = weight.detach().clone()
    with torch.no_grad():
        weight += 1.0
    method.training_losses(coupled_batch())[-1].value.backward()
    assert torch.allclose(copy, before + 0.9)  # update 0 keeps a tenth
    assert weight.grad is not None
    assert copy.grad is None
    assert not copy.requires_grad


def test_averaged_models_stand_still_outside_training() -> None:
    method = small_method(**OFF | {"w_mutual": 1.0}, mutual_average=0.9).eval()
    method.training_losses(coupled_batch())
    assert int(method.averages.updates) == 0


@pytest.mark.parametrize("batch", [coupled_batch(), decoupled_batch()], ids=["coupled", "decoupled"])
def test_the_joint_opinion_lies_between_the_models_and_pulls_less_than_the_other_model(batch: dict) -> None:
    values = {}
    for target in ("other", "mean"):
        method = small_method(**OFF | {"w_mutual": 1.0}, mutual_target=target).eval()
        values[target] = float(method.training_losses(batch)[-1].value.detach())
    assert 0 < values["mean"] < values["other"]


def test_a_split_before_the_deepest_features_leaves_what_lies_behind_to_segmentation_alone() -> None:
    method = small_method(**{**ALL, "w_mutual": 0.0}, split_level=-2)
    terms = method.training_losses(decoupled_batch())
    widths = {method.models[name].feature_channels[-2] for name in ("rgb", "depth")}
    assert {point.shape[1] for point in method.share_points().values()} == widths
    torch.stack([t.weighted for t in terms if not t.name.startswith("segmentation")]).sum().backward()
    for name in ("rgb", "depth"):
        reached = {n for n, p in method.models[name].named_parameters() if p.grad is not None}
        assert reached
        deepest = [n for n, _ in method.models[name].named_parameters() if "stages.3" in n]
        assert deepest
        assert not reached.intersection(deepest)


@pytest.mark.parametrize(("level", "message"), [(0, "count from the deepest"), (-9, "give -1 to -")])
def test_a_split_where_the_encoder_has_no_features_is_refused(level: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        small_method(split_level=level)

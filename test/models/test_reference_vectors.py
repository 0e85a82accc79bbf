"""The public modules' seeded inputs, weights and outputs: ours agree to 1e-5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rgbd_seg_ros.models.cmx import FeatureFusionModule, FeatureRectifyModule
from rgbd_seg_ros.models.decoders import SegformerDecoder
from rgbd_seg_ros.models.mit import MitBlock, OverlapPatchEmbed

pytestmark = pytest.mark.shared
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def vectors(shared: Path, name: str) -> dict[str, Tensor]:
    with np.load(shared / "reference" / "primkd" / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}


def load_strictly(module: nn.Module, data: dict[str, Tensor], without: tuple[str, ...] = ()) -> nn.Module:
    state = {key[3:]: value for key, value in data.items() if key.startswith("sd.")}
    state = {key: value for key, value in state.items() if not key.startswith(without)} if without else state
    module.load_state_dict(state, strict=True)
    return module.eval()


@torch.no_grad()
def test_feature_rectification_agrees_with_the_reference(shared: Path) -> None:
    data = vectors(shared, "frm_dim16")
    out1, out2 = load_strictly(FeatureRectifyModule(16), data)(data["in.x1"], data["in.x2"])
    torch.testing.assert_close(out1, data["out.x1"], **TOLERANCE)
    torch.testing.assert_close(out2, data["out.x2"], **TOLERANCE)


@torch.no_grad()
def test_feature_fusion_agrees_with_the_reference(shared: Path) -> None:
    data = vectors(shared, "ffm_dim16")
    module = load_strictly(FeatureFusionModule(16, int(data["meta.num_heads"])), data)
    torch.testing.assert_close(module(data["in.x1"], data["in.x2"]), data["out.fused"], **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("reduction", [1, 2])
def test_transformer_block_agrees_with_the_reference(shared: Path, reduction: int) -> None:
    data = vectors(shared, f"mit_block_sr{reduction}")
    block = load_strictly(MitBlock(16, int(data["meta.num_heads"]), reduction), data)
    height, width = (int(v) for v in data["meta.hw"])
    torch.testing.assert_close(block(data["in.x"], height, width), data["out.y"], **TOLERANCE)


@torch.no_grad()
def test_patch_embedding_agrees_with_the_reference_at_odd_sizes(shared: Path) -> None:
    data = vectors(shared, "patch_embed_7_4")
    tokens, height, width = load_strictly(OverlapPatchEmbed(3, 16, 7, 4), data)(data["in.x"])
    assert [height, width] == data["out.hw"].tolist()
    torch.testing.assert_close(tokens, data["out.tokens"], **TOLERANCE)


@torch.no_grad()
@pytest.mark.parametrize("name", ["mlp_decoder", "mlp_decoder_hint", "mlp_decoder_mask_hint"])
def test_decoder_agrees_with_the_reference(shared: Path, name: str) -> None:
    data = vectors(shared, name)
    module = load_strictly(
        SegformerDecoder((8, 16, 24, 32), 5, 12, bn_eps=1e-5), data, without=("align_loss", "conv_loss")
    )
    logits = module([data[f"in.c{stage}"] for stage in range(1, 5)])
    torch.testing.assert_close(logits, data["out.logits"], **TOLERANCE)
    if "out.logits_up4" in data:
        up = nn.functional.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
        torch.testing.assert_close(up, data["out.logits_up4"], **TOLERANCE)

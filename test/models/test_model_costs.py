"""Parameters and multiply-adds of the published sizes, and the key lists of the public checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rgbd_seg_ros.models import DepthEncoding, ModelSpec, SegmentationModel, build_model
from rgbd_seg_ros.models.counting import count_parameters, measure_cost

HHA = DepthEncoding("hha", mask_channel=False)


def on_meta(spec: ModelSpec) -> SegmentationModel:
    with torch.device("meta"):
        return build_model(spec)


@pytest.mark.parametrize(
    ("encoder", "size", "classes", "parameters_m", "gmacs", "gmacs_with_attention"),
    [
        ("mit_b2", (480, 640), 40, 66.58, 66.9, 78.2),
        ("mit_b4", (480, 640), 40, 139.87, 134.0, 157.9),
        ("mit_b2", (530, 730), 37, 66.58, 85.9, 103.5),
        ("mit_b4", (530, 730), 37, 139.87, 173.2, 211.9),
    ],
)
def test_cmx_has_the_published_size_and_cost(
    encoder: str,
    size: tuple[int, int],
    classes: int,
    parameters_m: float,
    gmacs: float,
    gmacs_with_attention: float,
) -> None:
    cost = measure_cost(on_meta(ModelSpec("cmx", encoder, classes, depth=HHA)), *size)
    assert cost.parameters / 1e6 == pytest.approx(parameters_m, abs=0.006)
    assert cost.macs / 1e9 == pytest.approx(gmacs, abs=0.06)
    assert (cost.macs + cost.attention_macs) / 1e9 == pytest.approx(gmacs_with_attention, abs=0.06)


@pytest.mark.parametrize(("encoder", "parameters_m"), [("mit_b2", 25.79), ("mit_b4", 62.44)])
def test_single_stream_teacher_has_the_published_size(encoder: str, parameters_m: float) -> None:
    model = on_meta(ModelSpec("segformer", encoder, 40, ("rgb",)))
    assert count_parameters(model) / 1e6 == pytest.approx(parameters_m, abs=0.006)


def test_rectification_has_26_c_squared_plus_9_c_plus_2_parameters() -> None:
    model = on_meta(ModelSpec("cmx", "mit_b0", 4))
    counted = [count_parameters(module) for module in model.FRMs]  # type: ignore[union-attr]
    assert counted == [26 * c * c + 9 * c + 2 for c in model.feature_channels]


def public_name(key: str) -> str | None:
    """Our key of a public checkpoint's key; None for the aligners, which exist in training only."""
    if "align_loss" in key or "conv_loss" in key:
        return None
    for public, ours in (
        ("decode_head.", "decoder."),
        ("backbone.extra_", "encoders.depth."),
        ("backbone.FRMs", "FRMs"),
        ("backbone.FFMs", "FFMs"),
        ("backbone.", "encoders.rgb."),
    ):
        if key.startswith(public):
            return ours + key.removeprefix(public)
    raise AssertionError(f"unexpected key {key}")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["hint_mit_b0", "hint_mit_b2", "mask_mit_b2"])
def test_student_has_the_keys_and_shapes_of_the_public_checkpoints(shared: Path, name: str) -> None:
    listed = json.loads((shared / "reference" / "primkd" / f"keys_student_{name}.json").read_text())
    expected = {ours: shape for key, shape in listed.items() if (ours := public_name(key)) is not None}
    model = on_meta(ModelSpec("cmx", name[-6:], 40, depth=HHA))
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == expected


@pytest.mark.shared
def test_teacher_has_the_keys_and_shapes_of_the_public_checkpoint(shared: Path) -> None:
    listed = json.loads((shared / "reference" / "primkd" / "keys_teacher_single_mit_b2.json").read_text())
    expected = {
        key.replace("backbone.", "encoder.").replace("decode_head.", "decoder."): shape for key, shape in listed.items()
    }
    model = on_meta(ModelSpec("segformer", "mit_b2", 40, ("rgb",)))
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == expected


def test_measuring_leaves_the_model_in_its_mode() -> None:
    model = on_meta(ModelSpec("lightfpn", "resnet18", 4, ("rgb",))).train()
    measure_cost(model, 64, 64)
    assert model.training

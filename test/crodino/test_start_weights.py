"""Encoders that start from saved models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from crodino_parts import small_model

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import load_model, save_model
from rgbd_seg_training.settings import ModelConfig

OPTIONS = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}
FUSION = OPTIONS | {"decoder": "lightfpn"}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    for name in ("rgb", "depth"):
        save_model(small_model(name), tmp_path / name)
    return tmp_path


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(torch.equal(v, second.state_dict()[k]) for k, v in first.state_dict().items())


def test_encoders_start_from_the_saved_ones_and_decoders_do_not(saved: Path) -> None:
    torch.manual_seed(5)
    config = ModelConfig("lightfpn", "resnet10t", options=OPTIONS, start=f"{saved}/{{input}}")
    model = config.build(("depth",), 5)
    start = load_model(saved / "depth")
    assert same(start.encoder, model.encoder)  # type: ignore[arg-type]
    assert not same(start.decoder, model.decoder)


def test_both_streams_of_a_fusion_network_start_from_their_own_modality(saved: Path) -> None:
    model = ModelConfig("cmx", "resnet10t", options=FUSION, start=f"{saved}/{{input}}").build(("rgb", "depth"), 7)
    for name in ("rgb", "depth"):
        assert same(load_model(saved / name).encoder, model.encoders[name])  # type: ignore[arg-type, index]


@pytest.mark.parametrize(
    ("start", "options", "word"),
    [
        ("{saved}/rgb", OPTIONS, "reads rgb"),
        ("{saved}/none", OPTIONS, "none"),
        ("{saved}/{input}", OPTIONS | {"encoder": {"channels": [8, 16, 24, 40]}}, "does not fit"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_in_one_sentence(
    saved: Path, start: str, options: dict, word: str
) -> None:
    config = ModelConfig("lightfpn", "resnet10t", options=options, start=start.replace("{saved}", str(saved)))
    with pytest.raises(UserError, match=word):
        config.build(("depth",), 5)

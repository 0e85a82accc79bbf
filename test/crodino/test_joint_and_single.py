"""Joint training differs from single training by its terms and its augmentation, and by nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from test_training_scripts import ROOT, options

from rgbd_seg_ros.models import load_model
from rgbd_seg_training.run_folder import RunFolder

sys.path.insert(0, str(ROOT / "training"))

import train_crodino

# Without dropout, which draws from one generator: the draws of one model would shift those of the other.
PLAIN = '{"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16, "dropout": 0.0}}'
WHOLE = ["--model.options", PLAIN, "--data.scales", "[0.8, 1.3]", "--train.optimizer.clip", "0.5", "--train.ema", "0.9"]
OFF = [text for term in ("w_aux", "w_con", "w_disc", "w_orth") for text in (f"--method.crodino.{term}", "0")]


def weights(run: Path, mode: str) -> dict[str, torch.Tensor]:
    return load_model(RunFolder(run).models / mode).state_dict()


@pytest.mark.parametrize("mode", ["rgb", "depth"])
def test_with_every_term_off_each_model_ends_in_the_weights_of_single_training_bit_for_bit(
    striped_set: Path, tmp_path: Path, mode: str
) -> None:
    joint, single = tmp_path / "joint", tmp_path / "single"
    train_crodino.main(options(striped_set, joint, *WHOLE, *OFF, "--data.augmentation", "coupled"))
    alone = ["--method.approach", "single", "--method.modality", mode]
    train_crodino.main(options(striped_set, single, *WHOLE, *alone))
    expected = weights(single, mode)
    assert all(torch.equal(value, expected[name]) for name, value in weights(joint, mode).items())


def test_decoupled_augmentation_leaves_the_colour_model_what_it_was(striped_set: Path, tmp_path: Path) -> None:
    ends = []
    for augmentation in ("coupled", "decoupled"):
        run = tmp_path / augmentation
        train_crodino.main(options(striped_set, run, *WHOLE, *OFF, "--data.augmentation", augmentation))
        ends.append({mode: weights(run, mode) for mode in ("rgb", "depth")})
    assert all(torch.equal(value, ends[1]["rgb"][name]) for name, value in ends[0]["rgb"].items())
    assert not all(torch.equal(value, ends[1]["depth"][name]) for name, value in ends[0]["depth"].items())

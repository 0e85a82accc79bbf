"""Optimisation of PrimKD: parameter groups and learning-rate curve of the public code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rgbd_seg_ros.models import DepthEncoding, ModelSpec, build_model
from rgbd_seg_training.optim import OptimizerConfig, parameter_groups, rate_factor
from rgbd_seg_training.primkd import PrimKdConfig, PrimKdMethod

pytestmark = pytest.mark.shared
PUBLIC = (
    ("student.encoders.depth.", "backbone.extra_"),
    ("student.encoders.rgb.", "backbone."),
    ("student.FRMs.", "backbone.FRMs."),
    ("student.FFMs.", "backbone.FFMs."),
    ("student.decoder.", "decode_head."),
)


def public_name(name: str) -> str:
    if name.startswith("aligners."):
        _, stage, _, leaf = name.split(".")
        return f"decode_head.align_loss{int(stage) + 1}.{leaf}"
    for ours, public in PUBLIC:
        if name.startswith(ours):
            return public + name.removeprefix(ours)
    raise AssertionError(f"unexpected parameter {name}")


def test_decay_is_applied_to_the_parameters_of_the_public_code(shared: Path) -> None:
    expected = json.loads((shared / "reference" / "primkd" / "param_groups_mit_b0_hint.json").read_text())
    with torch.device("meta"):
        student = build_model(ModelSpec("cmx", "mit_b0", 40, depth=DepthEncoding("hha", mask_channel=False)))
        teacher = build_model(ModelSpec("segformer", "mit_b0", 40, ("rgb",)))
        method = PrimKdMethod(student, teacher, PrimKdConfig(aligner="single"))
    names = {id(p): public_name(name) for name, p in method.named_parameters() if p.requires_grad}
    decayed, plain = ({names[id(p)] for p in group["params"]} for group in parameter_groups(method, 0.01))  # type: ignore[attr-defined]
    assert decayed == set(expected["decay"])
    assert plain == set(expected["no_decay"])


def test_learning_rate_follows_the_public_curve(shared: Path) -> None:
    with np.load(shared / "reference" / "primkd" / "lr.npz", allow_pickle=False) as data:
        total, warmup, base = (data[f"meta.{name}"].item() for name in ("total", "warmup", "base"))
        iterations, rates = data["in.iters"], data["out.lr"]
    config = OptimizerConfig(lr=base, warmup=warmup / total)
    ours = [base * rate_factor(int(i) / total, config) for i in iterations]
    np.testing.assert_allclose(ours, rates, rtol=1e-5, atol=1e-5 * base)

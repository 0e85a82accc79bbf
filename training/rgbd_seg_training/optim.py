"""Optimiser, parameter groups and learning-rate curve of both methods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from rgbd_seg_ros.errors import UserError


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with linear warm-up and a decaying curve; the defaults are PrimKD's on NYU.

    Attributes:
        lr: peak learning rate.
        weight_decay: decay of weight matrices and kernels; biases and norms have none.
        betas: moment factors of AdamW.
        warmup: share of the run (0..1) in which the rate rises linearly from 0; PrimKD: 10 of 500 epochs.
        schedule: curve after the warm-up.
        power: exponent of `poly`.
        clip: largest gradient norm of each group of the method (`Method.clip_groups`), 0 = no clipping.
    """

    lr: float = 6e-5
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.02
    schedule: Literal["poly", "cosine", "constant"] = "poly"
    power: float = 0.9
    clip: float = 0.0

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise UserError(f"optimizer.lr is {self.lr}; give a rate above 0.")
        if not 0 <= self.warmup < 1:
            raise UserError(f"optimizer.warmup is {self.warmup}; it is a share of the run: give 0 <= warmup < 1.")


def rate_factor(progress: float, config: OptimizerConfig) -> float:
    """Factor on the peak rate at `progress` = finished steps / all steps.

    Warm-up: progress / warmup. After it `poly`: (1 - progress)^power, counted from the start of the run, as SegFormer
    and CMX do, so the curve jumps a little where the warm-up ends.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < config.warmup:
        return progress / config.warmup
    if config.schedule == "poly":
        return (1.0 - progress) ** config.power
    if config.schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * (progress - config.warmup) / (1.0 - config.warmup)))
    return 1.0


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two AdamW groups: weights of convolutions and linear layers with decay, everything else without.

    Frozen parameters are left out, shared ones appear once. Norm layers, biases, embeddings and free parameters
    are not decayed.
    """
    decay: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    seen: set[int] = set()
    kernels = (nn.Linear, nn.modules.conv._ConvNd)
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            (decay if isinstance(part, kernels) and name == "weight" else plain).append(parameter)
    groups: list[dict[str, object]] = [
        {"params": decay, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def build_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over the trainable parameters of `module`.

    On a CPU its fused form: a third of the time, which counts where networks are small. On a GPU torch's default, since
    the fused form and gradient clipping exclude each other under fp16.
    """
    fused = all(p.device.type == "cpu" for p in module.parameters()) or None
    groups = parameter_groups(module, config.weight_decay)
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=fused)

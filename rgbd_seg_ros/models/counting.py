"""Size and cost of a network, in both conventions of the literature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rgbd_seg_ros.models.network import SegmentationModel

_ATTENTION_OPS = ("bmm", "baddbmm", "attention")


@dataclass(frozen=True)
class Cost:
    """Cost of one image.

    Attributes:
        parameters: number of weights (buffers are not counted).
        macs: multiply-adds of convolutions and linear layers.
        attention_macs: multiply-adds of products of two activations (attention), which many tables leave out.
    """

    parameters: int
    macs: int
    attention_macs: int


def count_parameters(module: nn.Module) -> int:
    """Number of weights of a module, shared ones once."""
    return sum(p.numel() for p in module.parameters())


def measure_cost(model: SegmentationModel, height: int, width: int) -> Cost:
    """Cost of `model` at batch size one; a model on the meta device is measured without computing anything."""
    device = next(model.parameters()).device
    images = {
        "rgb": torch.zeros(1, height, width, 3, dtype=torch.uint8, device=device),
        "depth": torch.zeros(1, height, width, device=device),
    }
    if model.spec.depth.encoding == "hha":
        images["depth"] = images["rgb"]
    training = model.training
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.eval()(**{name: images[name] for name in model.spec.inputs})
    model.train(training)
    flops = counter.get_flop_counts()["Global"]
    attention = sum(n for op, n in flops.items() if any(name in str(op) for name in _ATTENTION_OPS))
    return Cost(count_parameters(model), (sum(flops.values()) - attention) // 2, attention // 2)

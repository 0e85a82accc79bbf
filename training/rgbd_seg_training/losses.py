"""Losses that several methods share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from segmentation_models_pytorch.losses import DiceLoss, LovaszLoss
from torch import Tensor
from torch.nn import functional

from rgbd_seg_ros.core.frames import UNLABELLED

if TYPE_CHECKING:
    from .method import Batch  # which needs the losses


def full_precision(tensor: Tensor) -> torch.autocast:
    """Context without autocast on the device of `tensor`: matrix products of fp32 operands stay fp32.

    For sums over many pixels, and cosines that a temperature divides: bf16 has three digits.
    """
    return torch.autocast(tensor.device.type, enabled=False)


def sparse_labels(batch: Batch, stride: int) -> Batch:
    """The batch with every `stride`-th label of each axis, from an offset drawn anew each time.

    Losses compare at the size of the labels, so this makes them stride^2 times cheaper. The offset makes the half-pixel
    shift of a single choice vanish on average.
    """
    if stride == 1:
        return batch
    row, column = (int(v) for v in torch.randint(0, stride, (2,)))
    return {k: v[:, row::stride, column::stride] if k.startswith("label") else v for k, v in batch.items()}


Region = Literal["none", "dice", "lovasz"]
RegionLoss = Callable[[Tensor, Tensor], Tensor]


def region_loss(kind: Region) -> RegionLoss | None:
    """A loss on the overlap of each class that a batch holds, so that small classes count as much as large ones.

    `lovasz` is the Lovasz-Softmax loss (Berman et al., CVPR 2018), a surrogate of the mean IoU; `dice` is the soft Dice
    loss (Milletari et al., 3DV 2016). Both come from segmentation_models_pytorch.
    """
    if kind == "none":
        return None
    kinds: dict[str, Callable[..., RegionLoss]] = {"dice": DiceLoss, "lovasz": LovaszLoss}
    return kinds[kind](mode="multiclass", ignore_index=UNLABELLED)


def segmentation_loss(
    scores: Tensor, label: Tensor, weight: Tensor | None = None, region: RegionLoss | None = None
) -> Tensor:
    """Cross entropy of class scores of any size against labels; ignored pixels do not count.

    Args:
        scores: N x K x h x w, brought bilinearly (align_corners False) to the label's size.
        label: int64 N x H x W, 255 = ignored.
        weight: K class weights, or None.
        region: of `region_loss`; added as it is.

    Returns:
        Scalar; 0 with a gradient of 0 where every pixel is ignored.
    """
    scores = scores.float()
    if scores.shape[2:] != label.shape[1:]:
        scores = functional.interpolate(scores, size=label.shape[1:], mode="bilinear", align_corners=False)
    total = functional.cross_entropy(scores, label, ignore_index=UNLABELLED, weight=weight, reduction="sum")
    valid = label != UNLABELLED
    count = valid.sum() if weight is None else weight[label[valid]].sum()
    loss = total / count.clamp(min=1)
    return loss + region(scores, label) if region is not None and bool(valid.any()) else loss

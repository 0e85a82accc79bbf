"""Losses that several methods share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rgbd_seg_ros.core.frames import UNLABELLED

from .method import Batch


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


def segmentation_loss(scores: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross entropy of class scores of any size against labels; ignored pixels do not count.

    Args:
        scores: N x K x h x w, brought bilinearly (align_corners False) to the label's size.
        label: int64 N x H x W, 255 = ignored.
        weight: K class weights, or None.

    Returns:
        Scalar; 0 with a gradient of 0 where every pixel is ignored.
    """
    scores = scores.float()
    if scores.shape[2:] != label.shape[1:]:
        scores = functional.interpolate(scores, size=label.shape[1:], mode="bilinear", align_corners=False)
    total = functional.cross_entropy(scores, label, ignore_index=UNLABELLED, weight=weight, reduction="sum")
    valid = label != UNLABELLED
    count = valid.sum() if weight is None else weight[label[valid]].sum()
    return total / count.clamp(min=1)

"""Losses that several methods share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rgbd_seg_ros.core.frames import UNLABELLED


def segmentation_loss(
    scores: Tensor, label: Tensor, stride: int = 1, smoothing: float = 0.0, weight: Tensor | None = None
) -> Tensor:
    """Cross entropy of class scores of any size against labels at full size; ignored pixels do not count.

    Args:
        scores: N x K x h x w, enlarged bilinearly (align_corners False) to the label's grid.
        label: int64 N x H x W, 255 = ignored.
        stride: compare at every `stride`-th pixel of each axis only, from an offset drawn anew each time: the same
            loss in expectation at 1 / stride^2 of the cost.
        smoothing: label smoothing.
        weight: K class weights, or None.

    Returns:
        Scalar; 0 with a gradient of 0 where every pixel is ignored.
    """
    if stride > 1:
        row, column = (int(v) for v in torch.randint(0, stride, (2,)))
        grid = functional.interpolate(scores.float(), size=label.shape[1:], mode="bilinear", align_corners=False)
        scores, label = grid[:, :, row::stride, column::stride], label[:, row::stride, column::stride]
    elif scores.shape[2:] != label.shape[1:]:
        scores = functional.interpolate(scores.float(), size=label.shape[1:], mode="bilinear", align_corners=False)
    total = functional.cross_entropy(
        scores.float(), label, ignore_index=UNLABELLED, label_smoothing=smoothing, weight=weight, reduction="sum"
    )
    valid = label != UNLABELLED
    count = valid.sum() if weight is None else weight[label[valid]].sum()
    return total / count.clamp(min=1)

"""Aligners: reconstruct the teacher's features from the student's; they exist during training only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .config import AlignerKind


class Aligner(nn.Module):
    """Reconstruction of one stage.

    `single` is a 1x1 convolution; `multi` is a 1x1 convolution followed by 3x3, ReLU and 3x3.

    Args:
        inputs: width of the student's stage.
        outputs: width of the teacher's stage.
        kind: see above.
        mask_ratio: share of pixels that are blanked after the 1x1 convolution while training.
    """

    def __init__(self, inputs: int, outputs: int, kind: AlignerKind = "multi", mask_ratio: float = 0.0) -> None:
        super().__init__()
        self.mask_ratio = mask_ratio
        self.align = nn.Conv2d(inputs, outputs, 1)
        self.reconstruct: nn.Module = nn.Identity()
        if kind == "multi":
            self.reconstruct = nn.Sequential(
                nn.Conv2d(outputs, outputs, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(outputs, outputs, 3, padding=1),
            )

    def forward(self, feature: Tensor, mask: Tensor | None = None) -> Tensor:
        """N x C x H x W to N x C' x H x W; `mask` N x 1 x H x W (1 = keep) replaces the random one."""
        x = self.align(feature)
        if mask is None and self.training and self.mask_ratio > 0:
            mask = torch.rand_like(x[:, :1]) >= self.mask_ratio
        return self.reconstruct(x if mask is None else x * mask)


def build_aligners(
    student: Sequence[int], teacher: Sequence[int], kind: AlignerKind, mask_ratio: float = 0.0
) -> nn.ModuleList:
    """One aligner per stage between the two lists of widths."""
    return nn.ModuleList(Aligner(s, t, kind, mask_ratio) for s, t in zip(student, teacher, strict=True))

"""Options of PrimKD's guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rgbd_seg_ros.errors import UserError

Selection = Literal["max", "min", "average", "stage1", "stage2", "stage3", "stage4", "max_batch"]
AlignerKind = Literal["multi", "single"]


@dataclass(frozen=True)
class PrimKdConfig:
    """Weights and choices of the guidance; the defaults are the paper's.

    Attributes:
        alpha: weight of the prediction term, 0 = off.
        beta: weight of the feature term, 0 = off (the public code runs 0.1).
        aligner: `multi` reconstructs a teacher feature by a 1x1 and two 3x3 convolutions, `single` by a 1x1 alone.
        selection: which reconstruction error counts: the largest, smallest or mean error over the stages of each
            sample, a fixed stage, or (`max_batch`, the public code) the stage with the largest error in the batch.
        ignored_pixels: average the prediction term over pixels without label too, as the public code does.
        mask_ratio: share of pixels of the student's features that `multi` must fill in (masked generative
            distillation, a variant of the public code), 0 = none.
    """

    alpha: float = 1.0
    beta: float = 0.05
    aligner: AlignerKind = "multi"
    selection: Selection = "max"
    ignored_pixels: bool = False
    mask_ratio: float = 0.0

    def __post_init__(self) -> None:
        if self.alpha < 0 or self.beta < 0:
            raise UserError(
                f"guidance.alpha is {self.alpha} and guidance.beta {self.beta}; give weights of at least 0."
            )
        if not 0 <= self.mask_ratio < 1:
            raise UserError(f"guidance.mask_ratio is {self.mask_ratio}; give a share from 0 to below 1.")
        if self.mask_ratio > 0 and self.aligner == "single":
            raise UserError(
                "guidance.mask_ratio needs the aligner 'multi', which sees a pixel's neighbours; choose it."
            )

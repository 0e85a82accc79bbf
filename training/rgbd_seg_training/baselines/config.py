"""Options of the teacher/student baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rgbd_seg_ros.errors import UserError

Approach = Literal["kd", "kdnet", "masked", "protokd"]


@dataclass(frozen=True)
class DistillConfig:
    """Which baseline, with which weights. Weights are ours where a source's unit (sum or mean) differs from ours.

    Attributes:
        approach: `kd` softened logits (Hinton et al. 2015); `kdnet` logits and deepest features (after KD-Net, Hu et
            al., MICCAI 2020); `masked` masked generative distillation of the deepest features (Yang et al., ECCV 2022);
            `protokd` logits and maps of similarity to class prototypes (Wang et al., ICASSP 2023).
        w_logit: weight of the logit term (kd, kdnet, protokd).
        temperature: softens both distributions; the term is multiplied by its square.
        w_feature: weight of the feature term (kdnet).
        w_masked: weight of the masked reconstruction (masked).
        mask_ratio: share of positions that are blanked (masked).
        w_prototype: weight of the similarity maps (protokd).
    """

    approach: Approach = "kd"
    w_logit: float = 1.0
    temperature: float = 2.0
    w_feature: float = 0.1
    w_masked: float = 0.1
    mask_ratio: float = 0.5
    w_prototype: float = 1.0

    def __post_init__(self) -> None:
        for name in ("w_logit", "w_feature", "w_masked", "w_prototype"):
            if getattr(self, name) < 0:
                raise UserError(f"distill.{name} is {getattr(self, name)}; give 0 (off) or more.")
        if self.temperature <= 0:
            raise UserError(f"distill.temperature is {self.temperature}; give a value above 0.")
        if not 0 < self.mask_ratio < 1:
            raise UserError(f"distill.mask_ratio is {self.mask_ratio}; give a share between 0 and 1.")

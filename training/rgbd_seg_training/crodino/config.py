"""Options of CroDiNo-KD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rgbd_seg_ros.errors import UserError


@dataclass(frozen=True)
class CrodinoConfig:
    """Weights and variants of the joint loss; a weight of 0 turns its term off and its computation too.

    Attributes:
        w_aux: auxiliary decoder on the invariant and the specific halves.
        w_con: contrast between the invariant halves of the two modalities.
        w_disc: modality classification of the specific halves.
        disc_norm: what the modality classifier reads: pooled features as they are (`none`), or brought to mean 0 and
            variance 1 over their channels (`layer`). Features of pretrained encoders can be so large that the first
            guesses are confidently wrong, and their correction drowns the task for hundreds of steps.
        w_orth: mean squared cosine between the two halves.
        w_mutual: logit distillation between the two models at the pixels that both see.
        mutual_target: what each model imitates: the `other` model, or the `mean` opinion of both.
        mutual_learners: who imitates: `both` models, or the one of the weaker modality alone, `rgb` or `depth`.
        mutual_average: decay of moving averages of both models that give the targets, 0 = the models themselves.
        mutual_temperature: softens both distributions; the term is multiplied by its square.
        contrast: `pooled` embeddings of images, `prototype` means of classes, or `pixel` pairs of the same place.
        temperature: of the contrast.
        embedding: width of the projection head.
        contrast_ramp: shares of the run between which w_con rises linearly from 0 to its value.
        queue: embeddings of earlier batches kept as further negatives of the pooled contrast, 0 = none. They and those
            that each image is compared with come from moving averages of both models then.
        queue_momentum: decay of these averages.
        pixels: largest number of pixel pairs in a batch of the pixel contrast.
        aux_shared: one auxiliary decoder for all four parts; false = the unshared control, one decoder each.
        aux_width: width of the auxiliary decoder.
        aux_norm: the shared decoder's batch norms take the statistics of `each` part by itself, which hides differences
            of mean and scale between the parts, or of all four parts together (`joint`).
        shuffle_pairs: control: contrast each image with the partner of any image of the batch, drawn at random.
        mutual_ramp: as `contrast_ramp`, for w_mutual.
        split_level: which features of the encoder are split: -1 the deepest, as published, -2 those before, ...
        aux_stride: the auxiliary losses compare at every n-th of the labels that `train.label_stride` leaves, per axis.
    """

    w_aux: float = 0.2
    w_con: float = 0.05
    w_disc: float = 0.1
    disc_norm: Literal["none", "layer"] = "layer"
    w_orth: float = 0.1
    w_mutual: float = 0.0
    mutual_target: Literal["other", "mean"] = "other"
    mutual_learners: Literal["both", "rgb", "depth"] = "both"
    mutual_average: float = 0.0
    mutual_temperature: float = 1.0
    contrast: Literal["pooled", "prototype", "pixel"] = "pooled"
    temperature: float = 0.1
    embedding: int = 128
    contrast_ramp: tuple[float, float] = (0.0, 0.3)
    queue: int = 0
    queue_momentum: float = 0.99
    pixels: int = 512
    aux_shared: bool = True
    aux_width: int = 128
    aux_norm: Literal["each", "joint"] = "each"
    shuffle_pairs: bool = False
    mutual_ramp: tuple[float, float] = (0.2, 0.5)
    aux_stride: int = 4
    split_level: int = -1

    def __post_init__(self) -> None:
        for name in ("w_aux", "w_con", "w_disc", "w_orth", "w_mutual"):
            if getattr(self, name) < 0:
                raise UserError(f"crodino.{name} is {getattr(self, name)}; give 0 (off) or more.")
        for name in ("temperature", "mutual_temperature"):
            if getattr(self, name) <= 0:
                raise UserError(f"crodino.{name} is {getattr(self, name)}; give a value above 0.")
        if self.split_level >= 0:
            raise UserError(f"crodino.split_level is {self.split_level}; count from the deepest: -1, -2, and so on.")
        if not 0 <= self.mutual_average < 1:
            raise UserError(f"crodino.mutual_average is {self.mutual_average}; give a decay from 0 (off) to below 1.")
        if not 0 <= self.queue_momentum < 1:
            raise UserError(f"crodino.queue_momentum is {self.queue_momentum}; give a decay from 0 to below 1.")
        if self.queue > 0 and (self.contrast != "pooled" or self.shuffle_pairs):
            raise UserError("crodino.queue goes with the pooled contrast of true pairs alone; give 0 for others.")
        if self.aux_norm == "joint" and not self.aux_shared:
            raise UserError("crodino.aux_norm joint needs one decoder for all parts; leave crodino.aux_shared at true.")
        for name in ("contrast_ramp", "mutual_ramp"):
            start, end = getattr(self, name)
            if not 0 <= start <= end <= 1:
                raise UserError(f"crodino.{name} is {[start, end]}; give 0 <= start <= end <= 1.")


def ramp(progress: float, span: tuple[float, float]) -> float:
    """0 before `span`, 1 after it, linear in between."""
    start, end = span
    if progress >= end:
        return 1.0
    return max(0.0, (progress - start) / (end - start))

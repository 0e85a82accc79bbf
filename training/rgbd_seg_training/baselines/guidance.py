"""What a student is asked to imitate: one module per kind of knowledge."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..crodino.losses import class_prototypes
from ..losses import full_precision
from ..primkd.aligners import Aligner


@dataclass(frozen=True)
class Seen:
    """What one network makes of a batch.

    Attributes:
        deepest: deepest features, N x C x h x w.
        scores: class scores at the decoder's stride, N x K x h' x w'.
    """

    deepest: Tensor
    scores: Tensor


class LogitGuidance(nn.Module):
    """T^2 KL(teacher || student) of distributions softened by the temperature T (Hinton et al. 2015).

    Mean over the positions of the decoder's map; the teacher's scores are brought to the student's size.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Seen, teacher: Seen, label: Tensor) -> Tensor:
        """Scalar."""
        target = _resized(teacher.scores, student.scores)
        log_student = functional.log_softmax(student.scores.float() / self.temperature, 1)
        log_teacher = functional.log_softmax(target.float() / self.temperature, 1)
        divergence = functional.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1)
        return self.temperature**2 * divergence.mean()


class FeatureGuidance(nn.Module):
    """Mean squared error between the teacher's deepest features and a reconstruction from the student's.

    Without a mask the reconstruction is a 1x1 convolution (the feature part of KD-Net, whose own form is for a shared
    architecture). With one, positions of the projected map are blanked at random and two 3x3 convolutions fill them in
    (masked generative distillation, Yang et al. 2022, equation 3). Features are scaled to unit mean square per sample,
    so that the weight means the same for every teacher.
    """

    def __init__(self, student_width: int, teacher_width: int, mask_ratio: float = 0.0) -> None:
        super().__init__()
        self.aligner = Aligner(student_width, teacher_width, "multi" if mask_ratio > 0 else "single", mask_ratio)

    def forward(self, student: Seen, teacher: Seen, label: Tensor) -> Tensor:
        """Scalar."""
        target = _resized(teacher.deepest, student.deepest).float()
        target = target / target.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)
        return functional.mse_loss(self.aligner(student.deepest).float(), target)


class PrototypeGuidance(nn.Module):
    """Mean squared error between the two networks' maps of cosine similarity to class prototypes (Wang et al. 2023).

    Prototypes are the means of each network's deepest features over each class in the batch, by the labels; only
    classes that occur are compared.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, student: Seen, teacher: Seen, label: Tensor) -> Tensor:
        """Scalar; 0 where no pixel has a label."""
        maps: list[Tensor] = []
        for features in (student.deepest.float(), _resized(teacher.deepest, student.deepest).float()):
            means, present = class_prototypes(features, label, self.num_classes)
            if not bool(present.any()):  # no label, or none at a place that the features keep
                return student.deepest.sum() * 0.0
            prototypes = functional.normalize(means[present], dim=1)
            with full_precision(features):
                maps.append(torch.einsum("nchw,kc->nkhw", functional.normalize(features, dim=1), prototypes))
        return functional.mse_loss(maps[0], maps[1])


def _resized(image: Tensor, like: Tensor) -> Tensor:
    if image.shape[2:] == like.shape[2:]:
        return image
    size = (like.shape[2], like.shape[3])
    return functional.interpolate(image.float(), size=size, mode="bilinear", align_corners=False)

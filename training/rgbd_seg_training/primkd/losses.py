"""Loss functions of PrimKD (section 3 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rgbd_seg_ros.core.frames import UNLABELLED

from .config import Selection


def prediction_loss(student: Tensor, teacher: Tensor, label: Tensor | None = None) -> Tensor:
    """Mean over pixels of KL(softmax(teacher) || softmax(student)), logits N x K x H x W, temperature 1.

    Args:
        student: logits that receive the gradient.
        teacher: logits of the teacher; detached here.
        label: if given, pixels labelled 255 are left out of the mean.
    """
    log_student = F.log_softmax(student.float(), dim=1)
    log_teacher = F.log_softmax(teacher.detach().float(), dim=1)
    divergence = F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=1)
    if label is None:
        return divergence.mean()
    valid = label != UNLABELLED
    return (divergence * valid).sum() / valid.sum().clamp(min=1)


def reconstruction_errors(reconstructed: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Mean squared error over channels and pixels, per sample and stage: N x S. The teacher's features are detached."""
    errors = [
        (mine.float() - theirs.detach().float()).square().mean(dim=(1, 2, 3))
        for mine, theirs in zip(reconstructed, teacher, strict=True)
    ]
    return torch.stack(errors, dim=1)


def select_error(errors: Tensor, selection: Selection) -> Tensor:
    """The feature loss: one error per sample, chosen from errors N x S by the rule, averaged over the batch."""
    if selection == "max":
        return errors.amax(dim=1).mean()
    if selection == "min":
        return errors.amin(dim=1).mean()
    if selection == "average":
        return errors.mean()
    if selection == "max_batch":
        return errors.mean(dim=0).amax()
    return errors[:, int(selection.removeprefix("stage")) - 1].mean()

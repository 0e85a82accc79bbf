"""The terms of CroDiNo-KD on embeddings and feature maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rgbd_seg_ros.core.frames import UNLABELLED

from ..losses import full_precision


def info_nce(
    first: Tensor,
    second: Tensor,
    temperature: float,
    more: tuple[Tensor, Tensor] | None = None,
    keys: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al. 2018): row i of `first` belongs to row i of `second`.

    Args:
        first: B x D embeddings; normalised here.
        second: B x D embeddings of the other modality.
        temperature: divides the cosines.
        more: further negatives (Q x D each) of the first and of the second modality, normalised.
        keys: what the rows of the other modality are compared with in place of first and second (B x D each).

    Returns:
        Mean of both directions; 0 for B = 1 without further negatives.
    """
    with full_precision(first):
        a, b = functional.normalize(first.float(), dim=1), functional.normalize(second.float(), dim=1)
        target = torch.arange(len(a), device=a.device)
        other_a, other_b = (a, b) if keys is None else (functional.normalize(k.float(), dim=1) for k in keys)
        forward, backward = a @ other_b.T, b @ other_a.T
        if more is not None:
            forward = torch.cat([forward, a @ more[1].float().T], 1)
            backward = torch.cat([backward, b @ more[0].float().T], 1)
        return 0.5 * (
            functional.cross_entropy(forward / temperature, target)
            + functional.cross_entropy(backward / temperature, target)
        )


def centred(embeddings: Tensor) -> Tensor:
    """B x D embeddings less their mean over the batch."""
    return embeddings - embeddings.mean(0, keepdim=True)


def class_prototypes(features: Tensor, label: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mean feature of every class over a batch.

    Args:
        features: N x C x h x w.
        label: int64 N x H x W, 255 = ignored; every label pixel counts for the feature cell that it lies in.
        num_classes: K.

    Returns:
        K x C means (0 for absent classes) and a K mask of the classes present.
    """
    # Some sixteen labels per cell are plenty, and K full-size masks would fill the memory.
    stride = max(1, min(label.shape[1] // features.shape[2], label.shape[2] // features.shape[3]) // 4)
    sparse = label[:, ::stride, ::stride]
    known = sparse != UNLABELLED
    one_hot = functional.one_hot(torch.where(known, sparse, 0), num_classes) * known[..., None]
    share = functional.adaptive_avg_pool2d(one_hot.permute(0, 3, 1, 2).float(), (features.shape[2], features.shape[3]))
    mass = share.sum((0, 2, 3))
    with full_precision(features):
        sums = torch.einsum("nkhw,nchw->kc", share, features.float())
    return sums / mass.clamp(min=1e-6)[:, None], mass > 1e-3


def orthogonality(invariant: Tensor, specific: Tensor) -> Tensor:
    """Mean squared cosine between the two halves at every position; squared, so that its minimum is at 90 degrees.

    Args:
        invariant: N x C x h x w.
        specific: N x C' x h x w with C' = C or C + 1; a surplus channel is left out.
    """
    cosine = functional.cosine_similarity(invariant.float(), specific[:, : invariant.shape[1]].float(), dim=1)
    return cosine.square().mean()


def joint_opinion(own: Tensor, other: Tensor) -> Tensor:
    """Normalised geometric mean of two distributions over classes, N x K x h x w each."""
    logs = 0.5 * (own.clamp(min=1e-6).log() + other.clamp(min=1e-6).log())
    return logs.softmax(1)


def mutual_divergence(student: Tensor, teacher: Tensor, valid: Tensor) -> Tensor:
    """KL(teacher || student) over classes, mean over the valid positions; no gradient to the teacher.

    Args:
        student: scores N x K x h x w.
        teacher: probabilities N x K x h x w on the same positions.
        valid: bool N x h x w.
    """
    target = teacher.detach().clamp(min=1e-6)
    pointwise = target * (target.log() - functional.log_softmax(student.float(), 1))
    return (pointwise.sum(1) * valid).sum() / valid.sum().clamp(min=1)

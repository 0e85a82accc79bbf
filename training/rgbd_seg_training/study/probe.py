"""How much of the modality a linear classifier finds in the halves of the split features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rgbd_seg_ros.models import SegmentationModel

from ..loading import SampleSource


@torch.no_grad()
def pooled_halves(
    model: SegmentationModel, samples: SampleSource, level: int = -1, limit: int = 200
) -> tuple[Tensor, Tensor]:
    """Globally pooled invariant and specific half of the features of a level, up to `limit` x C/2 each."""
    name = model.spec.inputs[0]
    rows = []
    for index in range(min(limit, len(samples))):
        image = torch.as_tensor(samples[index][name])[None]
        rows.append(model.encode(**{name: image})[level].mean((2, 3))[0])
    pooled = torch.stack(rows)
    return pooled[:, : pooled.shape[1] // 2], pooled[:, pooled.shape[1] // 2 :]


def linear_probe(first: Tensor, second: Tensor, steps: int = 200) -> float:
    """Accuracy on held-out rows of a logistic regression that tells rows of `first` from rows of `second`.

    Every other pair of rows is for training. 0.5 = the two cannot be told apart linearly.
    """
    x = torch.cat([first, second]).double()
    y = torch.cat([torch.zeros(len(first)), torch.ones(len(second))]).long()
    held_out = torch.cat([torch.arange(len(first)), torch.arange(len(second))]) % 2 == 1
    mean, deviation = x[~held_out].mean(0), x[~held_out].std(0).clamp(min=1e-6)
    x = (x - mean) / deviation
    weights = torch.zeros(x.shape[1] + 1, 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=steps)

    def closure() -> Tensor:
        optimizer.zero_grad()
        scores = x[~held_out] @ weights[:-1] + weights[-1]
        loss = functional.cross_entropy(scores, y[~held_out]) + 1e-3 * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    with torch.no_grad():
        scores = x[held_out] @ weights[:-1] + weights[-1]
    return float((scores.argmax(1) == y[held_out]).double().mean())


def modality_accuracy(
    rgb: SegmentationModel, depth: SegmentationModel, samples: SampleSource, level: int = -1
) -> dict[str, float]:
    """Probe accuracy on the invariant and on the specific halves of a pair of models that split at `level`."""
    halves = [pooled_halves(model.eval(), samples, level) for model in (rgb, depth)]
    return {
        "invariant": linear_probe(halves[0][0], halves[1][0]),
        "specific": linear_probe(halves[0][1], halves[1][1]),
    }

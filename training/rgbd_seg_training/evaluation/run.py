"""Evaluate a model on a loader: one confusion matrix over all pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_training.evaluation.predict import Protocol, predict_probabilities


def evaluate_model(
    model: nn.Module,
    batches: Iterable[dict[str, Any]],
    classes: int,
    inputs: tuple[str, ...] = ("rgb", "depth"),
    protocol: Protocol | None = None,
    device: torch.device | str = "cpu",
    missing: frozenset[str] = frozenset(),
) -> ConfusionMatrix:
    """Confusion matrix of a model over all batches.

    Args:
        model: returns logits N x K x H x W from keyword arguments `rgb` and/or `depth`; it is put in eval mode and
            left in the mode it had.
        batches: dictionaries with `label` int64 N x H x W and the inputs, of any sizes.
        classes: K.
        inputs: what the model reads.
        protocol: scales, flip, sliding window.
        device: where the model is.
        missing: inputs that are replaced by zeros (black, all missing), as a dead sensor would deliver them.
    """
    matrix = ConfusionMatrix(classes)
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            given = {name: batch[name].to(device) for name in inputs}
            given = {n: torch.zeros_like(i) if n in missing else i for n, i in given.items()}
            probabilities = predict_probabilities(
                model, given.get("rgb"), given.get("depth"), protocol, tuple(batch["label"].shape[1:])
            )
            matrix.update(batch["label"].numpy(), probabilities.argmax(1).cpu().numpy())
    finally:
        model.train(was_training)
    return matrix

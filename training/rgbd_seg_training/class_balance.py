"""Class weights of the cross entropy from how often classes occur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from rgbd_seg_ros.errors import UserError

Balance = Literal["none", "enet", "median"]


def balance_weights(pixels: Sequence[int], rule: Balance) -> Tensor | None:
    """Weights that let rare classes count for more.

    With p the share of a class in all labelled pixels: `enet` is 1 / ln(1.02 + p) (Paszke et al. 2016, ENet), which
    bounds the ratio of two weights at 35; `median` is median(p) / p (Eigen and Fergus 2015), with p over the whole
    split. A class that does not occur has the weight 0 and is left out of the median.

    Args:
        pixels: labelled pixels of each class in the training split.
        rule: how to weight; `none` = all alike.

    Returns:
        float32 of K weights with mean 1 over the classes that occur, or None for `none`.

    Raises:
        UserError: the pixels were not counted.
    """
    if rule == "none":
        return None
    counts = torch.as_tensor(list(pixels), dtype=torch.float64)
    seen = counts > 0
    if not seen.any():
        raise UserError(
            f"train.class_balance {rule} needs the pixels of each class, which the set's manifest.json does not hold; "
            "prepare the set again (training/prepare.py), or give --train.class_balance none."
        )
    share = counts / counts.sum()
    weights = torch.zeros_like(share)
    if rule == "enet":
        weights[seen] = 1 / torch.log(1.02 + share[seen])
    else:
        weights[seen] = share[seen].median() / share[seen]
    return (weights / weights[seen].mean()).float()

"""torch.compile around the networks of a method while they train."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import SegmentationModel


def compile_networks(networks: Iterable[nn.Module], backend: str) -> None:
    """Let `encode` and `decode` of networks run compiled in training mode.

    Validation stays as it is: its images have other sizes, and each size would be compiled anew. Parameters, names and
    saved models do not change.

    Args:
        networks: those of the registry are compiled, others are left alone.
        backend: of torch.compile; `inductor` needs a C++ compiler.

    Raises:
        UserError: torch has no such backend.
    """
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise UserError(f"train.compile is '{backend}', which torch does not have; give one of {', '.join(known)}.")
    for network in networks:
        if isinstance(network, SegmentationModel):
            for name in ("encode", "decode"):
                setattr(network, name, _in_training(network, getattr(network, name), backend))


def _in_training(network: nn.Module, eager: Callable[..., Any], backend: str) -> Callable[..., Any]:
    compiled = torch.compile(eager, backend=backend, dynamic=False)

    @functools.wraps(eager)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (compiled if network.training else eager)(*args, **kwargs)

    return call

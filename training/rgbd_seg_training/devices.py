"""How many processes a run has, and on what."""

from __future__ import annotations

import torch

from rgbd_seg_ros.errors import UserError


def on_gpu(accelerator: str) -> bool:
    """Whether a run with this `train.accelerator` trains on NVIDIA GPUs on this machine."""
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def process_count(devices: int | str, accelerator: str) -> int:
    """Number of processes of a run, each with a device of its own.

    Everything that depends on it (steps of an epoch, data order, strategy) takes this one number, so that `auto` cannot
    mean one process to us and several to Lightning.

    Args:
        devices: a number, its digits, or `auto`: every CUDA device where the accelerator is one, else 1.
        accelerator: `auto`, `cpu`, `gpu`...

    Raises:
        UserError: `devices` is something else.
    """
    if devices == "auto":
        return max(1, torch.cuda.device_count()) if on_gpu(accelerator) else 1
    text = str(devices)
    if isinstance(devices, bool) or not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise UserError(f"train.devices is {devices!r}; give a number of processes from 1 on, or auto.")
    return int(text)

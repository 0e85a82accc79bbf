"""Weights from files of other projects: read without unpickling code, fitted to the channels of a stream."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from rgbd_seg_ros.errors import UserError

_WRAPPERS = ("state_dict", "model", "module")


def read_state(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a `.safetensors`, `.pth` or `.pt` file by key, out of the usual wrappers.

    Raises:
        UserError: the file cannot be read, or it holds more than tensors and plain data.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); name a checkpoint file") from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} cannot be loaded as plain tensors ({type(error).__name__}): it is damaged or holds pickled code; "
            "download it again, or save its state_dict alone with the software that wrote it"
        ) from error
    return _tensors(content, path)


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside a checkpoint."""
    for _ in _WRAPPERS:
        inner = next((content[w] for w in _WRAPPERS if isinstance(content, Mapping) and w in content), None)
        if not isinstance(inner, Mapping):
            break
        content = inner
    state = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not state:
        raise UserError(f"{path} holds no tensors; name a checkpoint with a state_dict")
    return {key.removeprefix("module."): value for key, value in state.items()}


def fit_channels(kernel: Tensor, channels: int) -> Tensor:
    """A first convolution E x 3 x k x k for another number of input channels."""
    if kernel.shape[1] == channels:
        return kernel
    return kernel.mean(dim=1, keepdim=True).repeat(1, channels, 1, 1) * (kernel.shape[1] / channels)

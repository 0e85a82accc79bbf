"""Weights from files of other projects, read without unpickling code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.cmx import CmxModel
from rgbd_seg_ros.models.mit import MixTransformer
from rgbd_seg_ros.models.mit_weights import fill_encoder
from rgbd_seg_ros.models.network import SegmentationModel, SingleStreamModel

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


def load_mit_weights(model: SegmentationModel, path: Path | str) -> tuple[str, ...]:
    """Put ImageNet weights of a MiT (the public `mit_b*.pth`, RGB order) into every MiT stream of `model`.

    See `mit_weights.fill_encoder` for images with other than three channels.

    Returns:
        Keys of the file that were not used: the classifier's.

    Raises:
        UserError: the model has no MiT, or the file is not of the same size.
    """
    state = {key.removeprefix("backbone."): value for key, value in read_state(path).items()}
    unused = tuple(sorted(key for key in state if key.startswith(("head.", "decode_head."))))
    weights = {key: value for key, value in state.items() if key not in unused}
    for encoder in mit_streams(model):
        fill_encoder(encoder, weights, model.spec.encoder, str(path))
    return unused


def mit_streams(model: SegmentationModel) -> list[MixTransformer]:
    """The MiT encoders of a network.

    Raises:
        UserError: there is none.
    """
    encoders: list[nn.Module] = []
    if isinstance(model, CmxModel):
        encoders = list(model.encoders.values())
    elif isinstance(model, SingleStreamModel):
        encoders = [model.encoder]
    streams = [e for e in encoders if isinstance(e, MixTransformer)]
    if not streams:
        raise UserError(f"{model.spec.encoder} is no MiT; weights of timm encoders are loaded by name (pretrained)")
    return streams

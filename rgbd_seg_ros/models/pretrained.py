"""ImageNet weights of a MiT from a file, into the networks that have one."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.cmx import CmxModel
from rgbd_seg_ros.models.mit import MixTransformer
from rgbd_seg_ros.models.mit_weights import fill_encoder
from rgbd_seg_ros.models.network import SegmentationModel, SingleStreamModel
from rgbd_seg_ros.models.weight_files import read_state


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

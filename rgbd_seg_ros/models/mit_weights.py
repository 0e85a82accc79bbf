"""ImageNet weights of a MiT: fetched by name, and fitted to the channels of a stream."""

from __future__ import annotations

from collections.abc import Mapping

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.weight_files import fit_channels

_STEM = "patch_embed1.proj.weight"


def fetch_mit_weights(name: str) -> dict[str, Tensor]:
    """The public ImageNet weights of `mit_b0` .. `mit_b5` (RGB order), by way of segmentation_models_pytorch.

    Raises:
        UserError: that size has none, or they cannot be had.
    """
    if name not in smp.encoders.get_encoder_names():
        raise UserError(f"{name} has no ImageNet weights; train it from scratch, or choose mit_b0 to mit_b5.")
    try:
        encoder: nn.Module = smp.encoders.get_encoder(name, weights="imagenet")
    except (OSError, RuntimeError) as error:  # what the hub raises without a network, and for a damaged cache
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"ImageNet weights of {name} cannot be fetched ({reason}); connect, name a file with --encoder_weights, "
            "or set pretrained to false."
        ) from error
    return dict(encoder.state_dict())


def fill_encoder(encoder: nn.Module, weights: Mapping[str, Tensor], name: str, origin: str) -> None:
    """Put ImageNet weights into a MiT stream.

    A stream whose image has other than three channels gets the mean of the colour kernels, scaled so that the sum over
    channels is kept.

    Args:
        encoder: the stream.
        weights: by the public keys.
        name: of the encoder, for messages.
        origin: where the weights come from, for messages.

    Raises:
        UserError: the weights are of another size.
    """
    fitted = dict(weights)
    if _STEM in fitted:
        fitted[_STEM] = fit_channels(fitted[_STEM], encoder.get_parameter(_STEM).shape[1])
    try:
        encoder.load_state_dict(fitted, strict=True)
    except RuntimeError as error:
        raise UserError(f"{origin} does not fit {name}: {error}; name a file of that size") from error

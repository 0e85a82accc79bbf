"""Decoders: four feature maps, shallow to deep, to class scores at the stride of the shallowest.

Every decoder takes the list of stage outputs (each N x C_s x H_s x W_s) and returns N x K x H_1 x W_1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resize_to(x: Tensor, reference: Tensor) -> Tensor:
    """Bilinear resize to the height and width of `reference`."""
    if x.shape[-2:] == reference.shape[-2:]:
        return x
    return F.interpolate(x, size=reference.shape[-2:], mode="bilinear", align_corners=False)


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """Same-size convolution without bias, batch norm and ReLU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def separable_conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """Depthwise 3x3, then pointwise convolution with batch norm and ReLU."""
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=dilation, dilation=dilation, groups=inputs, bias=False)
    return nn.Sequential(depthwise, *conv_bn_relu(inputs, outputs))


class TokenProjection(nn.Module):
    """Linear layer over the channels of a feature map (kept linear for the public key name `proj`)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x E x H x W, as a 1x1 convolution: no transposes in the graph."""
        return F.conv2d(x, self.proj.weight[:, :, None, None], self.proj.bias)


class SegformerDecoder(nn.Module):
    """All-MLP decoder of SegFormer (Xie et al. 2021, section 3.2); key names as in the public checkpoints.

    Args:
        channels: widths of the four inputs.
        num_classes: K.
        width: common width E of the projected maps.
        bn_eps: epsilon of the batch norm: 1e-3 in the CMX student, 1e-5 in the single-stream teacher.
        dropout: probability of dropping a channel before the last convolution.
    """

    def __init__(
        self, channels: Sequence[int], num_classes: int, width: int = 512, bn_eps: float = 1e-3, dropout: float = 0.1
    ) -> None:
        super().__init__()
        for stage in range(4, 0, -1):
            self.add_module(f"linear_c{stage}", TokenProjection(channels[stage - 1], width))
        norm = nn.BatchNorm2d(width, eps=bn_eps, momentum=0.1)
        self.linear_fuse = nn.Sequential(nn.Conv2d(4 * width, width, 1), norm, nn.ReLU())
        self.dropout = nn.Dropout2d(dropout)
        self.linear_pred = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Class scores at the stride of the first map."""
        maps = [
            resize_to(self.get_submodule(f"linear_c{stage}")(features[stage - 1]), features[0])
            for stage in range(4, 0, -1)
        ]
        return self.linear_pred(self.dropout(self.linear_fuse(torch.cat(maps, dim=1))))


class LightFpnDecoder(nn.Module):
    """Small top-down pyramid for CPUs: 1x1 laterals, sums, one separable convolution per joined level.

    The deepest map is enriched with its global average, so that every pixel knows the scene.

    Args:
        channels: widths of the four inputs.
        num_classes: K.
        width: width of the pyramid.
        dropout: probability of dropping a channel before the last convolution.
    """

    def __init__(self, channels: Sequence[int], num_classes: int, width: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(conv_bn_relu(c, width) for c in channels)
        self.context = nn.Conv2d(width, width, 1)
        self.smooth = nn.ModuleList(separable_conv(width, width) for _ in channels[:-1])
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Class scores at the stride of the first map."""
        x = self.laterals[-1](features[-1])
        x = x + self.context(x.mean(dim=(2, 3), keepdim=True))
        for index in range(len(features) - 2, -1, -1):
            lateral = self.laterals[index](features[index])
            x = self.smooth[index](lateral + resize_to(x, lateral))
        return self.classify(self.dropout(x))


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling with separable convolutions (Chen et al. 2018, DeepLabV3+)."""

    def __init__(self, inputs: int, width: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([conv_bn_relu(inputs, width), *(separable_conv(inputs, width, r) for r in rates)])
        # No batch norm on the pooled branch: its 1 x 1 map has no statistics at batch size one.
        self.pooled = nn.Sequential(nn.Conv2d(inputs, width, 1), nn.ReLU(inplace=True))
        self.project = conv_bn_relu(width * (len(rates) + 2), width)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x width x H x W."""
        pooled = self.pooled(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, x.shape[2], x.shape[3])
        return self.project(torch.cat([*(branch(x) for branch in self.branches), pooled], dim=1))


class DeepLabDecoder(nn.Module):
    """DeepLabV3+ decoder: ASPP on the deepest map, joined with the stride-4 map.

    Args:
        channels: widths of the four inputs; only the first and the last are read.
        num_classes: K.
        width: width of ASPP and head.
        rates: dilation rates of ASPP at the deepest map.
        skip_width: width that the stride-4 map is reduced to.
        dropout: probability of dropping a channel before the last convolution.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        width: int = 256,
        rates: Sequence[int] = (6, 12, 18),
        skip_width: int = 48,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.aspp = Aspp(channels[-1], width, rates)
        self.skip = conv_bn_relu(channels[0], skip_width)
        self.head = nn.Sequential(separable_conv(width + skip_width, width), nn.Dropout2d(dropout))
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Class scores at the stride of the first map."""
        skip = self.skip(features[0])
        deep = resize_to(self.aspp(features[-1]), skip)
        return self.classify(self.head(torch.cat((deep, skip), dim=1)))


DECODERS: dict[str, type[nn.Module]] = {
    "segformer": SegformerDecoder,
    "lightfpn": LightFpnDecoder,
    "deeplabv3plus": DeepLabDecoder,
}
"""Every decoder by name."""

"""The one implementation of input normalisation; it is part of every network and of every exported graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rgbd_seg_ros.models.spec import IMAGENET_MEAN, IMAGENET_STD, DepthEncoding

MISSING_WITHOUT_MASK = -3.0
"""Encoded value of a missing pixel when there is no mask channel: outside the range -2..2 of measured depth."""


class RgbNormalizer(nn.Module):
    """Colour image uint8 N x H x W x 3 to float N x 3 x H x W with zero mean and unit deviation.

    Args:
        mean: channel means in 0..1.
        std: channel standard deviations in 0..1.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        shape = (1, len(mean), 1, 1)
        # Not persistent: the numbers live in the spec, so a checkpoint cannot contradict it.
        self.register_buffer("mean", 255.0 * torch.tensor(mean).view(shape), persistent=False)
        self.register_buffer("inverse_std", 1.0 / (255.0 * torch.tensor(std).view(shape)), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Normalise; the result is channels-last in memory, as the input was."""
        return (image.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) * self.inverse_std


class DepthNormalizer(nn.Module):
    """Depth float32 N x H x W in metres (0 = missing) to float N x C x H x W.

    The position t of a pixel between near and far end is linear in the depth, its logarithm or its inverse, and is
    spread to 4 t - 2 (from -2 to 2). A missing pixel is 0 in every channel if there is a mask channel, so that it looks
    like the zero padding of a convolution; without a mask channel it is -3.

    Args:
        encoding: the encoding, not `hha`.
    """

    def __init__(self, encoding: DepthEncoding) -> None:
        super().__init__()
        self.encoding = encoding

    def forward(self, depth: Tensor) -> Tensor:
        """Encode; NaN and negative depth count as missing, infinite depth as far."""
        depth = depth.float()
        valid = depth > 0.0
        clipped = torch.where(valid, depth, self.encoding.max_m).clamp(self.encoding.min_m, self.encoding.max_m)
        value = 4.0 * self._position(clipped) - 2.0
        if not self.encoding.mask_channel:
            return torch.where(valid, value, MISSING_WITHOUT_MASK).unsqueeze(1)
        mask = valid.to(value.dtype)
        return torch.stack((value * mask, mask), dim=1)

    def _position(self, depth: Tensor) -> Tensor:
        """Position of a clipped depth in 0..1; for `inverse`, 1 is the near end."""
        near, far = self.encoding.min_m, self.encoding.max_m
        if self.encoding.encoding == "linear":
            return (depth - near) * (1.0 / (far - near))
        if self.encoding.encoding == "log":
            return (torch.log(depth) - math.log(near)) * (1.0 / math.log(far / near))
        return (1.0 / depth - 1.0 / far) * (1.0 / (1.0 / near - 1.0 / far))


def depth_normalizer(
    encoding: DepthEncoding, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> nn.Module:
    """The module that encodes depth; `hha` images (uint8 N x H x W x 3) are normalised like colour."""
    return RgbNormalizer(mean, std) if encoding.encoding == "hha" else DepthNormalizer(encoding)

"""Mix Transformer encoders B0 to B5 (SegFormer, Xie et al. 2021) with the key names of the public checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn.init import trunc_normal_

from rgbd_seg_ros.models.staged import StagedEncoder


@dataclass(frozen=True)
class MitSize:
    """Widths, attention heads, blocks and key/value reduction of the four stages."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int] = (1, 2, 5, 8)
    reductions: tuple[int, int, int, int] = (8, 4, 2, 1)


_WIDE = (64, 128, 320, 512)
MIT_SIZES: dict[str, MitSize] = {
    "mit_tiny": MitSize((16, 32, 80, 128), (1, 1, 2, 1)),
    "mit_b0": MitSize((32, 64, 160, 256), (2, 2, 2, 2)),
    "mit_b1": MitSize(_WIDE, (2, 2, 2, 2)),
    "mit_b2": MitSize(_WIDE, (3, 4, 6, 3)),
    "mit_b3": MitSize(_WIDE, (3, 4, 18, 3)),
    "mit_b4": MitSize(_WIDE, (3, 8, 27, 3)),
    "mit_b5": MitSize(_WIDE, (3, 6, 40, 3)),
}
"""The published sizes, and `mit_tiny` (ours) for demonstrations and small computers."""


def to_tokens(x: Tensor) -> Tensor:
    """Image N x C x H x W to tokens N x HW x C."""
    return x.flatten(2).transpose(1, 2)


def to_image(tokens: Tensor, height: int, width: int) -> Tensor:
    """Tokens N x HW x C to image N x C x H x W (channels-last in memory)."""
    return tokens.transpose(1, 2).unflatten(2, (height, width))


class OverlapPatchEmbed(nn.Module):
    """Strided convolution and layer norm: image N x C x H x W to tokens N x hw x E and their (h, w)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, int, int]:
        """See the class; odd sizes round up."""
        x = self.proj(x)
        height, width = x.shape[-2:]
        return self.norm(to_tokens(x)), height, width


class EfficientAttention(nn.Module):
    """Self-attention whose keys and values see an image reduced `reduction` times in each direction."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, stride=reduction)
            self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Tokens N x HW x C to the same shape."""
        q = self._split(self.q(x))
        source = x
        if self.reduction > 1:
            source = self.norm(to_tokens(self.sr(to_image(x, height, width))))
        k, v = self.kv(source).chunk(2, dim=-1)
        y = F.scaled_dot_product_attention(q, self._split(k), self._split(v))
        return self.proj(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """N x L x C to N x heads x L x C/heads."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class DepthwiseConv(nn.Module):
    """3x3 depthwise convolution over tokens (a class of its own for the public key name)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Tokens N x HW x C to the same shape."""
        return to_tokens(self.dwconv(to_image(x, height, width)))


class MixFfn(nn.Module):
    """Linear, depthwise 3x3, GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Tokens N x HW x C to the same shape."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(x), height, width)))


class MitBlock(nn.Module):
    """Pre-norm transformer block of MiT."""

    def __init__(self, width: int, heads: int, reduction: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = EfficientAttention(width, heads, reduction)
        self.drop_path = DropPath(drop_path) if drop_path > 0.0 else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MixFfn(width, 4 * width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Tokens N x HW x C to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x), height, width))
        return x + self.drop_path(self.mlp(self.norm2(x), height, width))


class MixTransformer(StagedEncoder):
    """MiT encoder.

    Args:
        size: a name of `MIT_SIZES`.
        in_channels: channels of the image.
        drop_path: stochastic depth of the last block; it rises linearly from 0 over all blocks.
    """

    def __init__(self, size: str, in_channels: int = 3, drop_path: float = 0.1) -> None:
        super().__init__()
        sizes = MIT_SIZES[size]
        self.channels = sizes.widths
        self.heads = sizes.heads
        total = sum(sizes.depths)
        rates = [drop_path * i / max(total - 1, 1) for i in range(total)]
        inputs = (in_channels, *sizes.widths[:-1])
        for i, (width, heads, depth, reduction) in enumerate(
            zip(sizes.widths, sizes.heads, sizes.depths, sizes.reductions, strict=True)
        ):
            kernel, stride = (7, 4) if i == 0 else (3, 2)
            own, rates = rates[:depth], rates[depth:]
            blocks = nn.ModuleList(MitBlock(width, heads, reduction, rate) for rate in own)
            self.add_module(f"patch_embed{i + 1}", OverlapPatchEmbed(inputs[i], width, kernel, stride))
            self.add_module(f"block{i + 1}", blocks)
            self.add_module(f"norm{i + 1}", nn.LayerNorm(width, eps=1e-6))
        self.apply(init_segformer)

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """See the base class."""
        tokens, height, width = self.get_submodule(f"patch_embed{index + 1}")(x)
        for block in self.get_submodule(f"block{index + 1}").children():
            tokens = block(tokens, height, width)
        return to_image(self.get_submodule(f"norm{index + 1}")(tokens), height, width)


def init_segformer(module: nn.Module) -> None:
    """Initialisation of SegFormer: linear layers N(0, 0.02) truncated, convolutions N(0, sqrt(2 / fan out))."""
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)

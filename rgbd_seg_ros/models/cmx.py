"""CMX (Zhang et al. 2023): two streams that rectify each other after every stage and are fused for the decoder.

Sub-module names follow the public checkpoints, so that importing needs no more than a change of prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rgbd_seg_ros.models.mit import MixTransformer, init_segformer, to_image, to_tokens
from rgbd_seg_ros.models.network import SegmentationModel
from rgbd_seg_ros.models.spec import ModelSpec
from rgbd_seg_ros.models.staged import StagedEncoder

LAMBDA_CHANNEL = 0.5
LAMBDA_SPATIAL = 0.5
MAX_HEADS = (1, 2, 5, 8)


class ChannelWeights(nn.Module):
    """Channel attention of FRM from the average and maximum of both maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(4 * width, 4 * width), nn.ReLU(inplace=True), nn.Linear(4 * width, 2 * width), nn.Sigmoid()
        )

    def forward(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """Two weights N x C x 1 x 1 for the joined map N x 2C x H x W."""
        pooled = torch.cat((both.mean(dim=(2, 3)), both.amax(dim=(2, 3))), dim=1)
        first, second = self.mlp(pooled)[:, :, None, None].chunk(2, dim=1)
        return first, second


class SpatialWeights(nn.Module):
    """Spatial attention of FRM."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Conv2d(2 * width, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, 2, 1), nn.Sigmoid()
        )

    def forward(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """Two maps N x 1 x H x W for the joined map N x 2C x H x W."""
        first, second = self.mlp(both).chunk(2, dim=1)
        return first, second


class FeatureRectifyModule(nn.Module):
    """FRM: each modality is corrected by the other, channel- and pixel-wise (CMX, section III-B)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channel_weights = ChannelWeights(width)
        self.spatial_weights = SpatialWeights(width)

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Two maps N x C x H x W to two rectified maps of the same shape."""
        both = torch.cat((x1, x2), dim=1)
        channel0, channel1 = self.channel_weights(both)
        spatial0, spatial1 = self.spatial_weights(both)
        out1 = x1 + (LAMBDA_CHANNEL * channel1 + LAMBDA_SPATIAL * spatial1) * x2
        out2 = x2 + (LAMBDA_CHANNEL * channel0 + LAMBDA_SPATIAL * spatial0) * x1
        return out1, out2


class CrossAttention(nn.Module):
    """Each modality's queries against the other's d x d context: linear in the number of tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.kv1 = nn.Linear(width, 2 * width, bias=False)
        self.kv2 = nn.Linear(width, 2 * width, bias=False)

    def forward(self, u1: Tensor, u2: Tensor) -> tuple[Tensor, Tensor]:
        """Two token sets N x L x C to two attended sets of the same shape."""
        a1 = self._attend(u1, self._context(self.kv2(u2)))
        a2 = self._attend(u2, self._context(self.kv1(u1)))
        return a1, a2

    def _context(self, kv: Tensor) -> Tensor:
        """N x heads x d x d, softmax over the key channels."""
        k, v = kv.unflatten(2, (2, self.heads, -1)).unbind(dim=2)
        scores = k.permute(0, 2, 3, 1) @ v.transpose(1, 2)
        return (scores * self.scale).softmax(dim=-2)

    def _attend(self, u: Tensor, context: Tensor) -> Tensor:
        q = u.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return (q @ context).transpose(1, 2).flatten(2)


class CrossPath(nn.Module):
    """First half of FFM: exchange of information between the two token sets."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.channel_proj1 = nn.Linear(width, 2 * width)
        self.channel_proj2 = nn.Linear(width, 2 * width)
        self.cross_attn = CrossAttention(width, heads)
        self.end_proj1 = nn.Linear(2 * width, width)
        self.end_proj2 = nn.Linear(2 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, t1: Tensor, t2: Tensor) -> tuple[Tensor, Tensor]:
        """Two token sets N x L x C to two of the same shape."""
        y1, u1 = self.channel_proj1(t1).relu().chunk(2, dim=-1)
        y2, u2 = self.channel_proj2(t2).relu().chunk(2, dim=-1)
        a1, a2 = self.cross_attn(u1, u2)
        out1 = self.norm1(t1 + self.end_proj1(torch.cat((y1, a1), dim=-1)))
        out2 = self.norm2(t2 + self.end_proj2(torch.cat((y2, a2), dim=-1)))
        return out1, out2


class ChannelEmbed(nn.Module):
    """Second half of FFM: both maps, side by side, to one of width C."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual = nn.Conv2d(2 * width, width, 1, bias=False)
        self.channel_embed = nn.Sequential(
            nn.Conv2d(2 * width, width, 1),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1),
            nn.BatchNorm2d(width),
        )
        self.norm = nn.BatchNorm2d(width)

    def forward(self, both: Tensor) -> Tensor:
        """N x 2C x H x W to N x C x H x W."""
        return self.norm(self.residual(both) + self.channel_embed(both))


class FeatureFusionModule(nn.Module):
    """FFM: two maps N x C x H x W to one (CMX, section III-C)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross = CrossPath(width, heads)
        self.channel_emb = ChannelEmbed(width)
        self.apply(init_segformer)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """See the class."""
        height, width = x1.shape[-2:]
        out1, out2 = self.cross(to_tokens(x1), to_tokens(x2))
        return self.channel_emb(to_image(torch.cat((out1, out2), dim=-1), height, width))


class CmxModel(SegmentationModel):
    """Two encoders of the same kind with FRM and FFM after every stage.

    The next stage receives the rectified pair; `encode` returns the fused maps.

    Args:
        spec: a spec with both inputs.
        rgb_encoder: encoder of the colour stream.
        depth_encoder: encoder of the depth stream, with the same widths.
        decoder: see the base class.
        heads: attention heads of FFM per stage; default: those of the MiT, else the largest divisors of the widths
            that are at most 1, 2, 5 and 8.
    """

    def __init__(
        self,
        spec: ModelSpec,
        rgb_encoder: StagedEncoder,
        depth_encoder: StagedEncoder,
        decoder: nn.Module,
        heads: Sequence[int] | None = None,
    ) -> None:
        super().__init__(spec, decoder)
        self.encoders = nn.ModuleDict({"rgb": rgb_encoder, "depth": depth_encoder})
        self.feature_channels = rgb_encoder.channels
        heads = heads or default_heads(rgb_encoder)
        self.FRMs = nn.ModuleList(FeatureRectifyModule(c) for c in rgb_encoder.channels)
        self.FFMs = nn.ModuleList(FeatureFusionModule(c, h) for c, h in zip(rgb_encoder.channels, heads, strict=True))
        self.FRMs.apply(init_segformer)

    def encode(self, rgb: Tensor | None = None, depth: Tensor | None = None) -> list[Tensor]:
        """Fused maps of the four stages; see the base class."""
        x1, x2 = self.normalized("rgb", rgb), self.normalized("depth", depth)
        streams = self.encoders["rgb"], self.encoders["depth"]
        fused = []
        for index, (rectify, fuse) in enumerate(zip(self.FRMs, self.FFMs, strict=True)):
            x1, x2 = rectify(*(s.run_stage(index, x) for s, x in zip(streams, (x1, x2), strict=True)))  # type: ignore[operator]
            fused.append(fuse(x1, x2))
        return fused


def default_heads(encoder: StagedEncoder) -> tuple[int, ...]:
    """Attention heads of FFM per stage for an encoder."""
    if isinstance(encoder, MixTransformer):
        return encoder.heads
    return tuple(
        max(h for h in range(1, most + 1) if c % h == 0) for c, most in zip(encoder.channels, MAX_HEADS, strict=True)
    )

"""Networks that exist in training only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class AuxiliaryDecoder(nn.Module):
    """Small decoder from half of the deepest features to class scores at their stride.

    A 1x1 convolution, a depthwise 3x3 convolution and a 1x1 classifier: light, since it is run on four parts.
    """

    def __init__(self, channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, num_classes, 1),
        )

    def forward(self, part: Tensor) -> Tensor:
        """N x C x h x w to N x K x h x w."""
        return self.body(part)


class ProjectionHead(nn.Module):
    """Two-layer projection of pooled or gathered features for the contrast (Chen et al. 2020, SimCLR)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, width))

    def forward(self, vectors: Tensor) -> Tensor:
        """B x C to B x D."""
        return self.body(vectors)


class EmbeddingQueue(nn.Module):
    """Normalised embeddings of earlier batches, one ring per modality, as further negatives (He et al. 2020, MoCo)."""

    rgb: Tensor
    depth: Tensor
    filled: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rgb", torch.zeros(length, width))
        self.register_buffer("depth", torch.zeros(length, width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def negatives(self) -> tuple[Tensor, Tensor]:
        """Embeddings pushed so far, clones of Q x D each: the rings change before the backward pass reads them."""
        count = min(int(self.filled), len(self.rgb))
        return self.rgb[:count].clone(), self.depth[:count].clone()

    @torch.no_grad()
    def push(self, rgb: Tensor, depth: Tensor) -> None:
        """Add a batch, over the oldest entries."""
        places = (int(self.filled) + torch.arange(len(rgb), device=rgb.device)) % len(self.rgb)
        self.rgb[places] = functional.normalize(rgb.float(), dim=1)
        self.depth[places] = functional.normalize(depth.float(), dim=1)
        self.filled += len(rgb)

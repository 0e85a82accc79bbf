"""A network from images to class scores: in-graph preprocessing, encoder(s), decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from rgbd_seg_ros.models.preprocessing import RgbNormalizer, depth_normalizer
from rgbd_seg_ros.models.spec import ModelSpec
from rgbd_seg_ros.models.staged import StagedEncoder


class SegmentationModel(nn.Module):
    """Base of all networks.

    `forward` is `upsample(decode(encode(rgb, depth)))`; a method that needs the features calls the three itself.

    Args:
        spec: what the network was built from.
        decoder: takes the four feature maps of `encode`.

    Attributes:
        feature_channels: widths of the maps that `encode` returns, shallow to deep.
    """

    feature_channels: tuple[int, ...]

    def __init__(self, spec: ModelSpec, decoder: nn.Module) -> None:
        super().__init__()
        self.spec = spec
        self.decoder = decoder
        self.normalizers = nn.ModuleDict()
        if "rgb" in spec.inputs:
            self.normalizers["rgb"] = RgbNormalizer(spec.rgb_mean, spec.rgb_std)
        if "depth" in spec.inputs:
            self.normalizers["depth"] = depth_normalizer(spec.depth, spec.rgb_mean, spec.rgb_std)

    def encode(self, rgb: Tensor | None = None, depth: Tensor | None = None) -> list[Tensor]:
        """Four feature maps, shallow to deep; the deepest is `[-1]`."""
        raise NotImplementedError

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Class scores N x K at the stride of the first feature map (4)."""
        return self.decoder(features)

    def upsample(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Class scores at `size` (height, width), bilinear."""
        return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)

    def forward(self, rgb: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        """Class scores N x K x H x W.

        Args:
            rgb: uint8 N x H x W x 3, RGB order.
            depth: float32 N x H x W in metres, 0 = missing (`hha`: uint8 N x H x W x 3).

        Raises:
            ValueError: an image that the network reads was not given.
        """
        scores = self.decode(self.encode(rgb, depth))
        return self.upsample(scores, image_size(rgb if rgb is not None else depth))

    def normalized(self, name: str, image: Tensor | None) -> Tensor:
        """The image `name` after preprocessing, N x C x H x W."""
        if image is None:
            raise ValueError(f"this network reads {' and '.join(self.spec.inputs)}, but no {name} image was given")
        return self.normalizers[name](image)


class SingleStreamModel(SegmentationModel):
    """One modality, one encoder, one decoder.

    Args:
        spec: a spec with one input.
        encoder: the staged encoder, its first convolution as wide as the preprocessed image.
        decoder: see the base class.
    """

    def __init__(self, spec: ModelSpec, encoder: StagedEncoder, decoder: nn.Module) -> None:
        super().__init__(spec, decoder)
        self.encoder = encoder
        self.feature_channels = encoder.channels

    def encode(self, rgb: Tensor | None = None, depth: Tensor | None = None) -> list[Tensor]:
        """See the base class; the image of the other modality is ignored."""
        name = self.spec.inputs[0]
        return self.encoder(self.normalized(name, rgb if name == "rgb" else depth))


def image_size(image: Tensor | None) -> tuple[int, int]:
    """Height and width of a batch of images N x H x W (x 3)."""
    if image is None:
        raise ValueError("neither a colour nor a depth image was given")
    return image.shape[1], image.shape[2]

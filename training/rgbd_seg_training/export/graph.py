"""What is exported: a network with its class choice and confidence, images in and two uint8 images out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.network import SegmentationModel


class LabellingGraph(nn.Module):
    """A network followed by the choice of the class, as the graph contract of a bundle asks for.

    Args:
        model: any network of `build_model`, in eval mode; the order of the inputs is that of its spec.
        upsampling: `exact` chooses the class at image size from interpolated scores, `fast` at the size of the scores
            (a quarter of the image), which costs accuracy at the edges and saves most of the time after the network.

    Raises:
        UserError: the network reads HHA images, which a live stream does not have.
    """

    def __init__(self, model: SegmentationModel, upsampling: str = "exact") -> None:
        super().__init__()
        if "depth" in model.spec.inputs and model.spec.depth.encoding == "hha":
            raise UserError("a network that reads HHA images cannot label live depth; train one with inverse depth")
        self.model = model
        self.upsampling = upsampling

    def scores(self, *images: Tensor) -> Tensor:
        """Class scores N x K x h x w at the size at which the class is chosen."""
        named = dict(zip(self.model.spec.inputs, images, strict=True))
        if self.upsampling == "exact":
            return self.model(**named)
        return self.model.decode(self.model.encode(**named))

    def forward(self, *images: Tensor) -> tuple[Tensor, Tensor]:
        """`label` and `confidence`, uint8 N x h x w, of `images` (uint8 N x H x W x 3, float32 N x H x W metres)."""
        scores = self.scores(*images).float()
        best = scores.amax(dim=1, keepdim=True)
        label = scores.argmax(dim=1)
        # The probability of the best class is exp(0) over the sum: one division instead of K.
        confidence = 255.0 / torch.exp(scores - best).sum(dim=1)
        return label.to(torch.uint8), torch.round(confidence).to(torch.uint8)


def example_images(model: SegmentationModel, height: int, width: int) -> tuple[Tensor, ...]:
    """Images of the right type and size for `model`, to trace it with."""
    examples = {
        "rgb": torch.zeros(1, height, width, 3, dtype=torch.uint8),
        "depth": torch.ones(1, height, width, dtype=torch.float32),
    }
    return tuple(examples[name] for name in model.spec.inputs)

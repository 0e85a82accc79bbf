"""What is exported: a network with its class choice and confidence, images in and two uint8 images out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rgbd_seg_ros.core.frames import UNLABELLED
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
        """Class scores 1 x K x h x w at the size at which the class is chosen."""
        # TensorRT takes uint8 inputs only if the first thing that happens to them is a cast.
        named = dict(zip(self.model.spec.inputs, (image.float() for image in images), strict=True))
        if self.upsampling == "exact":
            return self.model(**named)
        return self.model.decode(self.model.encode(**named))

    def forward(self, *images: Tensor) -> tuple[Tensor, Tensor]:
        """`label` and `confidence`, uint8 1 x h x w, of `images` (uint8 1 x H x W x 3, float32 1 x H x W metres)."""
        return choose_class(self.scores(*images).float())


def choose_class(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Best class and 255 times its softmax probability, rounded, both uint8 1 x h x w, of scores 1 x K x h x w.

    Written as reductions over the first axis of a K x (h w) matrix, because runtimes have no fast ArgMax: with 40
    classes this takes ONNX Runtime less than half the time of `argmax(dim=1)`. The index is a float until the end
    because TensorRT computes with nothing smaller than int32. Equal scores go to the lower class, a score that is not
    a number makes the pixel unlabelled.
    """
    _, classes, height, width = scores.shape
    rows = scores.reshape(classes, height * width)
    best = rows.amax(dim=0)
    index = torch.arange(classes, dtype=torch.float32).reshape(classes, 1)
    label = torch.where(rows == best, index, float(UNLABELLED)).amin(dim=0)
    # The probability of the best class is exp(0) over the sum: one division instead of K.
    confidence = torch.round(255.0 / torch.exp(rows - best).sum(dim=0))
    # The cast comes last: TensorRT has no uint8 but that of outputs.
    label, confidence = (row.reshape(1, height, width).to(torch.uint8) for row in (label, confidence))
    return label, confidence


def example_images(model: SegmentationModel, height: int, width: int) -> tuple[Tensor, ...]:
    """Images of the right type and size for `model`, to trace it with."""
    examples = {
        "rgb": torch.zeros(1, height, width, 3, dtype=torch.uint8),
        "depth": torch.ones(1, height, width, dtype=torch.float32),
    }
    return tuple(examples[name] for name in model.spec.inputs)

"""What is exported: a network with its class choice and confidence, images in and two uint8 images out."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.network import SegmentationModel, image_size

MOST_CHANNELS = 15
"""Classes that are interpolated together. From 16 on OpenVINO (2026.4) turns the result to planes by slow reference
code, which with 40 classes took four times as long as everything else after the network."""


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

    def coarse_scores(self, *images: Tensor) -> Tensor:
        """Class scores 1 x K x h x w as the network gives them, at a quarter of the image size."""
        # TensorRT takes uint8 inputs only if the first thing that happens to them is a cast.
        named = dict(zip(self.model.spec.inputs, (image.float() for image in images), strict=True))
        return self.model.decode(self.model.encode(**named))

    def scores(self, *images: Tensor) -> Tensor:
        """Class scores 1 x K x h x w at the size at which the class is chosen."""
        coarse = self.coarse_scores(*images)
        return self.model.upsample(coarse, image_size(images[0])) if self.upsampling == "exact" else coarse

    def forward(self, *images: Tensor) -> tuple[Tensor, Tensor]:
        """`label` and `confidence`, uint8 1 x h x w, of `images` (uint8 1 x H x W x 3, float32 1 x H x W metres)."""
        coarse = self.coarse_scores(*images)
        if self.upsampling != "exact":
            return choose_class(coarse.float())
        groups = interpolation_groups(coarse)
        return choose_class(*(self.model.upsample(group, image_size(images[0])).float() for group in groups))


def interpolation_groups(coarse: Tensor) -> tuple[Tensor, ...]:
    """Scores 1 x K x h x w in the parts that are interpolated together, see `MOST_CHANNELS`."""
    return coarse.chunk(-(-coarse.shape[1] // MOST_CHANNELS), dim=1)


def choose_class(*scores: Tensor) -> tuple[Tensor, Tensor]:
    """Best class and 255 times its softmax probability, rounded, both uint8 1 x h x w.

    Args:
        scores: 1 x K x h x w, or several such with the classes in order.

    Written plane by plane: the runtimes have no fast ArgMax and no fast reduction over the first axis, but a chain of
    element-wise operations on one plane stays in the cache and is fused by those that can. docs/inference.md has the
    figures. The label is a float until the end because TensorRT computes with nothing smaller than int32. Equal scores
    go to the lower class, a score that is not a number makes the pixel unlabelled.
    """
    height, width = scores[0].shape[-2:]
    planes = [p for part in scores for p in part.reshape(part.shape[1], height * width).split(1)]
    best = functools.reduce(torch.maximum, planes)
    label: float | Tensor = float(UNLABELLED)
    for index in reversed(range(len(planes))):
        label = torch.where(planes[index] == best, float(index), label)
    assert isinstance(label, Tensor)
    # The probability of the best class is exp(0) over the sum: one division instead of K.
    total = functools.reduce(torch.add, [torch.exp(plane - best) for plane in planes])
    confidence = torch.round(255.0 / total)
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

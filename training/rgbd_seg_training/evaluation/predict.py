"""Class probabilities of a model by an evaluation protocol: scales, mirror images, sliding windows.

Whatever the protocol, **softmax probabilities** are resized to the size of the label and averaged; logits or their
exponentials are never summed. Heights stay heights and widths stay widths at every scale, and every pixel is scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from rgbd_seg_ros.errors import UserError

Model = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How an image is evaluated.

    Attributes:
        scales: factors of the input size; probabilities are averaged over them.
        flip: also evaluate the mirror image at every scale.
        window: (height, width) of a sliding window in the scaled image; None evaluates the whole image at once.
        stride: share of the window between two places.
        size: (height, width) of the image at scale 1; None leaves it as it is.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: tuple[int, int] | None = None
    stride: float = 2 / 3
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise UserError(f"Evaluation scales must be positive numbers, not {self.scales}.")
        if not 0 < self.stride <= 1:
            raise UserError(f"The stride of a sliding window must be in 0..1 of the window, not {self.stride}.")


NYU_MULTI_SCALE = Protocol(scales=(0.75, 1.0, 1.25), flip=True)
SUN_MULTI_SCALE = Protocol(scales=(0.5, 0.75, 1.0, 1.25, 1.5), flip=True)


def _resize(image: Tensor, size: tuple[int, int], mode: Literal["rgb", "depth"]) -> Tensor:
    """Bring N x H x W (x C) to a size: colour linearly (antialiased when it shrinks), depth by nearest neighbour."""
    if tuple(image.shape[1:3]) == size:
        return image
    planes = image.permute(0, 3, 1, 2) if image.ndim == 4 else image[:, None]
    if mode == "rgb":
        shrinks = size[0] < image.shape[1]
        planes = functional.interpolate(planes.float(), size, mode="bilinear", align_corners=False, antialias=shrinks)
        planes = planes.round().clamp(0, 255).to(torch.uint8)
    else:
        planes = functional.interpolate(planes.float(), size, mode="nearest-exact").to(image.dtype)
    return planes.permute(0, 2, 3, 1).contiguous() if image.ndim == 4 else planes[:, 0]


def _probabilities(model: Model, inputs: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
    probabilities = model(**inputs).float().softmax(1)
    if tuple(probabilities.shape[2:]) == size:
        return probabilities
    return functional.interpolate(probabilities, size, mode="bilinear", align_corners=False)


def window_starts(length: int, window: int, stride: float) -> list[int]:
    """First pixels of windows that cover 0..length, evenly spread; the last one ends at `length`."""
    if window >= length:
        return [0]
    steps = -(-(length - window) // max(1, int(window * stride)))
    return [round(i * (length - window) / steps) for i in range(steps + 1)]


def _pad(image: Tensor, height: int, width: int) -> Tensor:
    """Pad N x H x W (x C) with zeros below and to the right to at least (height, width)."""
    below, right = max(0, height - image.shape[1]), max(0, width - image.shape[2])
    if not below and not right:
        return image
    margins = (0, 0, 0, right, 0, below) if image.ndim == 4 else (0, right, 0, below)
    return functional.pad(image, margins)


def _slide(model: Model, inputs: dict[str, Tensor], window: tuple[int, int], stride: float) -> Tensor:
    """Probabilities of the whole image from overlapping windows, averaged where they overlap."""
    height, width = next(iter(inputs.values())).shape[1:3]
    inputs = {name: _pad(image, *window) for name, image in inputs.items()}
    full_height, full_width = next(iter(inputs.values())).shape[1:3]
    total: Tensor | None = None
    seen = torch.zeros(full_height, full_width, device=next(iter(inputs.values())).device)
    for top in window_starts(full_height, window[0], stride):
        for left in window_starts(full_width, window[1], stride):
            rows, columns = slice(top, top + window[0]), slice(left, left + window[1])
            part = _probabilities(model, {n: i[:, rows, columns] for n, i in inputs.items()}, window)
            if total is None:
                total = part.new_zeros(*part.shape[:2], full_height, full_width)
            total[:, :, rows, columns] += part
            seen[rows, columns] += 1
    assert total is not None  # window_starts always names at least one place
    return (total / seen)[:, :, :height, :width]


def _flip(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: image.flip(2) for name, image in inputs.items()}


@torch.no_grad()
def predict_probabilities(
    model: Model,
    rgb: Tensor | None,
    depth: Tensor | None,
    protocol: Protocol | None = None,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Class probabilities of a batch.

    Args:
        model: callable with `rgb` and/or `depth` that returns logits N x K x H x W.
        rgb: uint8 N x H x W x 3, None to leave it out.
        depth: float32 N x H x W metres with 0 = missing (or uint8 N x H x W x 3 HHA), None to leave it out.
        protocol: scales, flip and window; default whole image at scale 1.
        size: (height, width) of the result; default the size of the input.

    Returns:
        float32 N x K x height x width; sums to 1 over K.

    Raises:
        UserError: neither input is given, or their sizes differ.
    """
    protocol = protocol or Protocol()
    inputs = {name: image for name, image in (("rgb", rgb), ("depth", depth)) if image is not None}
    shapes = {tuple(image.shape[1:3]) for image in inputs.values()}
    if len(shapes) != 1:
        raise UserError(f"Evaluation needs colour and depth of one size, or one of them; got sizes {sorted(shapes)}.")
    height, width = shapes.pop()
    wanted = size or (height, width)
    height, width = protocol.size or (height, width)
    total: Tensor | None = None
    for scale in protocol.scales:
        scaled_size = max(1, round(height * scale)), max(1, round(width * scale))
        scaled = {n: _resize(i, scaled_size, "rgb" if n == "rgb" else "depth") for n, i in inputs.items()}
        for mirrored in (False, True) if protocol.flip else (False,):
            views = _flip(scaled) if mirrored else scaled
            part = (
                _slide(model, views, protocol.window, protocol.stride)
                if protocol.window
                else _probabilities(model, views, scaled_size)
            )
            part = part.flip(3) if mirrored else part
            if tuple(part.shape[2:]) != wanted:
                part = functional.interpolate(part, wanted, mode="bilinear", align_corners=False)
            total = part if total is None else total + part
    assert total is not None  # a protocol has at least one scale
    return total / (len(protocol.scales) * (2 if protocol.flip else 1))

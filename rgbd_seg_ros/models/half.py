"""Networks that compute in half precision, except where depth does not bear it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rgbd_seg_ros.models.network import SegmentationModel

_LAYERS = (nn.Conv2d, nn.Linear)
_SIDE = 64  # pixels of the images that the layers are found with: one of the deepest features' cells, twice over


def to_half(model: SegmentationModel) -> None:
    """Changes `model`, in place, so that it computes in fp16; normalisation and the first layers stay in fp32.

    A step of normalised depth three metres away is 7 mm in half floats, and the first layer looks for differences of
    neighbours that are smaller, by weights which cancel out only if nothing rounds them. These two roundings make most
    of the labels that fp16 changes (docs/measurements.md). First layers read few channels and cost little.

    Args:
        model: in eval mode, in fp32.
    """
    first = first_layers(model)
    # Taken out meanwhile: what has been in half floats once stays rounded.
    normalizers, model.normalizers = model.normalizers, nn.ModuleDict()
    layers = {name: _replace(model, name, nn.Identity()) for name in first}
    model.half()
    for name, layer in layers.items():
        _replace(model, name, _InFloat(layer))
    model.normalizers = normalizers


def first_layers(model: SegmentationModel) -> list[str]:
    """Names of the convolutions and linear layers that read a normalised image with no other such layer in between."""
    outputs: set[Any] = set()
    images: list[Tensor] = []
    first: list[str] = []

    def normalized(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        images.append(output.detach().requires_grad_())
        return images[-1]

    def enters(name: str, value: Tensor) -> None:
        if _comes_from(value, images, outputs):
            first.append(name)

    handles = [normalizer.register_forward_hook(normalized) for normalizer in model.normalizers.values()]
    for name, layer in model.named_modules():
        if isinstance(layer, _LAYERS):
            handles.append(layer.register_forward_pre_hook(lambda _, inputs, name=name: enters(name, inputs[0])))
            handles.append(layer.register_forward_hook(lambda _, inputs, output: outputs.add(output.grad_fn)))
    try:
        with torch.enable_grad(), _trainable(model.parameters()):
            model(**_images(model))
    finally:
        for handle in handles:
            handle.remove()
    return first


class _InFloat(nn.Module):
    """A layer in fp32 whose output goes on in fp16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image.float()).half()


def _replace(model: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Puts `module` in the place `name` and returns what was there."""
    parent, _, leaf = name.rpartition(".")
    before = model.get_submodule(name)
    setattr(model.get_submodule(parent), leaf, module)
    return before


def _comes_from(value: Tensor, images: list[Tensor], outputs: set[Any]) -> bool:
    """Whether `value` was made of one of `images` by a way that passes none of `outputs` (autograd's nodes)."""
    if value.grad_fn is None:
        return any(value is image for image in images)
    pending, seen = [value.grad_fn], set(outputs)
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and any(leaf is image for image in images):
            return True
        pending.extend(before for before, _ in node.next_functions)
    return False


@contextmanager
def _trainable(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Lets autograd note every layer, also one whose weights are frozen."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _images(model: SegmentationModel) -> dict[str, Tensor]:
    """Small images on the device of `model`."""
    device = next(model.parameters()).device
    rgb = torch.zeros(1, _SIDE, _SIDE, 3, dtype=torch.uint8, device=device)
    hha = model.spec.depth.encoding == "hha"
    depth = rgb if hha else torch.ones(1, _SIDE, _SIDE, device=device)
    return {name: rgb if name == "rgb" else depth for name in model.spec.inputs}

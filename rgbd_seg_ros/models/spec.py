"""What identifies a network: everything needed to build it again, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from rgbd_seg_ros.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DEPTH_ENCODINGS = ("linear", "log", "inverse", "hha")
MODALITIES = ("rgb", "depth")


@dataclass(frozen=True)
class DepthEncoding:
    """How metres become the channels that a network sees.

    Attributes:
        encoding: `linear`, `log` or `inverse` depth, or `hha` (three precomputed uint8 channels).
        min_m: depth in metres that marks the near end; nearer values are clipped to it.
        max_m: depth in metres that marks the far end; farther values are clipped to it.
        mask_channel: add a channel that is 1 where depth was measured and 0 where it is missing.
    """

    encoding: str = "inverse"
    min_m: float = 0.3
    max_m: float = 10.0
    mask_channel: bool = True

    def __post_init__(self) -> None:
        if self.encoding not in DEPTH_ENCODINGS:
            raise UserError(f"depth encoding '{self.encoding}' is unknown; choose one of {', '.join(DEPTH_ENCODINGS)}")
        if not 0.0 < self.min_m < self.max_m:
            raise UserError(f"depth range {self.min_m}..{self.max_m} m is empty; give 0 < min_m < max_m")
        if self.encoding == "hha" and self.mask_channel:
            raise UserError("depth encoding 'hha' has no validity channel; set mask_channel to false")

    @property
    def channels(self) -> int:
        """Number of channels that the network's depth stem reads."""
        return 3 if self.encoding == "hha" else 1 + int(self.mask_channel)


@dataclass(frozen=True)
class ModelSpec:
    """A network by name and size; equal specs build networks with equal state-dict keys and shapes.

    Attributes:
        architecture: see `registry.available_architectures()`.
        encoder: a MiT name (`mit_b0` .. `mit_b5`, `mit_tiny`) or any timm feature extractor.
        num_classes: number of output classes K.
        inputs: the images that the network reads: `("rgb", "depth")`, `("rgb",)` or `("depth",)`.
        depth: encoding of the depth image (ignored by a network that reads colour alone).
        options: architecture options as JSON data, e.g. `{"decoder": "lightfpn", "width": 64, "encoder": {...}}`.
        rgb_mean: mean of the channels of colour (RGB order) and of HHA images, in 0..1.
        rgb_std: their standard deviation, in 0..1.
    """

    architecture: str
    encoder: str
    num_classes: int
    inputs: tuple[str, ...] = MODALITIES
    depth: DepthEncoding = DepthEncoding()
    options: Mapping[str, Any] = field(default_factory=dict)
    rgb_mean: tuple[float, ...] = IMAGENET_MEAN
    rgb_std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        for name in ("inputs", "rgb_mean", "rgb_std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.inputs not in (("rgb", "depth"), ("rgb",), ("depth",)):
            raise UserError(f"model inputs {list(self.inputs)} are not possible; use [rgb, depth], [rgb] or [depth]")
        if not 1 <= self.num_classes <= 254:
            raise UserError(f"{self.num_classes} classes do not fit a uint8 label image; use 1 to 254")

    def to_dict(self) -> dict[str, Any]:
        """The spec as JSON data."""
        data = asdict(self)
        data.update(inputs=list(self.inputs), rgb_mean=list(self.rgb_mean), rgb_std=list(self.rgb_std))
        data["options"] = dict(self.options)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSpec:
        """The spec that `to_dict` (or a YAML file with the same keys) describes.

        Raises:
            UserError: a key is unknown or a required one is missing.
        """
        values = dict(data)
        depth = values.pop("depth", None) or {}
        _check_keys(cls, values, "model spec")
        _check_keys(DepthEncoding, depth, "depth encoding")
        missing = {"architecture", "encoder", "num_classes"} - values.keys()
        if missing:
            raise UserError(f"model spec lacks {', '.join(sorted(missing))}; add it")
        return cls(depth=DepthEncoding(**depth), **values)


def _check_keys(cls: type, data: Mapping[str, Any], what: str) -> None:
    unknown = data.keys() - {f.name for f in fields(cls)}
    if unknown:
        raise UserError(f"{what} has unknown keys {', '.join(sorted(unknown))}; remove or correct them")

"""Prepared sets as training data: which set, which splits, which augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from torch.utils.data import default_collate

from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import DepthEncoding, ModelSpec, SegmentationModel, build_model

from .data.augmentation import Augmentation
from .data.dataset import SegmentationDataset
from .data.geometry import GeometryOptions
from .data.photometry import ColorJitter, DepthJitter
from .loading import TrainingData
from .start_weights import start_encoders

J = TypeVar("J")


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from and how they are disturbed.

    Attributes:
        root: folder of a prepared set (see `training/prepare.py`).
        train: split to train on.
        validation: split to validate on during training, empty = none. The test split is refused here unless
            `validate_on_test` says otherwise: choosing anything by test figures makes them worthless.
        validate_on_test: allow `validation: test`.
        validation_limit: largest number of validation samples, 0 = all.
        size: (height, width) of training images.
        scales: factors of the source size; (1,) = none.
        between: draw any factor between the smallest and the largest.
        flip: probability of a mirror image.
        color: colour disturbance, amounts of `ColorJitter` by name where they are not its defaults; null = none.
        depth: depth disturbance, amounts of `DepthJitter`; null = none.
        augmentation: geometry of its own for each modality (`decoupled`), one for both (`coupled`), or what the method
            asks for (`method`).
        least_overlap: share of the scene that decoupled views should both show, 0 = any.
        cache: keep decoded samples in `memory`, on `disk` (memory-mapped), or `none`.
        hha: read HHA images in place of depth.
    """

    root: str = ""
    train: str = "train"
    validation: str = "val"
    validate_on_test: bool = False
    validation_limit: int = 0
    size: tuple[int, int] = (480, 640)
    scales: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    between: bool = False
    flip: float = 0.5
    color: dict[str, float] | None = field(default_factory=dict)
    depth: dict[str, float] | None = field(default_factory=dict)
    augmentation: Literal["method", "decoupled", "coupled"] = "method"
    least_overlap: float = 0.0
    cache: Literal["none", "memory", "disk"] = "none"
    hha: bool = False


def _jitter(kind: Callable[..., J], amounts: dict[str, float] | None, name: str) -> J | None:
    if amounts is None:
        return None
    try:
        return kind(**amounts)
    except TypeError as error:
        raise UserError(f"{name} holds an unknown amount: {error}; see the options of {kind}.") from error


class Limited:
    """The first samples of a data set."""

    def __init__(self, dataset: SegmentationDataset, limit: int) -> None:
        self._dataset, self._limit = dataset, limit

    def __len__(self) -> int:
        """Number of samples."""
        return min(self._limit, len(self._dataset))

    def has_one_size(self) -> bool:
        """Whether the samples are known to have the same size."""
        return self._dataset.has_one_size()

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample."""
        return self._dataset[index]


def open_data(config: DataConfig, decoupled: bool, seed: int = 0, workers: int = 1) -> tuple[TrainingData, PreparedSet]:
    """Training and validation samples of a prepared set.

    Args:
        config: which and how.
        decoupled: what the method asks for, where `config.augmentation` is `method`.
        seed: seed of the augmentation.
        workers: processes that fill the cache.

    Raises:
        UserError: no such set or split, or the test split was named for validation.
    """
    if not config.root:
        raise UserError("No data set is named; give --data.root FOLDER (make one with training/prepare.py).")
    if config.validation == "test" and not config.validate_on_test:
        raise UserError(
            "data.validation is the test split; validate on another one, or add --data.validate_on_test true."
        )
    prepared = PreparedSet.open(config.root)
    separate = decoupled if config.augmentation == "method" else config.augmentation == "decoupled"
    augmentation = Augmentation(
        GeometryOptions(tuple(config.size), tuple(config.scales), config.between, config.flip),  # type: ignore[arg-type]
        _jitter(ColorJitter, config.color, "data.color"),
        _jitter(DepthJitter, config.depth, "data.depth"),
        separate,
        config.least_overlap,
    )
    options: dict[str, Any] = {"seed": seed, "hha": config.hha, "cache": config.cache, "workers": workers}
    train = SegmentationDataset(prepared, config.train, augmentation, **options)
    validation: Any = None
    if config.validation:
        validation = SegmentationDataset(prepared, config.validation, **options)
        validation = Limited(validation, config.validation_limit) if config.validation_limit else validation
    counts = tuple(prepared.manifest.class_pixels.get(config.train, ()))
    data = TrainingData(train, validation, len(prepared.label_set.classes), default_collate, counts, config.hha)
    return data, prepared


@dataclass(frozen=True)
class ModelConfig:
    """A network by name; the class count comes from the data set.

    Attributes:
        architecture: `deeplabv3plus`, `lightfpn`, `segformer` or, for two inputs, `cmx`.
        encoder: a timm name or `mit_tiny`, `mit_b0` .. `mit_b5`.
        pretrained: load ImageNet weights by name (needs a network or the library's cache).
        depth: how metres become channels.
        options: options of the architecture, see `rgbd_seg_ros.models.build_model`.
        start: folder of a saved single-modality model whose encoder is the start, `{input}` standing for `rgb` or
            `depth`; empty = random weights (or `pretrained`).
    """

    architecture: str = "deeplabv3plus"
    encoder: str = "resnet50"
    pretrained: bool = False
    depth: DepthEncoding = field(default_factory=DepthEncoding)
    options: dict[str, Any] = field(default_factory=dict)
    start: str = ""

    def build(self, inputs: tuple[str, ...], num_classes: int) -> SegmentationModel:
        """The network for these inputs and classes."""
        spec = ModelSpec(self.architecture, self.encoder, num_classes, inputs, self.depth, self.options)
        model = build_model(spec, pretrained=self.pretrained)
        if self.start:
            start_encoders(model, self.start)
        return model

"""Score a saved network or a bundle with all sensors and with one of them missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.models import SegmentationModel, load_model

from ..bundle_score import confuse_bundle
from ..data.dataset import SegmentationDataset
from ..loading import TrainingData, validation_loader
from .predict import Protocol
from .run import evaluate_model


@dataclass(frozen=True)
class EvaluationConfig:
    """What is evaluated, on what, how.

    Attributes:
        model: folder of a saved network (`models/<mode>` of a run), or
        bundle: folder of a bundle, scored through its segmenter at the size of the images.
        data: folder of a prepared set.
        split: its split.
        scales: factors of the input size; probabilities are averaged (networks only).
        flip: average with the mirror image (networks only).
        window: (height, width) of a sliding window, null = the whole image (networks only).
        stride: step of the window as a share of it.
        size: (height, width) that the network's inputs are brought to, null = as they are; labels keep their size, so
            that every pixel counts (networks only).
        missing: sensors that are taken away, one at a time: `rgb`, `depth`. Rule: the image of a missing sensor becomes
            zeros (black, no depth measured) for a network that reads both; a bundle is also scored with its model of
            the remaining sensor. A network that reads the missing sensor alone is left out.
        batch_size: images at once (networks only; sets with images of several sizes take 1, whatever stands here).
        device: of the network.
    """

    model: str = ""
    bundle: str = ""
    data: str = ""
    split: str = "test"
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: tuple[int, int] | None = None
    stride: float = 2 / 3
    size: tuple[int, int] | None = None
    missing: list[str] = field(default_factory=list)
    batch_size: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        if bool(self.model) == bool(self.bundle):
            raise UserError("Name either a saved network (--model FOLDER) or a bundle (--bundle FOLDER).")
        unknown = set(self.missing) - {"rgb", "depth"}
        if unknown:
            raise UserError(f"missing holds {', '.join(sorted(unknown))}; sensors are rgb and depth.")


def evaluate_conditions(config: EvaluationConfig, prepared: PreparedSet) -> Iterator[tuple[str, ConfusionMatrix]]:
    """(condition, confusion matrix) for all sensors and for each missing one, one after the other.

    Raises:
        UserError: model, bundle or set cannot be read, or do not fit together.
    """
    if config.bundle:
        yield from _bundle_conditions(config, prepared)
    else:
        yield from _model_conditions(config, prepared)


def _bundle_conditions(config: EvaluationConfig, prepared: PreparedSet) -> Iterator[tuple[str, ConfusionMatrix]]:
    bundle = load_bundle(config.bundle)
    modes = scorable_modes(bundle, prepared)
    for mode in modes:
        yield mode.value, confuse_bundle(bundle, mode, prepared, config.split)
    for sensor in config.missing:
        if Mode.FUSION in modes:
            blank = frozenset({sensor})
            yield f"fusion, {sensor} zeros", confuse_bundle(bundle, Mode.FUSION, prepared, config.split, blank=blank)


def scorable_modes(bundle: Bundle, prepared: PreparedSet) -> list[Mode]:
    """The modes of a bundle whose images the set has: a set without depth says nothing about the others."""
    has_depth = "depth" in prepared.manifest.files
    return [m for m in Mode if m in bundle.modes and (has_depth or Sensor.DEPTH not in m.sensors)]


def _model_conditions(config: EvaluationConfig, prepared: PreparedSet) -> Iterator[tuple[str, ConfusionMatrix]]:
    model = load_model(Path(config.model), config.device)
    _check_classes(model.spec.num_classes, prepared)
    inputs = model.spec.inputs
    yield "+".join(inputs), _confuse_model(config, model, prepared, frozenset())
    for sensor in config.missing:
        if len(inputs) > 1:
            yield f"{'+'.join(inputs)}, {sensor} zeros", _confuse_model(config, model, prepared, frozenset({sensor}))


def _confuse_model(
    config: EvaluationConfig, model: SegmentationModel, prepared: PreparedSet, missing: frozenset[str]
) -> ConfusionMatrix:
    samples = SegmentationDataset(prepared, config.split, hha=reads_hha(model))
    classes = model.spec.num_classes
    loader = validation_loader(TrainingData(samples, samples, classes), batch=config.batch_size, workers=0)
    assert loader is not None  # validation samples were given
    protocol = Protocol(tuple(config.scales), config.flip, config.window, config.stride, config.size)
    return evaluate_model(model, loader, classes, model.spec.inputs, protocol, torch.device(config.device), missing)


def reads_hha(model: SegmentationModel) -> bool:
    """Whether a network wants HHA images in place of depth."""
    return "depth" in model.spec.inputs and model.spec.depth.encoding == "hha"


def _check_classes(count: int, prepared: PreparedSet) -> None:
    if count != len(prepared.label_set.classes):
        raise UserError(
            f"The model knows {count} classes, {prepared.root} has {len(prepared.label_set.classes)} "
            f"({prepared.label_set.name}); name a set with the classes that it was trained on."
        )

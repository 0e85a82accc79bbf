"""Score a bundle as the robot runs it: through its segmenter, at the size of the camera image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.evaluation.accuracy import translation
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter


def confuse_bundle(
    bundle: Bundle,
    mode: Mode,
    prepared: PreparedSet,
    split: str,
    threads: int = 2,
    blank: frozenset[str] = frozenset(),
) -> ConfusionMatrix:
    """Confusion matrix of one mode over a split, labels at the size of the ground truth.

    `blank` names sensors (`rgb`, `depth`) whose images are replaced by zeros, as a dead sensor would deliver them.
    Ground truth in NYU-40 classes is translated for a bundle of the 13.

    Raises:
        UserError: the set has classes that cannot be expressed in those of the bundle.
    """
    classes = translation(prepared.label_set, bundle.manifest.label_set)
    matrix = ConfusionMatrix(len(bundle.manifest.label_set.classes))
    segmenter = Segmenter(bundle, threads=threads, preload=False)
    try:
        for name in prepared.names(split):
            sample = prepared.read(name)
            images = {
                sensor: image * (sensor.value not in blank)
                for sensor, image in ((Sensor.RGB, sample.rgb), (Sensor.DEPTH, sample.depth))
                if sensor in mode.sensors
            }
            rgb, depth = images.get(Sensor.RGB), images.get(Sensor.DEPTH)
            result = segmenter.segment(mode, rgb, depth, prepared.metres_per_unit)
            matrix.update(classes[sample.label], result.label)
    finally:
        segmenter.close()
    return matrix


def score_bundle(bundle: Bundle, mode: Mode, prepared: PreparedSet, split: str) -> dict[str, Any]:
    """Scores of one mode as JSON data; classes that do not occur have IoU None."""
    return as_json(asdict(confuse_bundle(bundle, mode, prepared, split).scores()))


def as_json(value: Any) -> Any:
    """`value` with NaN as None, which JSON has no number for."""
    if isinstance(value, Mapping):
        return {k: as_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def percent(value: float | None) -> str:
    """A share in percent with one decimal, or a dash."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def table(rows: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> str:
    """Markdown table of mean IoU, pixel accuracy and the IoU of every class, in percent."""
    header = ["", "mIoU", "pixel acc.", *classes]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for name, scores in rows.items():
        cells = [name, percent(scores["miou"]), percent(scores["pixel_accuracy"]), *map(percent, scores["iou"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"

"""Label images against ground truth: overall, by mode and by stretch of the scenario."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED, Mode, Sensor
from rgbd_seg_ros.core.label_sets import NYU40_TO_NYU13, LabelSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_ros.evaluation.joining import Join
from rgbd_seg_ros.replay.scenario import Scenario

Label = npt.NDArray[np.uint8]
Truth = Callable[[Sensor, int], Label | None]
"""Ground truth of source frame (sensor, index), None where there is none."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a play during which the same faults are active; seconds of the play's clock."""

    start_s: float
    end_s: float
    faults: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people: `depth drop` or `healthy`."""
        return ", ".join(self.faults) or "healthy"


def stretches(scenario: Scenario) -> list[Stretch]:
    """The play cut wherever a fault begins or ends."""
    play_ns = round(scenario.duration * 1e9)
    cuts = {0, play_ns}
    for fault in scenario.faults:
        cuts |= {min(fault.start_ns, play_ns), fault.end_ns(play_ns)}
    edges = sorted(cuts)
    result = []
    for start, end in pairwise(edges):
        names = [
            f"{fault.stream} {fault.fault}"
            for fault in scenario.faults
            if any(fault.active(sensor, start) for sensor in Sensor)
        ]
        result.append(Stretch(start / 1e9, end / 1e9, tuple(names)))
    return result


@dataclass
class Accuracy:
    """Confusion matrices of a play."""

    classes: tuple[str, ...]
    overall: ConfusionMatrix
    by_mode: dict[Mode, ConfusionMatrix] = field(default_factory=dict)
    by_stretch: dict[Stretch, ConfusionMatrix] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """mIoU overall, per mode, per class and per stretch; None where nothing was compared."""
        overall = self.overall.scores()
        return {
            "miou": {mode.value: _known(matrix.scores().miou) for mode, matrix in self.by_mode.items()},
            "miou_overall": _known(overall.miou),
            "pixel_accuracy": _known(overall.pixel_accuracy),
            "iou_by_class": {name: _known(iou) for name, iou in zip(self.classes, overall.iou, strict=True)},
            "miou_by_interval": [
                {
                    "start_s": stretch.start_s,
                    "end_s": stretch.end_s,
                    "faults": list(stretch.faults),
                    "miou": _known(matrix.scores().miou),
                }
                for stretch, matrix in self.by_stretch.items()
            ],
        }


def measure(
    joined: Join, truth: Truth, truth_set: LabelSet, label_set: LabelSet, scenario: Scenario, every: int = 1
) -> Accuracy:
    """Compares (every n-th of) the label images with the ground truth of the frame they are stamped with.

    Raises:
        UserError: when the ground truth cannot be expressed in the label set of the bundle.
    """
    table = translation(truth_set, label_set)
    count = len(label_set.classes)
    parts = stretches(scenario)
    result = Accuracy(label_set.classes, ConfusionMatrix(count))
    result.by_stretch = {part: ConfusionMatrix(count) for part in parts}
    seen: set[int] = set()
    for frame in joined.frames:
        output = frame.output
        if output is None or output.label is None or frame.sent.stamp_ns != output.stamp_ns or id(output) in seen:
            continue
        seen.add(id(output))
        expected = truth(frame.sent.sensor, frame.sent.index)
        if len(seen) % every or expected is None:
            continue
        one = ConfusionMatrix(count)
        one.update(table[expected], at_size_of(expected, output.label))
        part = next((p for p in parts if p.start_s <= frame.sent.time_ns / 1e9 < p.end_s), parts[-1])
        mode = result.by_mode.setdefault(output.mode, ConfusionMatrix(count))
        for matrix in (result.overall, mode, result.by_stretch[part]):
            matrix.merge(one)
    return result


def at_size_of(truth: Label, label: Label) -> Label:
    """A label image at the size of the ground truth, by nearest neighbour.

    Label images of depth alone have the size of the depth image, the truth that of the colour image.
    """
    height, width = truth.shape
    if label.shape == truth.shape:
        return label
    resized = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)


def comparable(truth_set: LabelSet, label_set: LabelSet) -> bool:
    """Whether a ground truth can be expressed in the label set of a bundle."""
    return truth_set.classes == label_set.classes or (truth_set.name, label_set.name) == ("nyu40", "nyu13")


def translation(truth_set: LabelSet, label_set: LabelSet) -> Label:
    """Table of 256 entries from the classes of a ground truth to those of a bundle.

    Raises:
        UserError: when there is no such translation.
    """
    table = np.full(256, UNLABELLED, np.uint8)
    if not comparable(truth_set, label_set):
        raise UserError(
            f"the ground truth has the classes of {truth_set.name}, the bundle those of {label_set.name}: "
            "they cannot be compared; use a bundle trained for these classes"
        )
    if truth_set.classes == label_set.classes:
        table[: len(label_set.classes)] = np.arange(len(label_set.classes))
    else:
        table[:40] = NYU40_TO_NYU13
    return table


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)

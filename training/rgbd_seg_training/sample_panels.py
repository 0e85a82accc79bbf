"""Pictures of samples: colour, depth, truth, and what models make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample
from rgbd_seg_ros.evaluation.accuracy import translation
from rgbd_seg_ros.evaluation.panels import color_depth, color_labels
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.models import SegmentationModel

CELL = (240, 180)
"""Width and height of one image."""

Picture = npt.NDArray[np.uint8]
Labeller = Callable[[Sample, float], Picture]
"""Labels of a sample, given the metres per unit of its depth."""


def network_labeller(model: SegmentationModel) -> Labeller:
    """Labels by a torch network at the size of the sample."""

    def label(sample: Sample, metres_per_unit: float) -> Picture:
        depth = sample.depth.astype(np.float32) * np.float32(metres_per_unit) if sample.hha is None else sample.hha
        images = {"rgb": torch.from_numpy(sample.rgb)[None], "depth": torch.from_numpy(depth)[None]}
        with torch.no_grad():
            scores = model(**{name: images[name] for name in model.spec.inputs})
        return scores.argmax(1)[0].numpy().astype(np.uint8)

    return label


def bundle_labeller(bundle: Bundle, mode: Mode) -> Labeller:
    """Labels by one mode of a bundle."""
    segmenter = Segmenter(bundle, preload=False)

    def label(sample: Sample, metres_per_unit: float) -> Picture:
        rgb = sample.rgb if Sensor.RGB in mode.sensors else None
        depth = sample.depth if Sensor.DEPTH in mode.sensors else None
        return segmenter.segment(mode, rgb, depth, metres_per_unit).label

    return label


def draw_panels(
    prepared: PreparedSet,
    split: str,
    labellers: Mapping[str, Labeller],
    count: int,
    file: Path,
    hha: bool = False,
    label_set: LabelSet | None = None,
) -> None:
    """One row per sample, `count` of them spread over the split; one column per labeller after the sample itself.

    `label_set`: the classes of the labellers, where they are not those of the set; the truth is translated into them.
    """
    names = prepared.names(split)
    shown = label_set or prepared.label_set
    table = translation(prepared.label_set, shown)
    rows = []
    for name in names[:: max(1, len(names) // max(1, count))][:count]:
        sample = prepared.read(name, hha)
        metres = sample.depth.astype(np.float32) * np.float32(prepared.metres_per_unit)
        cells = [sample.rgb, color_depth(metres), color_labels(table[sample.label], shown)]
        labels = [labeller(sample, prepared.metres_per_unit) for labeller in labellers.values()]
        cells += [color_labels(label, shown) for label in labels]
        rows.append(np.hstack([_cell(image) for image in cells]))
    titles = ["colour", "depth", "truth", *labellers]
    header = np.full((22, CELL[0] * len(titles), 3), 255, np.uint8)
    for place, title in enumerate(titles):
        origin = (CELL[0] * place + 6, 16)
        cv2.putText(header, title, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.vstack([header, *rows])[..., ::-1])


def _cell(image: Picture) -> Picture:
    resized = cv2.resize(np.ascontiguousarray(image), CELL, interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, np.uint8)

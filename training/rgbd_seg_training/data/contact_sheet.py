"""A picture of some samples of a set: colour, depth and labels side by side, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.datasets.images import write_png
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample

Picture = npt.NDArray[Any]
TILE_WIDTH = 200


def color_label(label: npt.NDArray[np.uint8], label_set: LabelSet) -> Picture:
    """Labels in the colours of their classes; ignored pixels are dark grey."""
    table = np.full((256, 3), 40, np.uint8)
    table[: len(label_set.colors)] = label_set.colors
    assert UNLABELLED == 255  # the last row of the table
    return table[label]


def color_depth(depth: npt.NDArray[np.uint16]) -> Picture:
    """Depth from near (yellow) to far (violet) between its 2nd and 98th percentile; missing is black."""
    valid = depth > 0
    if not valid.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    near, far = np.percentile(depth[valid], (2, 98))
    grey = 255 - np.clip((depth - near) / max(far - near, 1) * 255, 0, 255).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_PLASMA), cv2.COLOR_BGR2RGB)
    return np.where(valid[..., None], colors, 0).astype(np.uint8)


def _row(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one size side by side, `TILE_WIDTH` wide each; the first is a photograph, the others are codes."""
    height = round(TILE_WIDTH * pictures[0].shape[0] / pictures[0].shape[1])
    small = [
        cv2.resize(p, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA if i == 0 else cv2.INTER_NEAREST)
        for i, p in enumerate(pictures)
    ]
    return np.hstack(small)


def _panel(sample: Sample, label_set: LabelSet) -> Picture:
    hha = [] if sample.hha is None else [sample.hha]
    return _row([sample.rgb, color_depth(sample.depth), *hha, color_label(sample.label, label_set)])


def _legend(label_set: LabelSet, width: int) -> Picture:
    columns = max(1, width // 150)
    rows = -(-len(label_set.classes) // columns)
    legend = np.full((rows * 20 + 6, width, 3), 255, np.uint8)
    for i, (name, color) in enumerate(zip(label_set.classes, label_set.colors, strict=True)):
        x, y = i % columns * 150 + 4, i // columns * 20 + 4
        cv2.rectangle(legend, (x, y), (x + 14, y + 14), [int(c) for c in color], -1)
        cv2.rectangle(legend, (x, y), (x + 14, y + 14), (0, 0, 0), 1)
        cv2.putText(legend, name[:18], (x + 20, y + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return legend


def write_contact_sheet(prepared: PreparedSet, split: str, path: Path, count: int = 12) -> None:
    """Write a PNG of `count` samples spread over a split, two to a row."""
    names = prepared.names(split)
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, min(count, len(names))).astype(int)]
    has_hha = "hha" in prepared.manifest.files
    panels = [_panel(prepared.read(name, has_hha), prepared.label_set) for name in chosen]
    _write_sheet(panels, prepared.label_set, path)


def write_augmentation_sheet(prepared: PreparedSet, split: str, path: Path, decoupled: bool, count: int = 4) -> None:
    """Write a PNG of what training sees: each sample, then its colour and depth views with their labels."""
    # Imported here: loading torch takes longer than everything else that preparation does first.
    from rgbd_seg_training.data.augmentation import Augmentation
    from rgbd_seg_training.data.dataset import SegmentationDataset
    from rgbd_seg_training.data.geometry import GeometryOptions

    shape = prepared.read_label(prepared.names(split)[0]).shape
    augmentation = Augmentation(GeometryOptions((shape[0], shape[1])), decoupled=decoupled)
    dataset = SegmentationDataset(prepared, split, augmentation)
    panels = []
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int):
        item = dataset[int(index)]
        labels = [item[key] if decoupled else item["label"] for key in ("label_rgb", "label_depth")]
        units = (item["depth"] / prepared.metres_per_unit).astype(np.uint16)
        first, second = (color_label(label.astype(np.uint8), prepared.label_set) for label in labels)
        source = _row([prepared.read(item["name"]).rgb])
        panels += [np.hstack([source, _row([item["rgb"], first, color_depth(units), second])])]
    _write_sheet(panels, prepared.label_set, path, columns=1)


def _write_sheet(panels: list[Picture], label_set: LabelSet, path: Path, columns: int = 2) -> None:
    height = max(p.shape[0] for p in panels)
    padded = [
        cv2.copyMakeBorder(p, 2, height - p.shape[0] + 2, 2, 2, cv2.BORDER_CONSTANT, value=(255,) * 3) for p in panels
    ]
    padded += [np.full_like(padded[0], 255)] * (-len(padded) % columns)
    rows = [np.hstack(padded[i : i + columns]) for i in range(0, len(padded), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.vstack([*rows, _legend(label_set, rows[0].shape[1])]), compression=6)

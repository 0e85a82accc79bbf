"""A picture of some samples of a set: colour, depth and labels side by side, with a legend."""

from __future__ import annotations

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


def _panel(sample: Sample, label_set: LabelSet) -> Picture:
    pictures = (sample.rgb, color_depth(sample.depth), color_label(sample.label, label_set))
    height = round(TILE_WIDTH * sample.label.shape[0] / sample.label.shape[1])
    small = [
        cv2.resize(p, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA if i == 0 else cv2.INTER_NEAREST)
        for i, p in enumerate(pictures)
    ]
    return np.hstack(small)


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
    panels = [_panel(prepared.read(name), prepared.label_set) for name in chosen]
    height = max(p.shape[0] for p in panels)
    padded = [
        cv2.copyMakeBorder(p, 2, height - p.shape[0] + 2, 2, 2, cv2.BORDER_CONSTANT, value=(255,) * 3) for p in panels
    ]
    if len(padded) % 2:
        padded.append(np.full_like(padded[0], 255))
    rows = [np.hstack(padded[i : i + 2]) for i in range(0, len(padded), 2)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.vstack([*rows, _legend(prepared.label_set, rows[0].shape[1])]), compression=6)

"""Pictures of an evaluation."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw_confusion(matrix: ConfusionMatrix, label_set: LabelSet, title: str, file: Path) -> None:
    """Confusion matrix as a heat map: each row (true class) adds up to 100 %."""
    counts = matrix.counts[:, : matrix.classes].astype(np.float64)
    total = matrix.counts.sum(1, keepdims=True)
    shares = 100 * np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    side = 2.5 + 0.42 * matrix.classes
    figure, axis = plt.subplots(figsize=(side + 1, side))
    image = axis.imshow(shares, cmap="viridis", vmin=0, vmax=100)
    places = range(matrix.classes)
    axis.set(title=title, xlabel="labelled as", ylabel="true class", xticks=places, yticks=places)
    axis.set_xticklabels(label_set.classes, rotation=90)
    axis.set_yticklabels(label_set.classes)
    if matrix.classes <= 20:
        for row, column in np.argwhere(shares >= 1):
            color = "black" if shares[row, column] > 60 else "white"
            axis.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", color=color, fontsize=7)
    figure.colorbar(image, label="share of the true class, %", fraction=0.046)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    plt.close(figure)

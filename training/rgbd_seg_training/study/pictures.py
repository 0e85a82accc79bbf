"""Curves and differences of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from .records import Done
from .statistics import summarise
from .tables import Figures

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw_curves(runs: Sequence[Done], variants: Sequence[str], modalities: Sequence[str], file: Path) -> None:
    """Validation mean IoU over steps: mean over seeds, band of one standard deviation."""
    figure, axes = plt.subplots(1, len(modalities), figsize=(5.5 * len(modalities), 4), squeeze=False)
    for axis, modality in zip(axes[0], modalities, strict=True):
        for variant in variants:
            curves = [c for c in (r.record["curves"].get(modality) for r in runs if r.job.variant == variant) if c]
            if not curves:
                continue
            length = min(map(len, curves))
            values = 100 * np.array([[v for _, v in c[:length]] for c in curves])
            steps = [s for s, _ in curves[0][:length]]
            mean, deviation = values.mean(0), values.std(0)
            (line,) = axis.plot(steps, mean, label=variant)
            axis.fill_between(steps, mean - deviation, mean + deviation, alpha=0.15, color=line.get_color())
        axis.set(title=modality, xlabel="optimiser steps", ylabel="validation mIoU, %")
        axis.grid(alpha=0.3)
    axes[0][-1].legend(fontsize=8)
    _save(figure, file)


def draw_differences(
    figures: Figures, variants: Sequence[str], baseline: str, modalities: Sequence[str], file: Path
) -> None:
    """Paired difference of every trained variant to the baseline with its 95 % interval, and the seeds as dots."""
    trained = {v for modality in modalities for v, values in figures[modality].items() if values}
    others = [v for v in variants if v != baseline and v in trained]
    names = max((len(v) for v in others), default=0)
    size = (4 * len(modalities) + 0.09 * names, 0.45 * len(others) + 1.4)
    figure, axes = plt.subplots(1, len(modalities), figsize=size, squeeze=False, sharey=True)
    for axis, modality in zip(axes[0], modalities, strict=True):
        reference = figures[modality].get(baseline, {})
        for place, variant in enumerate(others):
            values = figures[modality].get(variant, {})
            summary = summarise(values, reference)
            interval = 0.0 if np.isnan(summary.interval) else summary.interval
            axis.errorbar(summary.difference, place, xerr=interval, fmt="o", color="tab:blue", capsize=3)
            seeds = sorted(values.keys() & reference.keys())
            axis.plot([values[s] - reference[s] for s in seeds], [place] * len(seeds), ".", color="grey", alpha=0.6)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set(title=modality, xlabel="difference in mIoU, points", yticks=range(len(others)), yticklabels=others)
        axis.set_ylim(max(1, len(others)) - 0.5, -0.5)  # the first variant on top, as in the tables
        axis.grid(alpha=0.3, axis="x")
    _save(figure, file)


def _save(figure: plt.Figure, file: Path) -> None:
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    plt.close(figure)

"""The paper's analysis: how close a fusion model's features are to each single-modality model, and their values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import SegmentationModel

from ..method import Batch, model_inputs
from ..run_folder import write_atomically
from .similarity import LinearCka, ValueHistogram, pixels

matplotlib.use("Agg")
from matplotlib import pyplot as plt

STAGES = 4


@dataclass(frozen=True)
class Analysis:
    """Result of `analyze`.

    Attributes:
        images: number of images that were read.
        cka_pixels: (student, model) -> CKA of each stage, samples are pixels.
        cka_images: the same with each map averaged over its image first.
        histograms: model -> histogram of each stage's values.
    """

    images: int
    cka_pixels: Mapping[tuple[str, str], list[float]]
    cka_images: Mapping[tuple[str, str], list[float]]
    histograms: Mapping[str, list[ValueHistogram]]

    def write(self, folder: Path) -> None:
        """Write `analysis.json`, `cka.md`, `cka.png` and `histograms.png`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "analysis.json", json.dumps(self._figures(), indent=2) + "\n")
        write_atomically(folder / "cka.md", self.table())
        _draw_cka(self.cka_pixels, folder / "cka.png")
        _draw_histograms(self.histograms, folder / "histograms.png")

    def table(self) -> str:
        """CKA per stage as a Markdown table."""
        lines = [
            f"Linear CKA per stage over {self.images} images.",
            "",
            "| student | model | samples | stage 1 | stage 2 | stage 3 | stage 4 |",
            "|---|---|---|---|---|---|---|",
        ]
        for samples, table in (("pixels", self.cka_pixels), ("image means", self.cka_images)):
            lines += [
                f"| {student} | {model} | {samples} | " + " | ".join(f"{v:.3f}" for v in values) + " |"
                for (student, model), values in table.items()
            ]
        return "\n".join(lines) + "\n"

    def _figures(self) -> dict[str, object]:
        return {
            "images": self.images,
            "cka_pixels": {f"{s} / {m}": v for (s, m), v in self.cka_pixels.items()},
            "cka_images": {f"{s} / {m}": v for (s, m), v in self.cka_images.items()},
            "values": {
                name: [{"mean": h.mean, "deviation": h.deviation} for h in stages]
                for name, stages in self.histograms.items()
            },
        }


@torch.no_grad()
def analyze(
    students: Mapping[str, SegmentationModel], references: Mapping[str, SegmentationModel], batches: Iterable[Batch]
) -> Analysis:
    """Compare every student's fused features with every reference's, stage by stage.

    Args:
        students: fusion models by name.
        references: single-modality models by name.
        batches: batches with all images that the models read; models and batches lie on one device.

    Raises:
        UserError: there are no images.
    """
    everyone = {**students, **references}
    pairs = {
        (s, r): (students[s].feature_channels, references[r].feature_channels) for s in students for r in references
    }
    by_pixel = {pair: [LinearCka(a, b) for a, b in zip(*widths, strict=True)] for pair, widths in pairs.items()}
    by_image = {pair: [LinearCka(a, b) for a, b in zip(*widths, strict=True)] for pair, widths in pairs.items()}
    histograms = {name: [ValueHistogram() for _ in range(STAGES)] for name in everyone}
    images = 0
    for batch in batches:
        features = {name: model.eval().encode(**model_inputs(model, batch)) for name, model in everyone.items()}
        images += len(batch["label"])
        for name, maps in features.items():
            for histogram, feature in zip(histograms[name], maps, strict=True):
                histogram.update(feature)
        for (student, reference), accumulators in by_pixel.items():
            _accumulate(accumulators, by_image[student, reference], features[student], features[reference])
    if images == 0:
        raise UserError("there are no images to analyse; name another split or raise the limit")
    return Analysis(
        images,
        {pair: [cka.value() for cka in stages] for pair, stages in by_pixel.items()},
        {pair: [cka.value() for cka in stages] for pair, stages in by_image.items()},
        histograms,
    )


def _accumulate(
    by_pixel: list[LinearCka], by_image: list[LinearCka], first: list[Tensor], second: list[Tensor]
) -> None:
    for pixel, image, x, y in zip(by_pixel, by_image, first, second, strict=True):
        pixel.update(pixels(x), pixels(y))
        image.update(x.mean(dim=(2, 3)), y.mean(dim=(2, 3)))


def _draw_cka(table: Mapping[tuple[str, str], list[float]], path: Path) -> None:
    references = list(dict.fromkeys(reference for _, reference in table))
    students = list(dict.fromkeys(student for student, _ in table))
    size = (len(references) * (2.2 + 0.8 * len(students)), 3.2)
    figure, axes = plt.subplots(1, len(references), figsize=size, squeeze=False, sharey=True)
    width = 0.8 / len(students)
    for axis, reference in zip(axes[0], references, strict=True):
        for index, student in enumerate(students):
            places = [stage + (index - (len(students) - 1) / 2) * width for stage in range(1, STAGES + 1)]
            bars = axis.bar(places, table[student, reference], width, label=student)
            axis.bar_label(bars, fmt="%.2f", fontsize=7)
        axis.set(title=f"against {reference}", xlabel="stage", ylim=(0, 1.08), xticks=range(1, STAGES + 1))
    axes[0][0].set_ylabel("linear CKA")
    axes[0][-1].legend(fontsize=8)
    _save(figure, path)


def _draw_histograms(histograms: Mapping[str, list[ValueHistogram]], path: Path) -> None:
    figure, axes = plt.subplots(1, STAGES, figsize=(4 * STAGES, 3.2))
    for stage, axis in enumerate(axes):
        for name, stages in histograms.items():
            centres, density = stages[stage].density()
            # The outermost bins also hold what lies beyond them, and an empty bin has no logarithm: neither is drawn.
            shown = [d if d > 0 else math.nan for d in density[1:-1]]
            axis.plot(centres[1:-1], shown, label=name, linewidth=1.2)
        axis.set(title=f"stage {stage + 1}", xlabel="feature value", yscale="log")
    axes[0].set_ylabel("density")
    axes[-1].legend(fontsize=8)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, dpi=130, format="png")
    plt.close(figure)
    temporary.replace(path)

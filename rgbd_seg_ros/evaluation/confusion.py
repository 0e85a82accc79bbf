"""Segmentation metrics on one confusion matrix that grows image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.errors import UserError


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a confusion matrix, all 0 to 1; NaN where no pixel was counted.

    Attributes:
        miou: mean of `iou` over the classes that occur in truth or prediction.
        iou: intersection over union of each class; NaN for a class that occurs in neither.
        pixel_accuracy: share of pixels labelled correctly.
        mean_accuracy: mean of `accuracy` over the classes that occur in the truth.
        accuracy: share of each class's true pixels that were labelled correctly; NaN where there is none.
        fw_iou: `iou` weighted by the frequency of each class in the truth.
        pixels: pixels with a valid truth.
    """

    miou: float
    iou: tuple[float, ...]
    pixel_accuracy: float
    mean_accuracy: float
    accuracy: tuple[float, ...]
    fw_iou: float
    pixels: int


def _ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(values: npt.NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


class ConfusionMatrix:
    """Counts of (truth, prediction) pairs.

    Truth 255 is ignored. A prediction of 255 ("no label") on a pixel with a truth is an error of that pixel's class: it
    has a column of its own, so that a method cannot gain by leaving hard pixels out.

    Attributes:
        counts: int64 K x (K + 1); row = truth, column = prediction, last column = no prediction.
    """

    def __init__(self, classes: int) -> None:
        if not 0 < classes < UNLABELLED:
            raise UserError(f"A confusion matrix needs 1 to 254 classes, not {classes}.")
        self.classes = classes
        self.counts = np.zeros((classes, classes + 1), np.int64)

    def update(self, truth: npt.NDArray[np.integer], prediction: npt.NDArray[np.integer]) -> None:
        """Count the pixels of one image or batch.

        Args:
            truth: class index 0..K-1 or 255, any integer type, any shape.
            prediction: the same shape, class index 0..K-1 or 255.

        Raises:
            UserError: the shapes differ, or a value is neither a class nor 255.
        """
        if truth.shape != prediction.shape:
            raise UserError(
                f"Truth has shape {truth.shape} but the prediction {prediction.shape}: "
                "bring the prediction to the size of the truth."
            )
        for name, values in (("Truth", truth), ("Prediction", prediction)):
            wrong = ((values < 0) | (values >= self.classes)) & (values != UNLABELLED)
            if wrong.any():
                raise UserError(
                    f"{name} holds {int(values[wrong][0])}, but there are {self.classes} classes: check the label set."
                )
        valid = truth != UNLABELLED
        rows = truth[valid].astype(np.int64)
        columns = np.minimum(prediction[valid].astype(np.int64), self.classes)
        flat = np.bincount(rows * (self.classes + 1) + columns, minlength=self.counts.size)
        self.counts += flat.reshape(self.counts.shape)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the counts of another matrix. Raises `UserError` where the number of classes differs."""
        if other.classes != self.classes:
            raise UserError(f"Matrices of {self.classes} and {other.classes} classes cannot be added.")
        self.counts += other.counts

    def scores(self) -> Scores:
        """All scores of what was counted so far."""
        hits = np.diagonal(self.counts)
        true_pixels = self.counts.sum(1)
        iou = _ratio(hits, true_pixels + self.counts[:, :-1].sum(0) - hits)
        accuracy = _ratio(hits, true_pixels)
        total = int(true_pixels.sum())
        present = true_pixels > 0
        return Scores(
            miou=_mean(iou),
            iou=tuple(float(v) for v in iou),
            pixel_accuracy=float(hits.sum() / total) if total else float("nan"),
            mean_accuracy=_mean(accuracy),
            accuracy=tuple(float(v) for v in accuracy),
            fw_iou=float((true_pixels[present] * iou[present]).sum() / total) if total else float("nan"),
            pixels=total,
        )

"""Stage 2 of PrimKD as a method for the engine; stage 1, the teacher alone, is `single.SingleMethod`."""

from __future__ import annotations

import torch
from torch import Tensor

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import SegmentationModel

from ..figures import Figures
from ..method import Batch, LossTerm, Method, freeze, model_inputs
from ..single import mode_of
from .aligners import build_aligners
from .config import PrimKdConfig
from .losses import prediction_loss, reconstruction_errors, select_error


class PrimKdMethod(Method):
    """Stage 2: a student learns from labels, from the frozen teacher's predictions and from its features.

    L = L_seg + alpha L_pred + beta L_feat. The aligners belong to the method, never to the student.

    Args:
        student: the network to train; it sees both modalities.
        teacher: a trained single-stream network; frozen here.
        config: weights and choices.

    Raises:
        UserError: student and teacher do not label the same number of classes.
    """

    def __init__(self, student: SegmentationModel, teacher: SegmentationModel, config: PrimKdConfig) -> None:
        super().__init__()
        if student.spec.num_classes != teacher.spec.num_classes:
            raise UserError(
                f"the teacher labels {teacher.spec.num_classes} classes and the student {student.spec.num_classes}; "
                "train the teacher on the same label set"
            )
        self.student = student
        self.teacher = freeze(teacher)
        self.config = config
        self.aligners = (
            build_aligners(student.feature_channels, teacher.feature_channels, config.aligner, config.mask_ratio)
            if config.beta > 0
            else None
        )
        self._chosen: Tensor | None = None
        self._deepest: Tensor | None = None

    def training_losses(self, batch: Batch) -> list[LossTerm]:
        """See the base class."""
        if "label" not in batch:
            raise UserError("PrimKD compares networks pixel by pixel: set --data.augmentation coupled.")
        label = batch["label"]
        size = int(label.shape[1]), int(label.shape[2])
        features = self.student.encode(**model_inputs(self.student, batch))
        self._deepest = features[-1]
        logits = self.student.upsample(self.student.decode(features).float(), size)
        terms = [LossTerm("segmentation", self.against_labels(logits, label))]
        if self.config.alpha == 0 and self.config.beta == 0:
            return terms
        teacher_features, teacher_logits = self._teach(batch, size)
        if teacher_logits is not None:
            mask = None if self.config.ignored_pixels else label
            terms.append(LossTerm("prediction", prediction_loss(logits, teacher_logits, mask), self.config.alpha))
        if self.aligners is not None:
            rebuilt = [aligner(f) for aligner, f in zip(self.aligners, features, strict=True)]
            errors = reconstruction_errors(rebuilt, teacher_features)
            self._chosen = errors.detach().argmax(dim=1)
            terms.append(LossTerm("feature", select_error(errors, self.config.selection), self.config.beta))
        return terms

    @torch.no_grad()
    def _teach(self, batch: Batch, size: tuple[int, int]) -> tuple[list[Tensor], Tensor | None]:
        """Features of the teacher and, where they count, its logits at label size, without gradients."""
        teacher: SegmentationModel = self.teacher  # type: ignore[assignment]
        features = teacher.encode(**model_inputs(teacher, batch))
        if self.config.alpha == 0:
            return features, None
        return features, teacher.upsample(teacher.decode(features).float(), size)

    def deployable(self) -> dict[str, SegmentationModel]:
        """See the base class."""
        return {mode_of(self.student): self.student}

    def share_points(self) -> dict[str, Tensor]:
        """The student's deepest fused map."""
        return {} if self._deepest is None else {"deepest": self._deepest}

    def probes(self) -> Figures:
        """Share of samples whose largest reconstruction error lies in each stage."""
        if self._chosen is None:
            return {}
        counts = torch.bincount(self._chosen, minlength=len(self.student.feature_channels))
        shares = counts / counts.sum()
        return {f"worst_stage{stage}": share for stage, share in enumerate(shares, start=1)}

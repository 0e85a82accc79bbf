"""A single-modality student under an RGB-D teacher."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import SegmentationModel

from ..method import Batch, LossTerm, Method, freeze, model_inputs
from ..single import mode_of
from .config import DistillConfig
from .guidance import FeatureGuidance, LogitGuidance, PrototypeGuidance, Seen


class DistillMethod(Method):
    """Cross entropy plus what the approach asks the student to imitate.

    Student and teacher see the same view, so the augmentation is one geometry for both modalities.

    Args:
        student: the single-modality network that is trained and deployed.
        teacher: a trained network, usually of both modalities; frozen here.
        config: approach and weights.

    Raises:
        UserError: the networks label different numbers of classes.
    """

    def __init__(self, student: SegmentationModel, teacher: SegmentationModel, config: DistillConfig) -> None:
        super().__init__()
        if student.spec.num_classes != teacher.spec.num_classes:
            raise UserError(
                f"The teacher labels {teacher.spec.num_classes} classes, the student {student.spec.num_classes}; "
                "train the teacher on the same label set."
            )
        self.student = student
        self.teacher = freeze(teacher)
        self._weights, self.guidance = _guidance(student, teacher, config)
        self._deepest: Tensor | None = None

    def deployable(self) -> Mapping[str, SegmentationModel]:
        """The student."""
        return {mode_of(self.student): self.student}

    def share_points(self) -> dict[str, Tensor]:
        """The student's deepest features."""
        return {} if self._deepest is None else {f"h_{mode_of(self.student)}": self._deepest}

    def training_losses(self, batch: Batch) -> list[LossTerm]:
        """Cross entropy and the imitation terms."""
        student = _see(self.student, batch)
        self._deepest = student.deepest
        with torch.no_grad():
            teacher = _see(self.teacher, batch)  # type: ignore[arg-type]
        terms = [LossTerm("segmentation", self.against_labels(student.scores, batch["label"]))]
        for name, guidance in self.guidance.items():
            terms.append(LossTerm(name, guidance(student, teacher, batch["label"]), self._weights[name]))
        return terms


def _see(model: SegmentationModel, batch: Batch) -> Seen:
    features = model.encode(**model_inputs(model, batch))
    return Seen(features[-1], model.decode(features))


def _guidance(
    student: SegmentationModel, teacher: SegmentationModel, config: DistillConfig
) -> tuple[dict[str, float], nn.ModuleDict]:
    """Weights and modules of the terms of an approach; terms of weight 0 are left out."""
    widths = (student.feature_channels[-1], teacher.feature_channels[-1])
    parts: dict[str, tuple[float, nn.Module]] = {}
    if config.approach != "masked":
        parts["logit"] = (config.w_logit, LogitGuidance(config.temperature))
    if config.approach == "kdnet":
        parts["feature"] = (config.w_feature, FeatureGuidance(*widths))
    if config.approach == "masked":
        parts["masked"] = (config.w_masked, FeatureGuidance(*widths, config.mask_ratio))
    if config.approach == "protokd":
        parts["prototype"] = (config.w_prototype, PrototypeGuidance(student.spec.num_classes))
    used = {name: part for name, part in parts.items() if part[0] > 0}
    return {name: weight for name, (weight, _) in used.items()}, nn.ModuleDict({n: m for n, (_, m) in used.items()})

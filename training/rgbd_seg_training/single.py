"""One model by itself: the baseline of every method, and the teacher of those that have one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rgbd_seg_ros.models import SegmentationModel

from .method import Batch, LossTerm, Method, model_inputs


class SingleMethod(Method):
    """Cross entropy on one model of any inputs.

    Args:
        model: the network.
        mode: name under which it is saved; by default `fusion` for two inputs, else the input.
    """

    def __init__(self, model: SegmentationModel, mode: str | None = None) -> None:
        super().__init__()
        self.model = model
        self.mode = mode or mode_of(model)

    def deployable(self) -> Mapping[str, SegmentationModel]:
        """The model under its mode."""
        return {self.mode: self.model}

    def scores(self, batch: Batch) -> Tensor:
        """Class scores at the decoder's stride."""
        return self.model.decode(self.model.encode(**model_inputs(self.model, batch)))

    def training_losses(self, batch: Batch) -> list[LossTerm]:
        """Cross entropy."""
        label = batch[f"label_{self.mode}"] if f"label_{self.mode}" in batch else batch["label"]
        loss = self.against_labels(self.scores(batch), label)
        return [LossTerm("segmentation", loss)]


def mode_of(model: SegmentationModel) -> str:
    """`fusion` for a model of both images, else the name of its one input."""
    return "fusion" if len(model.spec.inputs) > 1 else model.spec.inputs[0]

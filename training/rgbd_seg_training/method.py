"""What a training method is: losses on a batch, and the models that it leaves behind."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import SegmentationModel

from .figures import Figures
from .losses import RegionLoss, segmentation_loss

Batch = Mapping[str, Tensor]
"""One training batch, as the loader collates it.

`rgb` uint8 N x H x W x 3, `depth` float32 N x H x W in metres (0 = missing), `label` int64 N x H x W
(255 = ignored). Batches of decoupled augmentation carry `label_rgb` and `label_depth` instead of `label`.
They also carry `matrix_rgb` and `matrix_depth`, float32 N x 2 x 3 from output pixel (x, y, 1) to source pixel.
"""


@dataclass(frozen=True)
class LossTerm:
    """One weighted term of a loss.

    Attributes:
        name: identifier in logs, e.g. `contrast`.
        value: scalar tensor before weighting.
        weight: factor of this step (ramps included).
    """

    name: str
    value: Tensor
    weight: float = 1.0

    @property
    def weighted(self) -> Tensor:
        """The contribution to the total loss."""
        return self.value * self.weight


class Method(nn.Module, abc.ABC):
    """A way to train one or more models together.

    The engine calls `set_progress`, then `training_losses`, and adds the weighted terms up; it validates and saves
    what `deployable` returns. A term whose weight is 0 is left out of the list and not computed.
    Networks that only teach belong into the module tree too; freeze them with `freeze`.
    """

    augmentation: ClassVar[Literal["joint", "decoupled"]] = "joint"
    """Kind of batches that this method reads by default; an instance may override it."""

    class_weights: Tensor | None
    """Weights of the classes in the cross entropy against labels, or None; part of the settings, not of the state."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = 0.0
        self.region_loss: RegionLoss | None = None
        self.register_buffer("class_weights", None, persistent=False)

    def train(self, mode: bool = True) -> Method:
        """Set train or eval mode; frozen parts stay in eval mode."""
        super().train(mode)
        for part in self.modules():
            if getattr(part, "is_frozen", False):
                part.eval()
        return self

    def set_progress(self, fraction: float) -> None:
        """Tell the method how far the run is (0..1), for ramps of weights."""
        self.progress = fraction

    def against_labels(self, scores: Tensor, label: Tensor) -> Tensor:
        """The loss of class scores against labels that the settings ask for, see `segmentation_loss`."""
        return segmentation_loss(scores, label, self.class_weights, self.region_loss)

    @abc.abstractmethod
    def training_losses(self, batch: Batch) -> list[LossTerm]:
        """Loss terms of a batch; the total is the sum of `weighted`."""

    @abc.abstractmethod
    def deployable(self) -> Mapping[str, SegmentationModel]:
        """Models to validate and to save at the end, by mode name (`fusion`, `rgb`, `depth`)."""

    def clip_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters whose gradients are clipped by their common norm, by a name for the log: all in one group.

        Models that learn beside each other get a group each: the large gradients of one would shrink the other's.
        """
        return {"all": [p for p in self.parameters() if p.requires_grad]}

    def share_points(self) -> dict[str, Tensor]:
        """Activations of the last `training_losses` call on which gradient shares of the terms are logged."""
        return {}

    def probes(self) -> Figures:
        """Other figures of the last step worth a line in the log; scalar tensors, so that no step waits for a GPU."""
        return {}


def model_inputs(model: SegmentationModel, batch: Batch) -> dict[str, Tensor]:
    """The images of `batch` that a model reads, by name."""
    return {name: batch[name] for name in model.spec.inputs}


def check_depth_images(method: Method, hha: bool) -> None:
    """Refuse networks that read other depth images than the data set gives.

    Raises:
        UserError: names the option that makes them fit.
    """
    for model in (m for m in method.modules() if isinstance(m, SegmentationModel) and "depth" in m.spec.inputs):
        if (model.spec.depth.encoding == "hha") != hha:
            reads, gives = ("HHA images", "distances") if not hha else ("distances", "HHA images")
            raise UserError(
                f"A network reads {reads} (depth.encoding {model.spec.depth.encoding}) and the data set gives {gives}; "
                f"set --data.hha {str(not hha).lower()}, or the encoding of the network's depth."
            )


def freeze(module: nn.Module) -> nn.Module:
    """Return `module` in eval mode without gradients; a `Method` that holds it keeps it so while it trains."""
    module.requires_grad_(False)
    module.is_frozen = True  # type: ignore[assignment]
    return module.eval()


def gradient_shares(terms: list[LossTerm], points: Mapping[str, Tensor]) -> dict[str, float]:
    """Share of every term in the gradient on each activation.

    For activation h the share of term t is ||d(w_t L_t)/dh|| / sum_u ||d(w_u L_u)/dh||: unlike loss values it shows
    which term steers the features. The graph is kept for the backward pass that follows.

    Returns:
        `"<point>/<term>"` -> share in 0..1; terms that do not reach a point have share 0.
    """
    shares: dict[str, float] = {}
    for point, activation in points.items():
        norms = {}
        for term in terms:
            (gradient,) = torch.autograd.grad(term.weighted, activation, retain_graph=True, allow_unused=True)
            norms[term.name] = 0.0 if gradient is None else float(gradient.float().norm())
        total = sum(norms.values())
        shares |= {f"{point}/{name}": norm / total if total > 0 else 0.0 for name, norm in norms.items()}
    return shares

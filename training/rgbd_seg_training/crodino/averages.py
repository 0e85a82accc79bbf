"""Moving averages of what is trained: targets of the mutual distillation, keys of the contrast."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rgbd_seg_ros.models import SegmentationModel

from ..method import freeze


class AverageModels(nn.Module):
    """Moving averages of networks in training. Averaged models label better than the models themselves (Tarvainen and
    Valpola 2017, mean teacher), and what they make of an image changes slowly (He et al. 2020, MoCo).

    The decay starts low and rises to `decay`: min(decay, (1 + n) / (10 + n)) at update n. Buffers, such as the
    statistics of batch norms, are copied.
    """

    updates: Tensor

    def __init__(self, models: Mapping[str, nn.Module], decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.models = nn.ModuleDict({name: freeze(copy.deepcopy(model)) for name, model in models.items()})
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, models: Mapping[str, nn.Module]) -> None:
        """Take in the networks as they are now."""
        count = int(self.updates)
        keep = min(self.decay, (1 + count) / (10 + count))
        for name, model in models.items():
            means = [p.data for p in self.models[name].parameters()]
            torch._foreach_lerp_(means, [p.data for p in model.parameters()], 1 - keep)
            for mean, current in zip(self.models[name].buffers(), model.buffers(), strict=True):
                mean.copy_(current)
        self.updates += 1

    @torch.no_grad()
    def scores(self, name: str, image: Tensor) -> Tensor:
        """Class scores of an averaged model at its decoder's stride."""
        model: SegmentationModel = self.models[name]  # type: ignore[assignment]
        return model.decode(model.encode(**{name: image}))

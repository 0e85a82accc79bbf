"""A method and data small enough to train in a blink."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rgbd_seg_ros.models import ModelSpec
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.loading import TrainingData
from rgbd_seg_training.method import Batch, LossTerm, Method
from rgbd_seg_training.optim import OptimizerConfig

CLASSES = 3


class ToyModel(nn.Module):
    """Labels pixels by colour."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = ModelSpec("deeplabv3plus", "resnet10t", CLASSES, inputs=("rgb",))
        self.first = nn.Conv2d(3, 8, 1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, CLASSES, 1)

    def forward(self, rgb: Tensor | None = None, depth: Tensor | None = None) -> Tensor:
        assert rgb is not None
        self.hidden = self.norm(self.first(rgb.permute(0, 3, 1, 2).float() / 255))
        return self.last(torch.dropout(self.hidden.relu(), 0.2, self.training))


class ToyMethod(Method):
    """Cross entropy and a penalty on the hidden map."""

    def __init__(self) -> None:
        super().__init__()
        self.model = ToyModel()

    def training_losses(self, batch: Batch) -> list[LossTerm]:
        loss = functional.cross_entropy(self.model(batch["rgb"]), batch["label"], ignore_index=255)
        return [LossTerm("segmentation", loss), LossTerm("small", self.model.hidden.square().mean(), 0.01)]

    def deployable(self) -> dict[str, nn.Module]:
        return {"rgb": self.model}

    def share_points(self) -> dict[str, Tensor]:
        return {"hidden": self.model.hidden}


class ToyData(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Images whose brightest channel is the label; the noise is a function of pass and index, like an augmentation."""

    def __init__(self, count: int = 10, noisy: bool = True) -> None:
        self.count, self.noisy = count, noisy

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, draw: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(draw % self.count)
        rgb = torch.randint(0, 200, (8, 8, 3), generator=generator)
        if self.noisy:
            generator = torch.Generator().manual_seed(1000 + draw)
            rgb = (rgb + torch.randint(0, 20, rgb.shape, generator=generator)).clamp(0, 255)
        return {"rgb": rgb.to(torch.uint8), "label": rgb.argmax(-1)}


def toy_data(count: int = 10) -> TrainingData:
    return TrainingData(ToyData(count), ToyData(6, noisy=False), CLASSES)


def toy_config(**changes: object) -> TrainConfig:
    settings: dict[str, object] = {
        "epochs": 4,
        "batch_size": 2,
        "accelerator": "cpu",
        "devices": 1,
        "optimizer": OptimizerConfig(lr=0.02, warmup=0.1),
    }
    return TrainConfig(**(settings | changes))  # type: ignore[arg-type]

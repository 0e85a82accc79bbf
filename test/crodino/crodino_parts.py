"""Small CroDiNo-KD models and batches."""

from __future__ import annotations

import torch
from torch import Tensor

from rgbd_seg_ros.models import ModelSpec, SegmentationModel, build_model
from rgbd_seg_training.crodino import CrodinoConfig, CrodinoMethod

CLASSES = 5
SIZE = (64, 96)


def small_model(modality: str) -> SegmentationModel:
    options = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}
    return build_model(ModelSpec("lightfpn", "resnet10t", CLASSES, (modality,), options=options))


def small_method(**options: object) -> CrodinoMethod:
    torch.manual_seed(0)
    method = CrodinoMethod(small_model("rgb"), small_model("depth"), CrodinoConfig(**options))  # type: ignore[arg-type]
    method.set_progress(1.0)
    return method


def coupled_batch(count: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    label = torch.randint(0, CLASSES, (count, SIZE[0] // 16, SIZE[1] // 16), generator=generator)
    label = label.repeat_interleave(16, 1).repeat_interleave(16, 2)
    rgb = (label[..., None] * 40 + torch.randint(0, 30, (*label.shape, 3), generator=generator)).to(torch.uint8)
    return {"rgb": rgb, "depth": 0.5 + label.float(), "label": label}


def decoupled_batch(count: int = 3) -> dict[str, Tensor]:
    """The depth view is the mirror image of the RGB view."""
    batch = coupled_batch(count)
    label = batch.pop("label")
    identity = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).repeat(count, 1, 1)
    mirror = torch.tensor([[-1.0, 0, SIZE[1] - 1], [0, 1, 0]]).repeat(count, 1, 1)
    return batch | {
        "depth": batch["depth"].flip(2),
        "label_rgb": label,
        "label_depth": label.flip(2),
        "matrix_rgb": identity,
        "matrix_depth": mirror,
    }

"""Every way to train a model that studies compare, by name: CroDiNo-KD, its rivals, PrimKD and plain training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import load_model

from .baselines import DistillConfig, DistillMethod
from .crodino import CrodinoConfig, CrodinoMethod
from .method import Method
from .primkd import PrimKdConfig, PrimKdMethod
from .settings import ModelConfig
from .single import SingleMethod

Approach = Literal["crodino", "single", "kd", "kdnet", "masked", "protokd", "primkd"]
Modality = Literal["rgb", "depth", "fusion"]
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class MethodConfig:
    """Which method trains which model.

    Attributes:
        approach: `crodino` trains the RGB and the depth model together; `single` one model alone (`fusion`: the RGB-D
            teacher of the others); `kd`, `kdnet`, `masked` and `protokd` one student under a trained teacher;
            `primkd` an RGB-D student under a single-modality teacher.
        modality: the model to train, for all but `crodino`; `fusion` for `primkd`.
        teacher: folder of the saved teacher, for the teacher/student methods.
        crodino: options of CroDiNo-KD.
        distill: weights of the teacher/student methods; their approach is the one above.
        guidance: options of PrimKD.
    """

    approach: Approach = "crodino"
    modality: Modality = "rgb"
    teacher: str = ""
    crodino: CrodinoConfig = field(default_factory=CrodinoConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    guidance: PrimKdConfig = field(default_factory=PrimKdConfig)


def needs_teacher(approach: str) -> bool:
    """Whether an approach has a teacher to be trained first."""
    return approach not in ("crodino", "single")


def build_alike(builders: Sequence[Callable[[], Network]]) -> list[Network]:
    """Networks that all begin from the same state of torch's generator.

    So each has the weights that it would have if it were built alone: the depth model of joint training starts where
    the depth model of single training with the same seed starts, and a comparison compares methods, not starts. The
    generator goes on as if the first alone had been built.
    """
    state = torch.get_rng_state()
    networks = [builder() for builder in builders[:1]]
    for builder in builders[1:]:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(state)
            networks.append(builder())
    return networks


def build_method(config: MethodConfig, model: ModelConfig, fusion: ModelConfig, num_classes: int) -> Method:
    """The method, with new models.

    Args:
        config: which.
        model: network of a single modality.
        fusion: network of both.
        num_classes: K.

    Raises:
        UserError: a teacher is needed and none is named, or the options do not fit together.
    """
    if config.approach == "crodino":
        rgb, depth = build_alike([partial(model.build, (m,), num_classes) for m in ("rgb", "depth")])
        return CrodinoMethod(rgb, depth, config.crodino)
    if config.approach == "single" and config.modality == "fusion":
        return SingleMethod(fusion.build(("rgb", "depth"), num_classes))
    guided = config.approach == "primkd"
    if (config.modality == "fusion") != guided:
        wanted = "RGB and depth together; give method.modality fusion" if guided else "one modality; name rgb or depth"
        raise UserError(f"method.approach {config.approach} trains {wanted}.")
    student = fusion.build(("rgb", "depth"), num_classes) if guided else model.build((config.modality,), num_classes)
    if config.approach == "single":
        return SingleMethod(student)
    if not config.teacher:
        teachers = "rgb" if guided else "fusion"
        raise UserError(
            f"method.approach {config.approach} needs a teacher; train one with --method.approach single "
            f"--method.modality {teachers} and name its models/{teachers} folder as --method.teacher."
        )
    teacher = load_model(Path(config.teacher))
    if guided:
        return PrimKdMethod(student, teacher, config.guidance)
    return DistillMethod(student, teacher, replace(config.distill, approach=config.approach))  # type: ignore[arg-type]

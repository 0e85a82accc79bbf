"""What a study consists of: variants, and the runs that they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rgbd_seg_ros.errors import UserError

from ..approaches import MethodConfig, needs_teacher
from ..baselines import DistillConfig
from ..config import TrainConfig
from ..crodino import CrodinoConfig
from ..settings import DataConfig, ModelConfig

MODALITIES = ("rgb", "depth")
TEACHER = "teacher"


@dataclass(frozen=True)
class StudyConfig:
    """A comparison on one data set.

    Attributes:
        variants: name -> `{approach: ..., crodino: {...}, distill: {...}, data: {...}, train: {...}}`, all but the
            approach optional: what differs from the settings below.
        baseline: name of the variant that the others are compared with.
        modalities: which models are compared.
        seeds: one run of every variant per seed.
        split: split that the finished models are scored on.
        train: engine settings of every run; the seed comes from `seeds`.
        data: data set and augmentation.
        model: network of a single modality.
        fusion: network of the RGB-D teacher.
        jobs: runs at the same time, each with `train.threads` threads.
        panels: pictures of how many samples.
    """

    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    baseline: str = "single"
    modalities: list[str] = field(default_factory=lambda: list(MODALITIES))
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    split: str = "test"
    train: TrainConfig = field(default_factory=TrainConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    fusion: ModelConfig = field(default_factory=lambda: ModelConfig(architecture="cmx"))
    jobs: int = 1
    panels: int = 6


@dataclass(frozen=True)
class Job:
    """One run of a study.

    Attributes:
        variant: its name, or `teacher`.
        seed: of weights, data order and augmentation.
        folder: run folder.
        train, data, method: settings of the run.
    """

    variant: str
    seed: int
    folder: Path
    train: TrainConfig
    data: DataConfig
    method: MethodConfig

    @property
    def modalities(self) -> tuple[str, ...]:
        """The models that the run leaves behind."""
        return MODALITIES if self.method.approach == "crodino" else (self.method.modality,)


def plan(config: StudyConfig, out: Path) -> tuple[list[Job], list[Job]]:
    """The teachers, and the runs that may need them.

    Raises:
        UserError: a variant is unknown in itself, the baseline is missing, or an option does not exist.
    """
    if config.baseline not in config.variants:
        raise UserError(f"study.baseline is '{config.baseline}', which is no variant; add it to study.variants.")
    if TEACHER in config.variants:
        raise UserError(f"'{TEACHER}' cannot name a variant; rename it.")
    teachers: list[Job] = []
    runs: list[Job] = []
    for seed in config.seeds:
        if any(needs_teacher(v.get("approach", "crodino")) for v in config.variants.values()):
            teachers.append(_job(config, out, TEACHER, {"approach": "single"}, "fusion", seed))
        for name, changes in config.variants.items():
            joint = changes.get("approach", "crodino") == "crodino"
            models = ("rgb",) if joint else config.modalities
            runs.extend(_job(config, out, name, changes, modality, seed) for modality in models)
    return teachers, runs


def _job(config: StudyConfig, out: Path, name: str, changes: Mapping[str, Any], modality: str, seed: int) -> Job:
    unknown = changes.keys() - {"approach", "crodino", "distill", "data", "train"}
    if unknown:
        raise UserError(f"study.variants.{name} has no options {', '.join(sorted(unknown))}; correct them.")
    approach = changes.get("approach", "crodino")
    folder = out / "runs" / name / f"seed{seed}"
    try:
        method = MethodConfig(
            approach=approach,
            modality=modality,  # type: ignore[arg-type]
            teacher=str(out / "runs" / TEACHER / f"seed{seed}" / "fusion" / "models" / "fusion"),
            crodino=CrodinoConfig(**changes.get("crodino", {})),
            distill=DistillConfig(**changes.get("distill", {})),
        )
        train = replace(config.train, **{**changes.get("train", {}), "seed": seed})
        data = replace(config.data, **changes.get("data", {}))
    except TypeError as error:
        raise UserError(f"study.variants.{name} holds an unknown option: {error}.") from error
    return Job(name, seed, folder if approach == "crodino" else folder / modality, train, data, method)

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
from ..primkd import PrimKdConfig
from ..settings import DataConfig, ModelConfig

MODALITIES = ("rgb", "depth")
TEACHER = "teacher"
_OPTIONS = {"approach", "crodino", "distill", "guidance", "teacher", "teacher_runs", "data", "train"}


@dataclass(frozen=True)
class StudyConfig:
    """A comparison on one data set.

    Attributes:
        variants: name -> `{approach: ..., crodino: {...}, distill: {...}, guidance: {...}, teacher: ...,
            teacher_runs: ..., data: {...}, train: {...}}`, all but the approach optional: what differs from the
            settings below. `guidance` and `teacher` (`rgb` or `depth`) belong to `primkd`; `teacher_runs` is the `out`
            of another study, whose teachers of the same seeds this variant takes.
        baseline: name of the variant that the others are compared with.
        modalities: which models are compared: `rgb`, `depth`, or `fusion` for variants of PrimKD.
        crodino: options of CroDiNo-KD in every variant, which a variant's own go before.
        seeds: one run of every variant per seed.
        only: variants to train now, None = all; the report tells of every run that is finished.
        split: split that the finished models are scored on.
        train: engine settings of every run; the seed comes from `seeds`.
        data: data set and augmentation.
        model: network of a single modality; PrimKD's teacher is one.
        fusion: network of both modalities: the RGB-D teacher, or PrimKD's student.
        teacher_train: what differs from `train` where a teacher is trained.
        jobs: runs at the same time, each with `train.threads` threads.
        fresh: start a process for every run even where `jobs` is 1, so that peaks of memory are of that run alone.
        panels: pictures of how many samples.
    """

    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    baseline: str = "single"
    modalities: list[str] = field(default_factory=lambda: list(MODALITIES))
    crodino: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    only: list[str] | None = None
    split: str = "test"
    train: TrainConfig = field(default_factory=TrainConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    fusion: ModelConfig = field(default_factory=lambda: ModelConfig(architecture="cmx"))
    teacher_train: dict[str, Any] = field(default_factory=dict)
    jobs: int = 1
    fresh: bool = False
    panels: int = 6


@dataclass(frozen=True)
class Job:
    """One run of a study.

    Attributes:
        variant: its name, or `teacher`.
        seed: of weights, data order and augmentation.
        folder: run folder.
        train, data, method: settings of the run.
        teacher_runs: folder of the study whose teacher it takes, empty = of its own.
    """

    variant: str
    seed: int
    folder: Path
    train: TrainConfig
    data: DataConfig
    method: MethodConfig
    teacher_runs: str = ""

    @property
    def modalities(self) -> tuple[str, ...]:
        """The models that the run leaves behind."""
        return MODALITIES if self.method.approach == "crodino" else (self.method.modality,)

    @property
    def teacher(self) -> str:
        """Modality of the teacher that the run needs, empty for none."""
        if not needs_teacher(self.method.approach):
            return ""
        return Path(self.method.teacher).name

    @property
    def lesson(self) -> tuple[str, int] | None:
        """Modality and seed of the teacher that has to be trained before, None for none."""
        return (self.teacher, self.seed) if self.teacher and not self.teacher_runs else None


def plan(config: StudyConfig, out: Path) -> tuple[list[Job], list[Job]]:
    """The teachers, and the runs that may need them; all seeds of a variant before the next variant.

    Raises:
        UserError: a variant is unknown in itself, the baseline is missing, or an option does not exist.
    """
    if config.baseline not in config.variants:
        raise UserError(f"study.baseline is '{config.baseline}', which is no variant; add it to study.variants.")
    if TEACHER in config.variants:
        raise UserError(f"'{TEACHER}' cannot name a variant; rename it.")
    unknown = set(config.only or ()) - config.variants.keys()
    if unknown:
        raise UserError(f"study.only names {', '.join(sorted(unknown))}, which is no variant; see study.variants.")
    runs: list[Job] = []
    for name, changes in config.variants.items():
        joint = changes.get("approach", "crodino") == "crodino"
        models = ("rgb",) if joint else config.modalities
        runs.extend(_job(config, out, name, changes, modality, seed) for seed in config.seeds for modality in models)
    needed = dict.fromkeys(job.lesson for job in runs if job.lesson)
    alone = {"approach": "single", "train": config.teacher_train}
    return [_job(config, out, TEACHER, alone, modality, seed) for modality, seed in needed], runs


def _job(config: StudyConfig, out: Path, name: str, changes: Mapping[str, Any], modality: str, seed: int) -> Job:
    unknown = changes.keys() - _OPTIONS
    if unknown:
        raise UserError(f"study.variants.{name} has no options {', '.join(sorted(unknown))}; correct them.")
    approach = changes.get("approach", "crodino")
    folder = out / "runs" / name / f"seed{seed}"
    teacher_runs = str(changes.get("teacher_runs", ""))
    if teacher_runs and not needs_teacher(approach):
        raise UserError(f"study.variants.{name}.teacher_runs is given, but {approach} has no teacher; remove it.")
    try:
        method = MethodConfig(
            approach=approach,
            modality=modality,  # type: ignore[arg-type]
            teacher=_teacher_folder(Path(teacher_runs or out), name, approach, changes.get("teacher", ""), seed),
            crodino=CrodinoConfig(**{**config.crodino, **changes.get("crodino", {})}),
            distill=DistillConfig(**changes.get("distill", {})),
            guidance=PrimKdConfig(**changes.get("guidance", {})),
        )
        train = replace(config.train, **{**changes.get("train", {}), "seed": seed})
        data = replace(config.data, **changes.get("data", {}))
    except TypeError as error:
        raise UserError(f"study.variants.{name} holds an unknown option: {error}.") from error
    folder = folder if approach == "crodino" else folder / modality
    return Job(name, seed, folder, train, data, method, teacher_runs)


def _teacher_folder(out: Path, name: str, approach: str, modality: str, seed: int) -> str:
    """Where the teacher of a run is saved; by default PrimKD's sees colour, that of the others both images."""
    if modality and (approach != "primkd" or modality not in MODALITIES):
        raise UserError(
            f"study.variants.{name}.teacher is '{modality}'; it is rgb or depth, for the approach primkd "
            "(no guidance is the approach single)."
        )
    modality = modality or ("rgb" if approach == "primkd" else "fusion")
    return str(out / "runs" / TEACHER / f"seed{seed}" / modality / "models" / modality)

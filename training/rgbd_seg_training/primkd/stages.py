"""The two stages of PrimKD in one run folder: `teacher/` and `student/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import SegmentationModel, load_model
from rgbd_seg_ros.models.pretrained import load_mit_weights

from ..config import TrainConfig
from ..fit import fit, seed_everything
from ..loading import TrainingData
from ..method import Method
from ..run_folder import RunFolder
from ..settings import ModelConfig
from ..single import SingleMethod
from .config import PrimKdConfig
from .method import PrimKdMethod


@dataclass(frozen=True)
class TeacherConfig:
    """Stage 1.

    Attributes:
        modality: the primary modality; `none` trains the student without guidance.
        folder: a trained teacher to use instead of training one (a model folder such as `runs/x/teacher/models/rgb`).
        model: the network.
    """

    modality: Literal["rgb", "depth", "none"] = "rgb"
    folder: str = ""
    model: ModelConfig = field(default_factory=lambda: ModelConfig("segformer", "mit_b2"))


@dataclass(frozen=True)
class StudentConfig:
    """Stage 2.

    Attributes:
        model: the network; its architecture is `cmx` unless an experiment wants another.
    """

    model: ModelConfig = field(default_factory=lambda: ModelConfig("cmx", "mit_b2"))


@dataclass(frozen=True)
class Experiment:
    """Everything but data and run folder.

    Attributes:
        teacher: stage 1.
        student: stage 2.
        guidance: how the teacher guides.
        train: engine settings of both stages.
        encoder_weights: file with ImageNet weights of the MiT, for the streams of teacher and student; empty = random.
    """

    teacher: TeacherConfig
    student: StudentConfig
    guidance: PrimKdConfig
    train: TrainConfig
    encoder_weights: str = ""


def build(experiment: Experiment, config: ModelConfig, inputs: tuple[str, ...], classes: int) -> SegmentationModel:
    """A network with the ImageNet weights that the experiment names, if any."""
    model = config.build(inputs, classes)
    if experiment.encoder_weights:
        load_mit_weights(model, Path(experiment.encoder_weights))
    return model


def obtain_teacher(
    experiment: Experiment, data: TrainingData, run: Path, settings: Mapping[str, Any], resume: bool
) -> SegmentationModel | None:
    """The teacher: loaded, trained in `run/teacher`, or None if there is to be no guidance.

    Raises:
        UserError: the named teacher reads other images or labels other classes.
    """
    modality = experiment.teacher.modality
    if modality == "none":
        return None
    if experiment.teacher.folder:
        teacher = load_model(experiment.teacher.folder)
        if teacher.spec.inputs != (modality,):
            raise UserError(
                f"{experiment.teacher.folder} reads {' and '.join(teacher.spec.inputs)}, not {modality}; "
                "set --teacher.modality accordingly or name another folder"
            )
        return teacher
    seed_everything(experiment.train)
    method = SingleMethod(build(experiment, experiment.teacher.model, (modality,), data.num_classes))
    fit(method, data, experiment.train, RunFolder(run / "teacher"), {**settings, "stage": "teacher"}, resume=resume)
    return load_model(run / "teacher" / "models" / modality)


def train_student(
    experiment: Experiment,
    teacher: SegmentationModel | None,
    data: TrainingData,
    run: Path,
    settings: Mapping[str, Any],
    resume: bool,
) -> dict[str, Any]:
    """Train the student in `run/student`, guided if there is a teacher; returns the figures of the run."""
    seed_everything(experiment.train)
    student = build(experiment, experiment.student.model, ("rgb", "depth"), data.num_classes)
    method: Method = SingleMethod(student) if teacher is None else PrimKdMethod(student, teacher, experiment.guidance)
    return fit(
        method, data, experiment.train, RunFolder(run / "student"), {**settings, "stage": "student"}, resume=resume
    )

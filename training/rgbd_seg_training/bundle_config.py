"""Options of the recipe that makes the shipped bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rgbd_seg_ros.errors import UserError

from .config import TrainConfig
from .crodino import CrodinoConfig
from .primkd import PrimKdConfig
from .settings import DataConfig


@dataclass(frozen=True)
class SceneConfig:
    """Rendered scenes of a bundle.

    Attributes:
        world: `indoor`, `aerial` or `drone`.
        train: training images.
        validation: validation images.
        test: images of 480 x 640 that the bundle is scored on, of scenes that no training image shows.
        seed: seed of the scenes.
        workers: processes that render.
    """

    world: str = "indoor"
    train: int = 4000
    validation: int = 100
    test: int = 200
    seed: int = 0
    workers: int = 2


@dataclass(frozen=True)
class StageShares:
    """Parts of the training time, in any unit.

    Stages one after the other get their part of the sum. Run in parallel, teacher and fusion follow each other beside
    crodino, and the longer of the two branches gets all the time.

    Attributes:
        teacher: the teacher of PrimKD.
        fusion: PrimKD student.
        crodino: RGB and depth model together.
    """

    teacher: float = 0.3
    fusion: float = 0.7
    crodino: float = 1.0

    def of(self, stage: str, parallel: bool) -> float:
        """Share 0..1 of the training time that a stage gets."""
        branch = self.teacher + self.fusion
        whole = max(branch, self.crodino) if parallel else branch + self.crodino
        return float(getattr(self, stage)) / whole


@dataclass(frozen=True)
class WarmConfig:
    """A first phase of every stage on small images, whose steps cost a fraction of those at full size.

    Attributes:
        share: part of the stage's time (or steps) that it takes, 0 = no such phase.
        size: (height, width) of its images.
        scales: smallest and largest factor of the rendered images in it.
        lr: its peak learning rate.
    """

    share: float = 0.0
    size: tuple[int, int] = (120, 160)
    scales: tuple[float, float] = (0.45, 0.9)
    lr: float = 3e-3


@dataclass(frozen=True)
class BundleConfig:
    """The whole recipe.

    Attributes:
        models: YAML file with the specs `fusion`, `teacher`, `rgb` and `depth`; `pretrained: true` in one starts its
            encoders from ImageNet weights by name (see `rgbd_seg_ros.models.build_model`).
        minutes: wall-clock training time of the stages that the bundle needs, all together; 0 = by `train.steps` or
            `train.epochs` each.
        teacher: PrimKD's: `own`, trained in a stage of its own, or CroDiNo-KD's model of that modality. In the second
            case crodino runs first, and the student's encoders start from those of its two models.
        parallel: train teacher and fusion in one process and crodino in another, which uses small machines better than
            two threads in one.
        shares: how `minutes` is divided.
        scenes: what is rendered.
        warm: the first phase of every stage.
        data: augmentation; root, size and splits are set by the recipe.
        train: engine settings of every stage.
        crodino: options of CroDiNo-KD.
        primkd: options of PrimKD.
        name: name in the bundle's manifest.
        network_size: (height, width) of the network input in the bundle; None = that of the training images.
        dynamic: leave that size open in the bundle, so that a user may choose another (multiples of 32).
        start: work folder of a finished recipe: its scenes are used, and teacher, fusion and crodino go on from its
            models; empty = new scenes and random weights.
    """

    models: str = "training/configs/bundle/models.yaml"
    minutes: float = 40.0
    teacher: Literal["own", "rgb", "depth"] = "own"
    parallel: bool = True
    shares: StageShares = field(default_factory=StageShares)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    warm: WarmConfig = field(default_factory=WarmConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    crodino: CrodinoConfig = field(default_factory=CrodinoConfig)
    primkd: PrimKdConfig = field(default_factory=PrimKdConfig)
    name: str = "rooms"
    network_size: tuple[int, int] | None = None
    dynamic: bool = False
    start: str = ""

    def __post_init__(self) -> None:
        if self.teacher != "own" and self.parallel:
            raise UserError(
                f"With teacher {self.teacher} fusion builds on crodino and cannot run beside it; give --parallel false."
            )

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that make the bundle, in order."""
        training = ("teacher", "fusion", "crodino") if self.teacher == "own" else ("crodino", "fusion")
        return ("scenes", *training, "export", "score")

"""The stages that make the shipped bundle: scenes, teacher, fusion, single models, baselines, export, scores."""

from __future__ import annotations

import gc
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_ros.models import SegmentationModel, load_model

from .approaches import build_alike
from .bundle_config import BundleConfig
from .bundle_score import score_bundle, table
from .config import TrainConfig
from .crodino import CrodinoMethod
from .data.sources.rendered import prepare_rendered
from .export.export_bundle import ExportOptions, export_bundle
from .export.frames import set_frames
from .fit import fit, seed_everything
from .method import Method
from .network_file import read_networks
from .primkd import PrimKdMethod
from .run_folder import RunFolder, plain, write_atomically
from .settings import DataConfig, open_data
from .single import SingleMethod, mode_of
from .start_weights import start_encoders

TEST_SIZE = (480, 640)
"""(height, width) of the images that the bundle is scored on."""


class Networks(Protocol):
    """Where a phase of a stage takes its networks from."""

    def __call__(self, name: str) -> SegmentationModel:
        """The network of a name in the models file, new or as the phase before left it."""

    def teacher(self) -> SegmentationModel:
        """The teacher that was trained on images of the phase's size."""


Build = Callable[[Networks], Method]


def _pair(networks: Networks) -> tuple[SegmentationModel, SegmentationModel]:
    rgb, depth = build_alike([partial(networks, mode) for mode in ("rgb", "depth")])
    return rgb, depth


def _part(train: TrainConfig, share: float) -> TrainConfig:
    """Settings of a phase that takes `share` of a run, of its steps or, where those are 0, of its epochs."""
    train = replace(train, minutes=train.minutes * share)
    if train.steps > 0:
        return replace(train, steps=max(1, round(train.steps * share)))
    return replace(train, epochs=max(1, round(train.epochs * share)))


class Recipe:
    """Runs stages in a work folder; a finished stage is not run again, an interrupted one continues.

    Args:
        config: the recipe.
        work: folder of data, runs and the bundle.
        report: gets a line of text per finished stage.
    """

    def __init__(self, config: BundleConfig, work: Path, report: Callable[[str], None]) -> None:
        self._config, self._work, self._report = config, work, report
        self._before = Recipe(replace(config, start=""), Path(config.start), report) if config.start else None
        self.bundle_folder = work / "bundle"
        self.stages: dict[str, Callable[[], None]] = {
            "scenes": self.scenes,
            "teacher": self.teacher,
            "fusion": self.fusion,
            "crodino": self.crodino,
            "baseline_rgb": lambda: self._baseline("rgb"),
            "baseline_depth": lambda: self._baseline("depth"),
            "baseline_fusion": lambda: self._baseline("fusion"),
            "export": self.export,
            "score": self.score,
        }

    # Data

    def scenes(self) -> None:
        """Render training and test images; nothing is rendered where the recipe goes on from another."""
        if self._before:
            self._link_scenes(self._before._work)
            return
        scenes = self._config.scenes
        size = (self._config.data.size[0], self._config.data.size[1])
        counts = {"train": scenes.train, "val": scenes.validation}
        self._render(self._work / "scenes", counts, size)
        self._render(self._work / "scenes_test", {"test": scenes.test}, TEST_SIZE)

    def _link_scenes(self, elsewhere: Path) -> None:
        self._work.mkdir(parents=True, exist_ok=True)
        for name in ("scenes", "scenes_test"):
            found = PreparedSet.open(elsewhere / name).root  # says what is wrong before hours of training do
            if not (self._work / name).exists():
                (self._work / name).symlink_to(found.resolve())

    def _render(self, out: Path, counts: dict[str, int], size: tuple[int, int]) -> None:
        scenes = self._config.scenes
        if not (out / "manifest.json").is_file():
            prepare_rendered(out, scenes.world, counts, size, scenes.seed, scenes.workers)
        self._report(f"{out}: {counts} images of {size[1]}x{size[0]}")

    # Training

    def teacher(self) -> None:
        """Train the primary modality's model alone."""
        self._fit("teacher", lambda networks: SingleMethod(networks("teacher")))

    def fusion(self) -> None:
        """Train the RGB-D student under the teacher's guidance."""
        self._fit(
            "fusion",
            lambda networks: PrimKdMethod(networks("fusion"), networks.teacher(), self._config.primkd),
        )

    def crodino(self) -> None:
        """Train the RGB and the depth model together."""
        self._fit("crodino", lambda networks: CrodinoMethod(*_pair(networks), self._config.crodino))

    def _baseline(self, mode: str) -> None:
        """Train one model alone for as many steps as the stage that it is compared with took, or would take."""
        rival = "fusion" if mode == "fusion" else "crodino"
        run = self._run(rival)
        if not run.finished and self._config.minutes == 0:
            self._fit(f"baseline_{mode}", lambda networks: SingleMethod(networks(mode)))
            return
        if not run.finished:
            raise UserError(
                f"Stage baseline_{mode} takes its steps from stage {rival}; run that first, or give the steps "
                "(--minutes 0 --train.steps N)."
            )
        warm = self._run(f"{rival}_warm")
        parts = [int(r.read_result()["steps"]) for r in (warm, run) if r.finished]
        share = parts[0] / sum(parts) if len(parts) > 1 else 0.0
        same = replace(self._config, warm=replace(self._config.warm, share=share))
        Recipe(same, self._work, self._report)._fit(
            f"baseline_{mode}", lambda networks: SingleMethod(networks(mode)), sum(parts)
        )

    def _fit(self, stage: str, build: Build, steps: int = 0) -> None:
        """Train in one or two phases; the second starts from the models of the first."""
        config, warm = self._config, self._config.warm
        by_clock = config.minutes > 0 and not steps
        minutes = config.minutes * config.shares.of(stage, config.parallel) if by_clock else 0.0
        train = replace(config.train, steps=steps or config.train.steps, minutes=minutes)
        before = ""
        if warm.share > 0:
            before = f"{stage}_warm"
            first = _part(train, warm.share)
            first = replace(first, optimizer=replace(train.optimizer, lr=warm.lr))
            small = replace(config.data, size=warm.size, scales=warm.scales, between=True)
            self._fit_phase(before, lambda: build(_Phase(self, stage, "", "_warm")), first, small)
            train = _part(train, 1 - warm.share)
        self._fit_phase(stage, lambda: build(_Phase(self, stage, before, "")), train, config.data)

    def _fit_phase(self, name: str, build: Callable[[], Method], train: TrainConfig, data: DataConfig) -> None:
        run = self._run(name)
        if not run.finished:
            seed_everything(train)
            method = build()
            train = replace(train, seed=self._seed_of(name, train.seed))
            scenes = replace(data, root=str(self._work / "scenes"))
            samples, _ = open_data(scenes, method.augmentation == "decoupled", train.seed)
            settings = {"stage": name, **plain(self._config), "train": plain(train), "data": plain(data)}
            fit(method, samples, train, run, settings, resume=True, report=self._report)
            del method, samples
            gc.collect()  # Engine and trainer refer to each other and would keep this phase's images in memory.
        result = run.read_result()
        scores = {k: round(v, 4) for k, v in result["validation"].items() if k.startswith("val/miou")}
        self._report(f"{name}: {result['steps']} steps in {result['seconds'] / 60:.1f} min, {scores}")

    def _seed_of(self, phase: str, seed: int) -> int:
        """Seed of order and augmentation of a phase: one that goes on from another must not replay its images."""
        if self._before is None and (phase.endswith("_warm") or self._config.warm.share == 0):
            return seed
        where = self._work.name if self._before else ""
        return zlib.crc32(f"{seed} {where} {phase.endswith('_warm')}".encode())

    def _run(self, stage: str) -> RunFolder:
        return RunFolder(self._work / "runs" / stage)

    def new_network(self, name: str) -> SegmentationModel:
        """The network of a name in the models file, its encoders from random or ImageNet weights as the file says."""
        networks = read_networks(Path(self._config.models))
        if name not in networks:
            raise UserError(f"{self._config.models} describes no network '{name}'; add it.")
        return networks[name].build()

    def first_network(self, stage: str, name: str) -> SegmentationModel:
        """What the first phase of a stage begins with: a new network, or the one that the recipe goes on from."""
        network = self.new_network(name)
        if stage.startswith("baseline"):
            return network
        if self._before is not None:
            return self._before.trained_network(stage, mode_of(network))
        if stage == "fusion" and self._config.teacher != "own":
            start_encoders(network, str(self._trained_folder("crodino", "rgb").parent / "{input}"))
        return network

    def teacher_network(self, phase: str) -> SegmentationModel:
        """The teacher of a phase of fusion, `""` or `_warm`."""
        if self._config.teacher == "own":
            return self.trained_network(f"teacher{phase}", mode_of(self.new_network("teacher")))
        return self.trained_network(f"crodino{phase}", self._config.teacher)

    def trained_network(self, stage: str, mode: str) -> SegmentationModel:
        """The model of a mode that a finished stage left behind."""
        return load_model(self._trained_folder(stage, mode))

    def _trained_folder(self, stage: str, mode: str) -> Path:
        folder = self._run(stage).models / mode
        if not folder.is_dir():
            raise UserError(f"{folder} holds no trained model; run stage {stage.removesuffix('_warm')} first.")
        return folder

    # Bundle

    def export(self) -> None:
        """Write the bundle: PrimKD's fusion model, CroDiNo-KD's RGB and depth model."""
        folders = {
            "fusion": self._run("fusion").models / "fusion",
            "rgb": self._run("crodino").models / "rgb",
            "depth": self._run("crodino").models / "depth",
        }
        self._export(self.bundle_folder, folders)

    def _export(self, out: Path, folders: Mapping[str, Path]) -> None:
        prepared = PreparedSet.open(self._work / "scenes_test")
        frames = set_frames(prepared.root, "test", 16, prepared.label_set)
        height, width = self._config.network_size or self._config.data.size
        facts = {
            "data": dict(plain(self._config.scenes)),
            "runs": {m: RunFolder(f.parent.parent).read_result() for m, f in folders.items()},
        }
        options = ExportOptions(height, width, self._config.dynamic, frames=frames, half_weights=True, training=facts)
        export_bundle(dict(folders), out, prepared.label_set, options, self._config.name, report=self._report)

    def score(self) -> None:
        """Score every mode of the bundle, and every baseline that was trained, on the test scenes.

        Raises:
            UserError: there is neither a bundle nor a baseline.
        """
        alone = [mode for mode in ("fusion", "rgb", "depth") if self._run(f"baseline_{mode}").finished]
        made = self.bundle_folder.exists() or not alone  # without either, loading says what is missing
        rows = {f"bundle {m}": s for m, s in self._score(self.bundle_folder).items()} if made else {}
        for mode in alone:
            out = self._work / "baselines" / mode
            if not (out / "manifest.json").is_file():
                self._export(out, {mode: self._run(f"baseline_{mode}").models / mode})
            rows[f"alone {mode}"] = self._score(out)[mode]
        text = table(rows, PreparedSet.open(self._work / "scenes_test").label_set.classes)
        write_atomically(self._work / "scores.md", text)
        write_atomically(self._work / "scores.json", json.dumps(rows, indent=2) + "\n")
        self._report(text)

    def _score(self, folder: Path) -> dict[str, dict[str, Any]]:
        prepared = PreparedSet.open(self._work / "scenes_test")
        bundle = load_bundle(folder)
        return {mode.value: score_bundle(bundle, mode, prepared, "test") for mode in Mode if mode in bundle.modes}


class _Phase:
    """`Networks` of one phase of a stage: its first ones, or those of the phase before it."""

    def __init__(self, recipe: Recipe, stage: str, before: str, phase: str) -> None:
        self._recipe, self._stage, self._before, self._phase = recipe, stage, before, phase

    def __call__(self, name: str) -> SegmentationModel:
        if self._before:
            return self._recipe.trained_network(self._before, mode_of(self._recipe.new_network(name)))
        return self._recipe.first_network(self._stage, name)

    def teacher(self) -> SegmentationModel:
        return self._recipe.teacher_network(self._phase)

"""The recipe of the shipped bundle, on a set of striped images in place of scenes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import load_model
from rgbd_seg_training.bundle_config import BundleConfig, WarmConfig
from rgbd_seg_training.bundle_recipe import Recipe
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.optim import OptimizerConfig
from rgbd_seg_training.run_folder import RunFolder
from rgbd_seg_training.settings import DataConfig

STANDING_STILL = OptimizerConfig(lr=1e-12, weight_decay=0.0)


@pytest.mark.parametrize(
    ("train", "steps", "epochs"),
    [(TrainConfig(steps=0, epochs=10), (0, 0), (4, 6)), (TrainConfig(steps=50, epochs=10), (20, 30), (10, 10))],
)
def test_a_recipe_without_steps_divides_its_epochs_between_the_phases(
    train: TrainConfig,
    steps: tuple[int, int],
    epochs: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phases: list[TrainConfig] = []
    monkeypatch.setattr(Recipe, "_fit_phase", lambda self, name, build, train, data: phases.append(train))
    Recipe(BundleConfig(minutes=0, warm=WarmConfig(share=0.4), train=train), tmp_path, report=print).teacher()
    assert tuple(p.steps for p in phases) == steps
    assert tuple(p.epochs for p in phases) == epochs


def link_scenes(work: Path, images: Path) -> None:
    """Ready images in place of scenes."""
    work.mkdir()
    for name in ("scenes", "scenes_test"):
        (work / name).symlink_to(images)


def small_recipe(folder: Path) -> BundleConfig:
    """A recipe of small networks and four steps; its file of networks goes to `folder`."""
    options = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}
    single = {"architecture": "lightfpn", "encoder": "resnet10t", "num_classes": 6, "options": options}
    fusion = {**single, "architecture": "cmx", "options": {**options, "decoder": "lightfpn"}}
    specs = {"teacher": {**single, "inputs": ["rgb"]}, "rgb": {**single, "inputs": ["rgb"]}}
    specs |= {"depth": {**single, "inputs": ["depth"]}, "fusion": fusion}
    (folder / "models.yaml").write_text(yaml.safe_dump(specs))
    return BundleConfig(
        models=str(folder / "models.yaml"),
        minutes=0,
        warm=WarmConfig(share=0.5, size=(32, 32)),
        data=DataConfig(size=(64, 64), scales=(1.0,)),
        train=TrainConfig(steps=4, batch_size=4, accelerator="cpu", devices=1, ema=0.9),
    )


@pytest.mark.slow
def test_the_bundle_recipe_trains_exports_and_scores_in_one_go(striped_set: Path, tmp_path: Path) -> None:
    """On ready images in place of scenes: the stages themselves, their order and their results."""
    config, work = small_recipe(tmp_path), tmp_path / "work"
    link_scenes(work, striped_set)
    recipe = Recipe(config, work, report=print)
    for stage in ("teacher", "fusion", "crodino", "baseline_depth", "export", "score"):
        recipe.stages[stage]()
    scores = json.loads((work / "scores.json").read_text())
    assert set(scores) == {"bundle fusion", "bundle rgb", "bundle depth", "alone depth"}
    assert all(np.isfinite(s["miou"]) for s in scores.values())
    assert RunFolder(work / "runs" / "baseline_depth").read_result()["steps"] == 2


@pytest.mark.slow
def test_a_baseline_of_given_steps_needs_no_rival(striped_set: Path, tmp_path: Path) -> None:
    """So that models alone can be trained beside a bundle whose runs are gone, for the steps that it took."""
    config, work = small_recipe(tmp_path), tmp_path / "work"
    link_scenes(work, striped_set)
    with pytest.raises(UserError, match=r"run that first.*--train\.steps"):
        Recipe(dataclasses.replace(config, minutes=1.0), work, report=print).stages["baseline_rgb"]()
    recipe = Recipe(dataclasses.replace(config, warm=WarmConfig(share=0.25, size=(32, 32))), work, report=print)
    with pytest.raises(UserError, match="bundle"):
        recipe.score()
    for stage in ("baseline_rgb", "score"):
        recipe.stages[stage]()
    steps = {
        name: RunFolder(work / "runs" / name).read_result()["steps"] for name in ("baseline_rgb_warm", "baseline_rgb")
    }
    assert steps == {"baseline_rgb_warm": 1, "baseline_rgb": 3}
    assert set(json.loads((work / "scores.json").read_text())) == {"alone rgb"}


def test_a_phase_that_goes_on_from_another_sees_other_images_in_another_order(tmp_path: Path) -> None:
    config = BundleConfig(warm=WarmConfig(share=0.5))
    longer = dataclasses.replace(config, start=str(tmp_path / "first"))
    recipes = [Recipe(config, tmp_path / "first", print)]
    recipes += [Recipe(longer, tmp_path / name, print) for name in ("second", "third")]
    seeds = [recipe._seed_of(phase, 0) for recipe in recipes for phase in ("fusion_warm", "fusion")]
    assert seeds[0] == 0
    assert len(set(seeds)) == len(seeds)
    alone = Recipe(BundleConfig(warm=WarmConfig(share=0.0)), tmp_path, print)
    assert alone._seed_of("fusion", 3) == 3


@pytest.mark.slow
def test_a_recipe_goes_on_from_the_models_and_scenes_of_a_finished_one(striped_set: Path, tmp_path: Path) -> None:
    config, first = small_recipe(tmp_path), tmp_path / "first"
    link_scenes(first, striped_set)
    Recipe(config, first, report=print).crodino()
    longer = dataclasses.replace(
        config,
        start=str(first),
        warm=WarmConfig(share=0.0),
        train=dataclasses.replace(config.train, steps=1, ema=0.0, optimizer=STANDING_STILL),
    )
    second = Recipe(longer, tmp_path / "second", report=print)
    second.scenes()
    second.crodino()
    for mode in ("rgb", "depth"):
        before, after = (
            dict(load_model(RunFolder(work / "runs" / "crodino").models / mode).named_parameters())
            for work in (first, tmp_path / "second")
        )
        assert all(torch.allclose(before[name], value, atol=1e-9) for name, value in after.items())
    assert (tmp_path / "second" / "scenes").resolve() == striped_set.resolve()
    third = Recipe(dataclasses.replace(longer, start=str(tmp_path / "second")), tmp_path / "third", report=print)
    third.scenes()
    third.first_network("crodino", "depth")  # the recipe that it goes on from went on from another itself
    with pytest.raises(UserError, match="nowhere"):
        Recipe(dataclasses.replace(longer, start=str(tmp_path / "nowhere")), tmp_path / "fourth", report=print).scenes()


@pytest.mark.slow
def test_fusion_starts_from_the_encoders_of_crodino_and_is_guided_by_its_model(
    striped_set: Path, tmp_path: Path
) -> None:
    config, work = small_recipe(tmp_path), tmp_path / "work"
    link_scenes(work, striped_set)
    config = dataclasses.replace(config, teacher="rgb", parallel=False, warm=WarmConfig(share=0.0))
    assert config.stages == ("scenes", "crodino", "fusion", "export", "score")
    Recipe(config, work, report=print).crodino()
    still = dataclasses.replace(config.train, steps=1, ema=0.0, optimizer=STANDING_STILL)
    recipe = Recipe(dataclasses.replace(config, train=still), work, report=print)
    recipe.fusion()
    fused = dict(recipe.trained_network("fusion", "fusion").named_parameters())
    for mode in ("rgb", "depth"):
        alone = recipe.trained_network("crodino", mode).get_submodule("encoder")
        for name, value in alone.named_parameters():
            assert torch.allclose(fused[f"encoders.{mode}.{name}"], value, atol=1e-9)
    assert recipe.teacher_network("").spec.inputs == ("rgb",)


def test_fusion_that_builds_on_crodino_cannot_run_beside_it() -> None:
    with pytest.raises(UserError, match="--parallel false"):
        BundleConfig(teacher="depth", parallel=True)


def test_fusion_that_builds_on_crodino_says_that_crodino_must_run_first(striped_set: Path, tmp_path: Path) -> None:
    config, work = small_recipe(tmp_path), tmp_path / "work"
    link_scenes(work, striped_set)
    recipe = Recipe(dataclasses.replace(config, teacher="rgb", parallel=False), work, report=print)
    with pytest.raises(UserError, match="run stage crodino first"):
        recipe.fusion()

"""The command lines, on a set of striped images."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from rgbd_seg_ros.datasets.images import read_raw, write_png
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import DepthEncoding, load_model
from rgbd_seg_ros.models.preprocessing import DepthNormalizer
from rgbd_seg_training.bundle_config import BundleConfig, WarmConfig
from rgbd_seg_training.bundle_recipe import Recipe
from rgbd_seg_training.cli import run_script
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.data.photometry import DepthJitter
from rgbd_seg_training.optim import OptimizerConfig
from rgbd_seg_training.run_folder import RunFolder
from rgbd_seg_training.settings import DataConfig

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "training"))

import compare  # noqa: E402
import evaluate  # noqa: E402
import train_bundle  # noqa: E402
import train_crodino  # noqa: E402

CONFIGS = ROOT / "training" / "configs"
NARROW = '{"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}'


def options(root: Path, run: Path, *more: str) -> list[str]:
    given = {
        "--run": run,
        "--data.root": root,
        "--data.size": "[64, 64]",
        "--data.scales": "[1.0]",
        "--model.architecture": "lightfpn",
        "--model.encoder": "resnet10t",
        "--model.options": NARROW,
        "--train.epochs": 2,
        "--train.batch_size": 4,
        "--train.accelerator": "cpu",
        "--train.devices": 1,
    }
    return [text for item in given.items() for text in map(str, item)] + list(more)


def test_train_crodino_leaves_models_metrics_and_the_whole_configuration(striped_set: Path, tmp_path: Path) -> None:
    train_crodino.main(options(striped_set, tmp_path / "run", "--method.crodino.w_con", "0.2"))
    run = RunFolder(tmp_path / "run")
    assert sorted(p.name for p in run.models.iterdir()) == ["depth", "rgb"]
    settings = yaml.safe_load(run.config.read_text())
    assert settings["method"]["crodino"]["w_con"] == 0.2
    assert settings["train"]["optimizer"]["power"] == 0.9
    assert run.metrics.read_text().count("\n") == 3
    assert "val/miou_rgb" in run.read_result()["validation"]


def test_a_set_with_images_of_several_sizes_is_trained_on_and_validated(striped_set: Path, tmp_path: Path) -> None:
    shutil.copytree(striped_set, tmp_path / "set", ignore=shutil.ignore_patterns(".packed"))
    for kind in ("rgb", "depth", "label"):
        path = tmp_path / "set" / kind / "val_1.png"
        write_png(path, read_raw(path)[:48])
    more = ("--method.approach", "single", "--train.epochs", "1")
    train_crodino.main(options(tmp_path / "set", tmp_path / "run", *more))
    assert "val/miou_rgb" in RunFolder(tmp_path / "run").read_result()["validation"]


def test_evaluate_scores_a_saved_model_with_pictures(striped_set: Path, tmp_path: Path) -> None:
    more = ("--method.approach", "single", "--method.modality", "fusion", "--fusion.encoder", "resnet10t")
    fusion = ("--fusion.options", NARROW[:-1] + ', "decoder": "lightfpn"}')
    train_crodino.main(options(striped_set, tmp_path / "run", *more, *fusion))
    model = tmp_path / "run" / "models" / "fusion"
    command = ["--model", str(model), "--data", str(striped_set), "--missing", "[rgb, depth]", "--flip", "true"]
    evaluate.main([*command, "--out", str(tmp_path / "out")])
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["scores"]
    assert set(scores) == {"rgb+depth", "rgb+depth, rgb zeros", "rgb+depth, depth zeros"}
    assert all(0 <= s["miou"] <= 1 for s in scores.values())
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (train_crodino.main, ["--run", "x"], "--data.root"),
        (train_crodino.main, ["--run", "x", "--data.root", "nowhere"], "nowhere"),
        (train_crodino.main, ["--run", "x", "--data.root", "y", "--data.validation", "test"], "validate_on_test"),
        (evaluate.main, ["--out", "x", "--data", "y"], "--model"),
        (evaluate.main, ["--out", "x", "--model", "m"], "--data"),
        (compare.main, ["--out", "x"], "baseline"),
        (train_bundle.main, ["--work", "x", "--stages", "[bake]"], "bake"),
    ],
)
def test_mistakes_are_one_sentence_and_status_two(
    main,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch,  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_script(lambda: main(arguments)) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", sorted(p.name for p in (CONFIGS / "crodino").glob("*.yaml")))
def test_every_shipped_configuration_is_understood(file: str) -> None:
    sections = yaml.safe_load((CONFIGS / "crodino" / file).read_text())
    if file.startswith("study"):
        parser, needed = compare.build_parser(), ["--out", "x"]
    else:
        parser, needed = train_crodino.build_parser(), ["--run", "x"]
    arguments = parser.parse_args([*needed, "--config", str(CONFIGS / "crodino" / file)])
    config = parser.instantiate(arguments)
    length = "steps" if "steps" in sections["train"] else "epochs"
    assert getattr(config.train, length) == sections["train"][length]
    assert config.train.optimizer.lr == sections["train"]["optimizer"]["lr"]


def test_the_bundle_recipe_is_understood_and_names_its_networks(tmp_path: Path) -> None:
    parser = train_bundle.build_parser()
    # As `make bundle ARGS="--config ... --work ..."` gives them: what comes later wins.
    (tmp_path / "mine.yaml").write_text("scenes: {train: 7}\n")
    given = ["--config", str(CONFIGS / "bundle" / "rooms.yaml"), "--work", "a"]
    arguments = parser.parse_args([*given, "--config", str(tmp_path / "mine.yaml"), "--work", "b"])
    config = parser.instantiate(arguments)
    assert (arguments.work, config.scenes.train, config.scenes.test) == ("b", 7, 200)
    assert config.minutes == yaml.safe_load((CONFIGS / "bundle" / "rooms.yaml").read_text())["minutes"]
    networks = yaml.safe_load((ROOT / config.models).read_text())
    assert set(networks) == {"fusion", "teacher", "rgb", "depth"}


@pytest.mark.parametrize("file", ["potsdam.yaml", "study_aerial.yaml"])
def test_aerial_configurations_tell_a_roof_from_the_ground(file: str) -> None:
    """Depth is the distance from a camera 120 m up, so the range has to hold what lies below it."""
    model = yaml.safe_load((CONFIGS / "crodino" / file).read_text())["model"]
    encode = DepthNormalizer(DepthEncoding(**model["depth"]))
    ground, hut, tower = (float(encode(torch.full((1, 1, 1), m))[0, 0]) for m in (120.0, 117.0, 80.5))
    assert ground - hut > 0.1
    assert hut - tower > 1.0


@pytest.mark.parametrize(
    ("file", "metres"),
    [("potsdam.yaml", 110.0), ("study_aerial.yaml", 110.0), ("midair.yaml", 300.0), ("study_drone.yaml", 300.0)],
)
def test_outdoor_configurations_keep_distances_that_indoor_noise_would_drown(file: str, metres: float) -> None:
    amounts = yaml.safe_load((CONFIGS / "crodino" / file).read_text())["data"]["depth"]
    jitter = DepthJitter(**amounts)
    for seed in range(20):
        seen = jitter.apply(np.full((40, 40), metres, np.float32), np.random.default_rng(seed))
        measured = seen[seen > 0]
        assert measured.size > 0
        assert np.abs(measured / metres - 1).max() < 0.06


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
    standing_still = OptimizerConfig(lr=1e-12, weight_decay=0.0)
    longer = dataclasses.replace(
        config,
        start=str(first),
        warm=WarmConfig(share=0.0),
        train=dataclasses.replace(config.train, steps=1, ema=0.0, optimizer=standing_still),
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

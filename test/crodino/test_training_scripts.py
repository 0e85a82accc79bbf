"""The command lines, on a set of striped images."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from rgbd_seg_ros.datasets.images import read_raw, write_png
from rgbd_seg_ros.models import DepthEncoding
from rgbd_seg_ros.models.preprocessing import DepthNormalizer
from rgbd_seg_training.data.photometry import DepthJitter
from rgbd_seg_training.run_folder import RunFolder
from rgbd_seg_training.scripts import run_script

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

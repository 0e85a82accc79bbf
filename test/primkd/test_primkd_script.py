"""`train_primkd.py` from options to saved models, and the experiment files of the paper."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import compare
import train_primkd
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets import DepthFacts, Intrinsics, Manifest, Sample
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import load_model
from rgbd_seg_training.cli import settings_of
from rgbd_seg_training.data.set_writer import SetWriter

CONFIGS = Path(train_primkd.__file__).parent / "configs" / "primkd"
EXPERIMENTS = sorted(p for p in CONFIGS.glob("*.yaml") if p.stem.startswith(("nyu", "sun")))
ABLATIONS = sorted((CONFIGS / "ablation").glob("*.yaml"))
TINY = [
    "--train.steps=2",
    "--train.epoch_steps=2",
    "--train.batch_size=2",
    "--train.accelerator=cpu",
    "--train.devices=1",
    "--train.threads=1",
    "--data.size=[32,32]",
    "--data.scales=[1.0]",
    "--teacher.model.architecture=lightfpn",
    "--teacher.model.encoder=mobilenetv3_small_050",
    "--student.model.encoder=mobilenetv3_small_050",
    "--student.model.options={decoder: lightfpn}",
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    out = tmp_path_factory.mktemp("sets") / "noise"
    writer = SetWriter(out, {"source": "test"})
    splits = {"train": ["a", "b", "c", "d"], "val": ["e", "f"]}
    for name in splits["train"] + splits["val"]:
        rgb = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
        depth = rng.integers(0, 5000, (32, 32)).astype(np.uint16)
        writer.write(Sample(name, rgb, depth, rng.integers(0, 13, (32, 32)).astype(np.uint8)))
    facts = Manifest("noise", LABEL_SETS["nyu13"], DepthFacts(0.001, 0.3, 10.0), Intrinsics(32, 32, 30, 30, 15.5, 15.5))
    writer.finish(facts, splits)
    return out


def run(prepared: Path, folder: Path, *options: str) -> None:
    train_primkd.main([*TINY, f"--data.root={prepared}", f"--run={folder}", *options])


def history(folder: Path) -> str:
    return (folder / "metrics.csv").read_text().splitlines()[0]


@pytest.fixture(scope="module")
def finished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "both"
    run(prepared, folder)
    return folder


@pytest.mark.slow
def test_both_stages_leave_models_that_load(finished: Path) -> None:
    assert load_model(finished / "teacher" / "models" / "rgb").spec.inputs == ("rgb",)
    student = load_model(finished / "student" / "models" / "fusion")
    assert student.spec.architecture == "cmx"
    assert student.spec.num_classes == 13
    for term in ("segmentation", "prediction", "feature"):
        assert f"loss/{term}" in history(finished / "student")
    assert "probe/worst_stage1" in history(finished / "student")


@pytest.mark.slow
def test_a_trained_teacher_serves_another_student(finished: Path, prepared: Path, tmp_path: Path) -> None:
    run(prepared, tmp_path / "again", f"--teacher.folder={finished / 'teacher' / 'models' / 'rgb'}")
    assert not (tmp_path / "again" / "teacher").exists()
    assert (tmp_path / "again" / "student" / "models" / "fusion" / "model.safetensors").is_file()
    settings = yaml.safe_load((tmp_path / "again" / "student" / "config.yaml").read_text())
    assert settings["stage"] == "student"
    assert settings["guidance"]["beta"] == 0.05


@pytest.mark.slow
def test_without_a_teacher_the_student_learns_from_labels_alone(prepared: Path, tmp_path: Path) -> None:
    run(prepared, tmp_path / "plain", "--teacher.modality=none")
    columns = history(tmp_path / "plain" / "student")
    assert "loss/segmentation" in columns
    assert "loss/prediction" not in columns


@pytest.mark.slow
def test_two_processes_train_teacher_and_student_one_after_the_other(prepared: Path, tmp_path: Path) -> None:
    script = Path(train_primkd.__file__)
    path = os.pathsep.join([str(script.parents[1]), str(script.parent)])
    options = [*TINY, "--train.devices=2", f"--data.root={prepared}", f"--run={tmp_path / 'run'}"]
    command = [sys.executable, str(script), *options]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("models/fusion: 2 steps") == 1
    assert load_model(tmp_path / "run" / "student" / "models" / "fusion").spec.architecture == "cmx"


def test_teacher_of_the_wrong_modality_is_refused(finished: Path, prepared: Path, tmp_path: Path) -> None:
    teacher = finished / "teacher" / "models" / "rgb"
    with pytest.raises(UserError, match="not depth"):
        run(prepared, tmp_path / "x", f"--teacher.folder={teacher}", "--teacher.modality=depth")


def parsed(*files: Path) -> dict[str, Any]:
    """The configuration that the script sees."""
    parser = train_primkd.build_parser()
    arguments = parser.parse_args([*(f"--config={f}" for f in files), "--data.root=x", "--run=y"])
    parser.instantiate_classes(arguments)
    return settings_of(arguments)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_experiment_file_holds_the_papers_settings(path: Path) -> None:
    config = parsed(path)
    indoor = path.stem.startswith("nyu")
    assert config["guidance"] == {
        "alpha": 1.0,
        "beta": 0.05,
        "aligner": "multi",
        "selection": "max",
        "ignored_pixels": False,
        "mask_ratio": 0.0,
    }
    assert config["train"]["epochs"] == (500 if indoor else 300)
    assert config["train"]["batch_size"] == (8 if indoor else 128)
    assert config["train"]["optimizer"]["lr"] == (6e-5 if indoor else 8e-5)
    assert config["train"]["optimizer"]["warmup"] == pytest.approx(10 / config["train"]["epochs"], abs=1e-4)
    assert config["data"]["size"] == ([480, 640] if indoor else [530, 730])
    assert config["student"]["model"]["encoder"] == config["teacher"]["model"]["encoder"] == f"mit_{path.stem[-2:]}"


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda p: p.stem)
def test_ablation_changes_one_thing_of_the_full_experiment(path: Path) -> None:
    full, changed = parsed(CONFIGS / "nyu_b4.yaml"), parsed(CONFIGS / "nyu_b4.yaml", path)
    pairs = [(section, key) for section, values in full.items() if isinstance(values, dict) for key in values]
    differing = [(s, k) for s, k in pairs if full[s][k] != changed[s][k]]
    assert len(differing) == 1
    assert differing[0][0] in {"guidance", "teacher"}


def test_the_configurations_of_rendered_rooms_are_understood() -> None:
    rooms = parsed(CONFIGS / "rooms_b2.yaml")
    assert rooms["train"]["minutes"] > 0
    assert rooms["student"]["model"]["encoder"] == "mit_b2"
    parser = compare.build_parser()
    arguments = parser.parse_args(["--config", str(CONFIGS / "study_rooms.yaml"), "--out=x", "--data.root=y"])
    config = parser.instantiate(arguments)
    assert config.baseline in config.variants
    assert len(config.seeds) >= 5


def test_every_row_of_the_papers_ablation_has_a_file() -> None:
    assert len(EXPERIMENTS) == 4
    assert len(ABLATIONS) == 16

"""The engine trains, logs, stops, resumes and saves."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.accelerators.cuda import CUDAAccelerator
from safetensors.torch import load_file
from toy_training import ToyMethod, toy_config, toy_data

from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.callbacks import MovingAverage
from rgbd_seg_training.config import TrainConfig
from rgbd_seg_training.fit import fit, seed_everything
from rgbd_seg_training.optim import OptimizerConfig
from rgbd_seg_training.run_folder import RunFolder


class PowerCutError(Exception):
    """The process ends in the middle of a step."""


class InterruptedMethod(ToyMethod):
    """Dies in training step `at`."""

    def __init__(self, at: int, cause: type[BaseException] = PowerCutError) -> None:
        super().__init__()
        self.at = at
        self.calls = 0
        self.cause = cause

    def training_losses(self, batch):  # type: ignore[no-untyped-def]
        self.calls += 1
        if self.calls > self.at:
            raise self.cause
        return super().training_losses(batch)


def train(
    run: Path,
    config: TrainConfig,
    build: Callable[[], ToyMethod] = ToyMethod,
    resume: bool = False,
    validated: bool = True,
) -> ToyMethod:
    seed_everything(config)
    method = build()
    data = toy_data() if validated else replace(toy_data(), validation=None)
    fit(method, data, config, RunFolder(run), {"train": config}, resume=resume, report=print)
    return method


def build_after_other_draws() -> ToyMethod:
    """What the second process drew from its generators before the fit must not matter."""
    torch.manual_seed(99)
    return ToyMethod()


def rows(run: Path) -> list[dict[str, str]]:
    with RunFolder(run).metrics.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema": 0.9},
        {"accumulate": 2},
        {"epoch_steps": 3, "steps": 12},
        {"precision": "bf16-mixed"},
        {"validate_every": 3},
    ],
)
def test_an_interrupted_run_ends_in_the_same_weights_as_an_unbroken_one(tmp_path: Path, changes: dict) -> None:
    config = toy_config(**changes)
    whole = train(tmp_path / "whole", config)
    with pytest.raises(PowerCutError):
        train(tmp_path / "cut", config, lambda: InterruptedMethod(at=8))
    resumed = train(tmp_path / "cut", config, build_after_other_draws, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_an_interrupt_by_the_user_arrives_as_such_and_the_next_one_is_heard_too(tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", toy_config(), lambda: InterruptedMethod(7, KeyboardInterrupt))
    assert signal.getsignal(signal.SIGINT) is handler
    assert not RunFolder(tmp_path / "run").finished
    train(tmp_path / "run", toy_config(), resume=True)
    assert RunFolder(tmp_path / "run").finished


def test_an_interrupted_run_without_validation_ends_in_the_same_weights_as_an_unbroken_one(tmp_path: Path) -> None:
    config = toy_config()
    whole = train(tmp_path / "whole", config, validated=False)
    with pytest.raises(PowerCutError):
        train(tmp_path / "cut", config, lambda: InterruptedMethod(at=8), validated=False)
    resumed = train(tmp_path / "cut", config, build_after_other_draws, resume=True, validated=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_every_term_is_logged_with_its_weighted_share_and_the_shares_add_up_to_one(tmp_path: Path) -> None:
    train(tmp_path, toy_config(gradient_shares_every=1))
    for row in rows(tmp_path):
        assert float(row["share/segmentation"]) + float(row["share/small"]) == pytest.approx(1, abs=1e-5)
        assert float(row["gradient/hidden/segmentation"]) + float(row["gradient/hidden/small"]) == pytest.approx(1)
        assert float(row["loss/total"]) == pytest.approx(
            float(row["loss/segmentation"]) + 0.01 * float(row["loss/small"]), rel=1e-4
        )
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_training_lowers_the_loss_and_the_model_on_disk_is_the_trained_one(tmp_path: Path) -> None:
    method = train(tmp_path, toy_config(epochs=12))
    losses = [float(row["loss/segmentation"]) for row in rows(tmp_path)]
    assert losses[-1] < losses[0]
    saved = load_file(tmp_path / "models" / "rgb" / "model.safetensors")
    for name, value in method.model.state_dict().items():
        assert torch.equal(saved[name], value), name


def test_a_time_limit_ends_the_run_early_with_an_annealed_rate(tmp_path: Path) -> None:
    train(tmp_path, toy_config(epochs=100_000, minutes=0.02))
    last = rows(tmp_path)[-1]
    assert int(last["step"]) < 500_000
    assert float(last["rate"]) < 0.02 * 0.5


def test_early_stop_ends_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    config = toy_config(epochs=50, patience=2, optimizer=OptimizerConfig(lr=1e-12))
    train(tmp_path, config)
    assert len(rows(tmp_path)) < 50


@pytest.mark.parametrize(
    ("changes", "validated"), [({"epochs": 5}, [10, 20, 25]), ({"steps": 18}, [10, 18]), ({"keep": "best"}, [10, 20])]
)
def test_figures_of_validation_stand_where_it_ran_and_the_last_step_is_always_validated(
    tmp_path: Path, changes: dict, validated: list[int]
) -> None:
    train(tmp_path, toy_config(validate_every=2, **changes))
    assert [int(row["step"]) for row in rows(tmp_path) if row["val/miou"]] == validated
    result = RunFolder(tmp_path).read_result()
    assert result["validation"]["step"] == result["steps"] == validated[-1]


def test_a_time_limit_with_several_processes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.minutes with 2 processes"):
        train(tmp_path / "run", toy_config(minutes=1.0, devices=2))
    assert not (tmp_path / "run").exists()


def test_the_average_of_weights_lives_on_the_device_that_trains() -> None:
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))
    average = MovingAverage(0.9)
    average.setup(trainer, LightningModule(), "fit")  # type: ignore[arg-type]
    assert average._average_model is not None
    assert average._average_model.n_averaged.device.type == "meta"


def test_a_finished_run_is_returned_without_training(tmp_path: Path) -> None:
    train(tmp_path, toy_config())
    method = train(tmp_path, toy_config(), lambda: InterruptedMethod(at=0), resume=True)
    assert isinstance(method, InterruptedMethod)
    assert method.calls == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"accelerator": "cuda"}, "train.accelerator cuda"),
        ({"accelerator": "tpuu"}, "train.accelerator tpuu"),
        ({"precision": "64-mixed"}, "train.precision 64-mixed"),
    ],
)
def test_a_device_that_is_not_here_is_one_sentence_and_leaves_nothing(
    changes: dict[str, str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: False))
    with pytest.raises(UserError, match=f"{named}.*cannot be used here"):
        train(tmp_path / "run", toy_config(**changes))
    assert not (tmp_path / "run").exists()


def test_a_run_folder_in_use_is_refused_without_resume(tmp_path: Path) -> None:
    train(tmp_path, toy_config())
    with pytest.raises(UserError, match="already holds a run"):
        train(tmp_path, toy_config())


def test_resuming_with_other_settings_names_the_setting(tmp_path: Path) -> None:
    train(tmp_path, toy_config())
    with pytest.raises(UserError, match="batch_size"):
        train(tmp_path, toy_config(batch_size=5), resume=True)
    with pytest.raises(UserError, match=r"train\.devices=1 and cannot resume with 2"):
        train(tmp_path, toy_config(devices=2), resume=True)


def test_a_method_with_loaded_models_in_eval_mode_trains_in_train_mode(tmp_path: Path) -> None:
    def build() -> ToyMethod:
        method = ToyMethod()
        method.eval()
        return method

    method = train(tmp_path, toy_config(epochs=1), build)
    assert int(method.model.norm.num_batches_tracked) == 5

"""Trains, scores and labels on a device that is not the CPU; a process of its own, see `second_device`.

Arguments: a prepared set, an empty folder. Prints a line of JSON for each case: its name, and how it failed, if it did.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.accelerators.cpu import CPUAccelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from second_device import DEVICE, AwayTensor, second_device

import analyze
import evaluate
import train_crodino
from rgbd_seg_ros.inference.backends.torch import _CpuSession, _DeviceSession, _Labels
from rgbd_seg_ros.models import ModelSpec, build_model
from rgbd_seg_training.run_folder import RunFolder

NARROW = '{"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}'
OPTIONS = [
    "--data.size=[64,64]",
    "--data.scales=[1.0]",
    "--model.architecture=lightfpn",
    "--model.encoder=resnet10t",
    f"--model.options={NARROW}",
    "--fusion.encoder=resnet10t",
    f"--fusion.options={NARROW[:-1]}, decoder: lightfpn}}",
    "--train.epochs=1",
    "--train.batch_size=4",
    "--train.devices=1",
    "--train.threads=1",
]
KD = "--method.crodino."
DISTILLED = ("kd", "kdnet", "masked", "protokd")
TEACHER = "--method.teacher={single_fusion}/models/fusion"

TRAININGS = {
    "single_fusion": "--method.approach=single --method.modality=fusion --train.channels_last=true",
    "single_rgb": "--method.approach=single --train.keep=best --train.region_loss=lovasz --train.class_balance=median",
    "crodino": f"{KD}queue=16 --train.ema=0.9 --train.optimizer.clip=1 --train.gradient_shares_every=1",
    "crodino_mutual": f"{KD}w_mutual=1 {KD}mutual_ramp=[0,0] {KD}mutual_average=0.9 {KD}mutual_target=mean "
    f"{KD}contrast=prototype",
    "crodino_pixels": f"{KD}contrast=pixel {KD}aux_shared=false {KD}split_level=-2 --train.label_stride=2 "
    "--train.accumulate=2 --train.region_loss=dice",
    "crodino_joint": f"{KD}aux_norm=joint {KD}shuffle_pairs=true --train.class_balance=enet",
    **{name: f"--method.approach={name} --method.modality=depth {TEACHER}" for name in DISTILLED},
    "primkd": "--method.approach=primkd --method.modality=fusion --method.teacher={single_rgb}/models/rgb "
    "--method.guidance.mask_ratio=0.3 --method.guidance.selection=average",
    "primkd_public": "--method.approach=primkd --method.modality=fusion --method.teacher={single_rgb}/models/rgb "
    "--method.guidance.selection=max_batch --method.guidance.aligner=single --method.guidance.ignored_pixels=true",
}


class Accelerator(CPUAccelerator):
    """Lightning's for the CPU, which would refuse another device."""

    def setup_device(self, device: torch.device) -> None:
        """Nothing to prepare."""


class AwayTrainer(pl.Trainer):
    """Trains on the second device, and sees to it that everything is there."""

    def __init__(self, **options: Any) -> None:
        options |= {"accelerator": Accelerator(), "strategy": SingleDeviceStrategy(device=DEVICE)}
        super().__init__(**options)
        self.callbacks.append(EverythingIsThere())  # type: ignore[attr-defined]


class EverythingIsThere(pl.Callback):
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        values = [*pl_module.parameters(), *pl_module.buffers(), *batch.values()]
        assert all(isinstance(value, AwayTensor) for value in values if isinstance(value, torch.Tensor))


def training(options: str, data: Path, out: Path) -> None:
    folders = {name: str(out.parent / name) for name in TRAININGS}
    given = [option.format(**folders) for option in options.split()]
    train_crodino.main([f"--run={out}", f"--data.root={data}", *OPTIONS, *given])


def resume(data: Path, out: Path) -> None:
    """A run that stops in its second epoch and goes on."""
    options = f"{KD}queue=16 --train.ema=0.9 --train.epochs=2"
    with patch.object(EverythingIsThere, "on_train_epoch_start", stop_in_the_second), suppress(KeyboardInterrupt):
        training(options, data, out)
    assert not RunFolder(out).finished
    training(f"{options} --resume=true", data, out)
    assert RunFolder(out).read_result()["steps"] == 4


def stop_in_the_second(callback: pl.Callback, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
    if trainer.current_epoch == 1:
        raise KeyboardInterrupt


def evaluation(data: Path, out: Path) -> None:
    model = out.parent / "single_fusion" / "models" / "fusion"
    command = ["--model", str(model), "--data", str(data), "--device", str(DEVICE)]
    evaluate.main(
        [*command, "--scales", "[0.75, 1.0]", "--flip", "true", "--missing", "[rgb]", "--out", f"{out}/whole"]
    )
    evaluate.main([*command, "--window", "[32, 32]", "--out", f"{out}/windows"])


def analysis(data: Path, out: Path) -> None:
    models = [out.parent / f"single_{name}" / "models" / name for name in ("fusion", "rgb")]
    command = ["--data.root", str(data), "--data.size", "[64, 64]", "--device", str(DEVICE), "--out", str(out)]
    analyze.main([*command, "--students", f"{{a: {models[0]}}}", "--references", f"{{b: {models[1]}}}"])


def labels(half: bool, data: Path, out: Path) -> None:
    """What the torch backend does on a GPU, but for page-locked memory and graphs."""
    size, rng = (64, 96), np.random.default_rng(0)
    images = {"rgb": rng.integers(0, 255, (1, *size, 3), np.uint8), "depth": rng.uniform(0.3, 5, (1, *size))}
    images["depth"] = images["depth"].astype(np.float32)
    options = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder": "lightfpn"}
    for encoder, decoder in (("resnet10t", options), ("mit_b0", {"decoder": "segformer"})):
        torch.manual_seed(0)
        model: Any = build_model(ModelSpec("cmx", encoder, 5, ("rgb", "depth"), options=decoder)).eval()
        expected = _CpuSession(_Labels(model, "exact", half=False)).run(images)[0].copy()
        with second_device():
            forward = _Labels(model.to(DEVICE), "exact", half)
            session = _DeviceSession(forward, ("rgb", "depth"), size, str(DEVICE), graphs=False, tf32=False)
            label, confidence = session.run(images)
        assert confidence.shape == label.shape == size
        assert (label == expected).mean() > (0.99 if half else 0.9999)


def mixed(data: Path, out: Path) -> None:
    torch.zeros(2, device=DEVICE) + torch.ones(2)


def as_array(data: Path, out: Path) -> None:
    torch.zeros(2, device=DEVICE).numpy()


CASES: dict[str, Callable[[Path, Path], None]] = {
    **{name: partial(training, options) for name, options in TRAININGS.items()},
    "resume": resume,
    "evaluation": evaluation,
    "analysis": analysis,
    "labels": partial(labels, False),
    "labels_half": partial(labels, True),
    "mixed": mixed,
    "as_array": as_array,
}


def main(data: Path, out: Path) -> None:
    stream = SimpleNamespace(synchronize=lambda: None)
    with (
        patch.object(pl, "Trainer", AwayTrainer),
        patch.object(torch.Tensor, "pin_memory", lambda tensor: tensor),
        patch.object(torch.cuda, "current_stream", lambda: stream),
    ):
        for name, case in CASES.items():
            try:
                with second_device():
                    case(data, out / name)
                failure = ""
            except (Exception, SystemExit):
                failure = traceback.format_exc()
            sys.stdout.write(json.dumps({"case": name, "failure": failure}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Everything about the real sizes that needs a GPU, by one command: speed of CMX-B2, and eight minutes of PrimKD.

python benchmarks/gpu_report.py --out runs/gpu               # one NVIDIA GPU; rendering takes some minutes of CPU first
python benchmarks/gpu_report.py --out runs/dry --dry-run     # the same steps with tiny sizes on the CPU

Leaves in --out: `report.json` (device, versions, times, scores), `bench.json`, `curves.png`, `train/` (both run
folders) and `evaluation/`. Steps that are done are not repeated. The GPU path has not been run by its authors, who had
no GPU; the dry run has.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import torch

from rgbd_seg_ros.evaluation.machine import machine_facts, version_facts

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "training/configs/primkd/rooms_b2.yaml"
TINY_NETWORKS = [
    "--teacher.model.encoder=mit_tiny",
    "--teacher.model.options={decoder_options: {width: 32}}",
    "--student.model.encoder=mit_tiny",
    "--student.model.options={decoder_options: {width: 32}}",
]


@dataclass(frozen=True)
class Step:
    """A command, and the file or folder that it leaves when it is done."""

    name: str
    command: list[str]
    leaves: Path


def steps(out: Path, data: Path, dry: bool, pretrained: bool) -> list[Step]:
    """Rendering, speed, training, evaluation."""
    count, size = (8, "64x64") if dry else (2000, "240x320")
    rendering = ["training/prepare.py", "rendered", "--world", "indoor", "--count", str(count), "--size", size]
    bench = [
        "benchmarks/bench_models.py",
        "--part",
        "training",
        "--part",
        "inference",
        "--json",
        str(out / "bench.json"),
    ]
    training = ["training/train_primkd.py", "--config", CONFIG, "--data.root", str(data), "--run", str(out / "train")]
    training += ["--resume", "true"]
    if pretrained:
        training += ["--teacher.model.pretrained=true", "--student.model.pretrained=true"]
    student = out / "train" / "student"
    evaluation = ["training/evaluate.py", "--model", str(student / "models" / "fusion"), "--data", str(data)]
    evaluation += ["--missing", "[rgb,depth]", "--out", str(out / "evaluation")]
    if dry:
        rendering += ["--val-count", "2", "--test-count", "2", "--workers", "1"]
        bench += ["--device", "cpu", "--encoder", "mit_tiny", "--size", "64x64", "--batch", "1", "--rounds", "2"]
        training += ["--train.steps=4", "--train.epoch_steps=2", "--train.batch_size=2", "--train.accelerator=cpu"]
        training += ["--train.workers=0", "--train.precision=32-true", "--data.size=[64,64]", *TINY_NETWORKS]
    else:
        bench += ["--device", "cuda", "--compile", "--rounds", "20"]
        training += ["--train.accelerator=gpu"]
    return [
        Step("rendering", [*rendering, "--out", str(data)], data),
        Step("speed", bench, out / "bench.json"),
        Step("training", training, student / "result.json"),
        Step("evaluation", evaluation, out / "evaluation" / "scores.json"),
    ]


def run(step: Step) -> float:
    """Run a step unless it is done; returns its seconds."""
    if step.leaves.exists():
        print(f"{step.name}: done before", flush=True)
        return 0.0
    print(f"{step.name}: {' '.join(step.command)}", flush=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "training"), os.environ.get("PYTHONPATH", "")])
    started = time.monotonic()
    command = [sys.executable, *step.command]
    if subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=False).returncode != 0:
        sys.exit(f"error: {step.name} failed; its last lines say why. Repeat this command to continue from there.")
    return round(time.monotonic() - started, 1)


def draw_curves(train: Path, file: Path) -> None:
    """Total loss and validation mean IoU of both stages over steps."""
    figure, (losses, scores) = plt.subplots(1, 2, figsize=(11, 4))
    for stage in ("teacher", "student"):
        with (train / stage / "metrics.csv").open(encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        for axis, column in ((losses, "loss/total"), (scores, "val/miou")):
            points = [(float(r["step"]), float(r[column])) for r in rows if r.get(column)]
            axis.plot(*zip(*points, strict=True), label=stage)
    losses.set(title="total loss", xlabel="optimiser steps")
    scores.set(title="mean IoU on the validation split", xlabel="optimiser steps")
    for axis in (losses, scores):
        axis.legend()
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main() -> None:
    """Run all steps and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="prepared rooms of 240 x 320 (default: rendered into OUT/rooms)")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU")
    parser.add_argument("--pretrained", action="store_true", help="start from ImageNet weights (needs a network)")
    arguments = parser.parse_args()
    if not arguments.dry_run and not torch.cuda.is_available():
        sys.exit("error: torch sees no GPU here; install a CUDA build of torch, or give --dry-run.")
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    data = (arguments.data or out / "rooms").resolve()
    seconds = {step.name: run(step) for step in steps(out, data, arguments.dry_run, arguments.pretrained)}
    draw_curves(out / "train", out / "curves.png")
    train = {s: json.loads((out / "train" / s / "result.json").read_text()) for s in ("teacher", "student")}
    report = {
        "device": "cpu" if arguments.dry_run else torch.cuda.get_device_name(),
        "machine": machine_facts(),
        "versions": {**version_facts(), "torch": torch.__version__},
        "seconds": seconds,
        "bench": json.loads((out / "bench.json").read_text()),
        "train": train,
        "evaluation": json.loads((out / "evaluation" / "scores.json").read_text()),
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {out / 'report.json'} and {out / 'curves.png'}")


if __name__ == "__main__":
    main()

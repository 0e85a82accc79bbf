"""What a training step costs: CroDiNo-KD's joint step against a teacher and its two students.

python benchmarks/bench_joint_training.py                                       # networks of the small study, 64 x 80
python benchmarks/bench_joint_training.py --config training/configs/crodino/nyu.yaml --size 240x320 --batch 2

Every part (teacher, student, joint step) runs in a process of its own on one thread, on random images; a step is
forward, losses, backward, AdamW. Times are medians of processor time, which other programs disturb less than wall time.
The time of a method is the sum over the networks that it trains, at the same number of steps each. Memory is the peak
of the process above what it held before the first step, the largest of the parts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

import compare
import train_crodino
from rgbd_seg_ros.evaluation.comparison import markdown_table
from rgbd_seg_ros.evaluation.machine import machine_facts
from rgbd_seg_ros.models import save_model
from rgbd_seg_training.approaches import MethodConfig, build_method
from rgbd_seg_training.data.options import parse_size
from rgbd_seg_training.losses import sparse_labels
from rgbd_seg_training.optim import OptimizerConfig, build_optimizer
from rgbd_seg_training.settings import ModelConfig

STUDENTS = ("kd", "kdnet", "masked", "protokd")
DEFAULT = "training/configs/crodino/study_rooms.yaml"


@dataclass(frozen=True)
class Setup:
    """Networks, sizes and how often; the teacher's folder is filled in by the first part."""

    model: ModelConfig
    fusion: ModelConfig
    optimizer: OptimizerConfig
    size: tuple[int, int]
    batch: int
    classes: int
    stride: int
    steps: int
    teacher: str


@dataclass(frozen=True)
class Part:
    """Figures of one training step."""

    step_ms: float
    parameters: int
    memory_mib: float


def random_batch(setup: Setup, decoupled: bool) -> dict[str, Tensor]:
    """Images and labels without meaning; decoupled views with maps that shift them by a few pixels."""
    shape = (setup.batch, *setup.size)
    batch = {"rgb": torch.randint(0, 256, (*shape, 3), dtype=torch.uint8), "depth": 0.5 + 5 * torch.rand(shape)}
    if not decoupled:
        return batch | {"label": torch.randint(0, setup.classes, shape)}
    labels = {f"label_{m}": torch.randint(0, setup.classes, shape) for m in ("rgb", "depth")}
    maps = {f"matrix_{m}": torch.eye(3)[:2].repeat(setup.batch, 1, 1) for m in ("rgb", "depth")}
    maps["matrix_depth"][:, :, 2] = 4.0
    return batch | labels | maps


def measure(setup: Setup, approach: str, modality: str) -> Part:
    """Train one method for some steps; runs in a process of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = MethodConfig(approach=approach, modality=modality, teacher=setup.teacher)  # type: ignore[arg-type]
    method = build_method(config, setup.model, setup.fusion, setup.classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    method.train()
    method.set_progress(1.0)
    if modality == "fusion":
        save_model(method.deployable()["fusion"], Path(setup.teacher))
    optimizer = build_optimizer(method, setup.optimizer)
    batch = random_batch(setup, approach == "crodino")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(setup.steps + 3):
        start = time.process_time()
        terms = method.training_losses(sparse_labels(batch, setup.stride))
        torch.stack([term.weighted.float() for term in terms]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
    return Part(1e3 * statistics.median(times[3:]), trained, (peak - before) / 1024)


def run(setup: Setup, parts: dict[str, tuple[str, str]]) -> dict[str, Part]:
    """Measure parts one after the other."""
    # Forks of a server that has imported everything and computed nothing: imports take longer than the measurement.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "compare", "train_crodino"])
    results = {}
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for name, part in parts.items():
            results[name] = pool.submit(measure, setup, *part).result()
            print(f"{name}: {results[name].step_ms:.1f} ms", file=sys.stderr, flush=True)
    return results


def table(parts: dict[str, Part]) -> str:
    """Cost of an RGB and a depth model by every method, relative to logit distillation."""
    sums = {"single": [parts["single rgb"], parts["single depth"]]}
    students = [s for s in STUDENTS if f"{s} rgb" in parts]
    sums |= {s: [parts["teacher"], parts[f"{s} rgb"], parts[f"{s} depth"]] for s in students}
    sums["crodino"] = [parts["crodino"]]
    rival = sum(p.step_ms for p in sums["kd"])
    rows = []
    for name, group in sums.items():
        total = sum(p.step_ms for p in group)
        ratio = f"{100 * (total / rival - 1):+.0f} %"
        trained = sum(p.parameters for p in group) / 1e6
        single = " + ".join(f"{p.step_ms:.0f}" for p in group)
        rows.append(
            [name, f"{total:.0f} ({single})", ratio, f"{trained:.2f}", f"{max(p.memory_mib for p in group):.0f}"]
        )
    return markdown_table(["method", "step, ms", "against kd", "trained, M", "peak, MiB"], rows)


def main() -> None:
    """Parse options, measure, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--config", default=DEFAULT, help="of compare.py or train_crodino.py (default: %(default)s)")
    options.add_argument("--size", type=parse_size, help="HxW (default: that of the configuration)")
    options.add_argument("--batch", type=int, help="images per step (default: that of the configuration)")
    options.add_argument("--classes", type=int, default=13)
    options.add_argument("--steps", type=int, default=40)
    options.add_argument("--more", action="store_true", help="KD-Net, masked distillation and ProtoKD as well")
    args = options.parse_args()
    study = "study" in Path(args.config).name
    parser, needed = (compare.build_parser(), "--out") if study else (train_crodino.build_parser(), "--run")
    config = parser.instantiate(parser.parse_args([needed, "unused", "--config", args.config]))
    # Random weights cost as much as ImageNet's, and need no download.
    networks = [replace(c, pretrained=False) for c in (config.model, config.fusion)]
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(
            networks[0],
            networks[1],
            config.train.optimizer,
            args.size or tuple(config.data.size),
            args.batch or config.train.batch_size,
            args.classes,
            config.train.label_stride,
            args.steps,
            f"{folder}/teacher",
        )
        students = STUDENTS if args.more else STUDENTS[:1]
        parts = {"teacher": ("single", "fusion"), "crodino": ("crodino", "rgb")}
        parts |= {f"{a} {m}": (a, m) for a in ("single", *students) for m in ("rgb", "depth")}
        results = run(setup, parts)
    print(table(results))
    facts = machine_facts()
    print(f"batch {setup.batch} of {setup.size[0]} x {setup.size[1]}, one thread of {facts['cpu']}")


if __name__ == "__main__":
    main()

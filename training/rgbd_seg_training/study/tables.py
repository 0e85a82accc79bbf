"""Tables of a study from its finished runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rgbd_seg_ros.evaluation.comparison import markdown_table

from .plan import MODALITIES, TEACHER, Job
from .runs import read_run
from .statistics import Summary, summarise

Figures = Mapping[str, Mapping[str, Mapping[int, float]]]
"""modality -> variant -> seed -> mean IoU on the test split, in percent."""


@dataclass(frozen=True)
class Cost:
    """What it takes to get an RGB and a depth model, mean over seeds.

    Attributes:
        step_ms: one optimiser step of every run involved, summed: teacher, RGB, depth; or one joint step.
        seconds: all training time.
        parameters: trained parameters, training-only parts included.
        memory_mib: largest peak of memory of one of the runs (GPU memory where there is one, else resident memory).
    """

    step_ms: float
    seconds: float
    parameters: float
    memory_mib: float


def collect(jobs: Sequence[Job]) -> Figures:
    """Test scores of all runs."""
    figures: dict[str, dict[str, dict[int, float]]] = {m: {} for m in (*MODALITIES, "fusion")}
    for job in jobs:
        for mode, scores in read_run(job.folder)["modes"].items():
            figures[mode].setdefault(job.variant, {})[job.seed] = 100 * scores["miou"]
    return figures


def score_table(figures: Figures, variants: Sequence[str], baseline: str, modalities: Sequence[str]) -> str:
    """Mean and deviation of every variant, and its paired difference to the baseline with a 95 % interval."""
    head = ["method", *(t for m in modalities for t in (f"{m} mIoU", f"{m}: difference to {baseline}"))]
    rows = []
    for variant in variants:
        row = [variant]
        for modality in modalities:
            summary = summarise(figures[modality].get(variant, {}), figures[modality].get(baseline, {}))
            row += [_mean(summary), "–" if variant == baseline else _difference(summary)]
        rows.append(row)
    return markdown_table(head, rows)


def _mean(summary: Summary) -> str:
    if not summary.count:
        return "–"
    return f"{summary.mean:.2f}" + ("" if math.isnan(summary.deviation) else f" ± {summary.deviation:.2f}")


def _difference(summary: Summary) -> str:
    if math.isnan(summary.difference):
        return "–"
    interval = "" if math.isnan(summary.interval) else f" ± {summary.interval:.2f}"
    return f"{summary.difference:+.2f}{interval}" + (" *" if summary.beats_chance else "")


def costs(jobs: Sequence[Job], variants: Sequence[str]) -> dict[str, Cost]:
    """Cost of every variant; that of a teacher/student method includes its teacher."""
    results: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for job in jobs:
        results.setdefault(job.variant, {}).setdefault(job.seed, []).append(read_run(job.folder))
    needs = {j.variant for j in jobs if j.method.approach not in ("single", "crodino")}
    table = {}
    for variant in variants:
        seeds = {s: r + (results[TEACHER][s] if variant in needs else []) for s, r in results[variant].items()}
        table[variant] = Cost(
            _over(seeds, lambda runs: sum(r["step_ms"] for r in runs)),
            _over(seeds, lambda runs: sum(r["seconds"] for r in runs)),
            _over(seeds, lambda runs: sum(r["parameters_trained"] for r in runs)),
            _over(seeds, lambda runs: max(r["peak_gpu_mib"] or r["peak_rss_mib"] for r in runs)),
        )
    return table


def _over(seeds: Mapping[int, list[dict[str, Any]]], figure: Any) -> float:
    return sum(figure(runs) for runs in seeds.values()) / len(seeds)


def cost_table(table: Mapping[str, Cost], rival: str | None) -> str:
    """Cost of an RGB and a depth model, and time relative to `rival` (a teacher/student method)."""
    head = ["method", "steps ms", "total s", "trained M", "peak MiB", f"step time against {rival or 'nothing'}"]
    rows = []
    for name, cost in table.items():
        ratio = f"{100 * (cost.step_ms / table[rival].step_ms - 1):+.0f} %" if rival and rival != name else "–"
        figures = [
            f"{cost.step_ms:.1f}",
            f"{cost.seconds:.0f}",
            f"{cost.parameters / 1e6:.2f}",
            f"{cost.memory_mib:.0f}",
        ]
        rows.append([name, *figures, ratio])
    return markdown_table(head, rows)


def probe_table(jobs: Sequence[Job], variants: Sequence[str]) -> str:
    """Accuracy of the linear modality probe on both halves, for the variants that train both models together."""
    rows = []
    for variant in variants:
        probes = [read_run(j.folder).get("modality_probe") for j in jobs if j.variant == variant]
        known = [p for p in probes if p]
        if known:
            rows.append([variant, *(f"{sum(p[h] for p in known) / len(known):.3f}" for h in ("invariant", "specific"))])
    return markdown_table(["method", "invariant half", "specific half"], rows)


def as_data(figures: Figures, table: Mapping[str, Cost]) -> dict[str, Any]:
    """Everything as JSON data."""
    return {"miou": figures, "costs": {name: asdict(cost) for name, cost in table.items()}}

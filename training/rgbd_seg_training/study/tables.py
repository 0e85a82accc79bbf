"""Tables of a study from its finished runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rgbd_seg_ros.evaluation.comparison import markdown_table

from .plan import MODALITIES, TEACHER
from .records import Done, Record
from .statistics import Summary, summarise

Figures = Mapping[str, Mapping[str, Mapping[int, float]]]
"""modality -> variant -> seed -> mean IoU on the test split, in percent."""


@dataclass(frozen=True)
class Cost:
    """What it takes to get the compared models, mean over seeds.

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


def collect(runs: Sequence[Done]) -> Figures:
    """Test scores of all runs."""
    figures: dict[str, dict[str, dict[int, float]]] = {m: {} for m in (*MODALITIES, "fusion")}
    for run in runs:
        for mode, scores in run.record["modes"].items():
            figures[mode].setdefault(run.job.variant, {})[run.job.seed] = 100 * scores["miou"]
    return figures


def teacher_table(figures: Figures) -> str:
    """Mean and deviation of the teachers, empty where there is none."""
    rows = [[m, _mean(summarise(v[TEACHER], {}))] for m, v in figures.items() if TEACHER in v]
    return markdown_table(["teacher", "mIoU"], rows) if rows else ""


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


def costs(runs: Sequence[Done], variants: Sequence[str]) -> dict[str, Cost]:
    """Cost of every variant that has runs; that of a teacher/student method includes its teacher."""
    teachers = {(r.job.seed, r.record["modality"]): r.record for r in runs if r.job.variant == TEACHER}
    table = {}
    for variant in variants:
        seeds: dict[int, list[Record]] = {}
        for run in (r for r in runs if r.job.variant == variant):
            records = seeds.setdefault(run.job.seed, [])
            records.append(run.record)
            teacher = teachers.get((run.job.seed, run.job.teacher))
            if teacher is not None and not any(r is teacher for r in records):
                records.append(teacher)
        if seeds:
            table[variant] = _cost(seeds)
    return table


def _cost(seeds: Mapping[int, list[Record]]) -> Cost:
    return Cost(
        _over(seeds, lambda runs: sum(r["step_ms"] for r in runs)),
        _over(seeds, lambda runs: sum(r["seconds"] for r in runs)),
        _over(seeds, lambda runs: sum(r["parameters_trained"] for r in runs)),
        _over(seeds, lambda runs: max(r["peak_gpu_mib"] or r["peak_rss_mib"] for r in runs)),
    )


def _over(seeds: Mapping[int, list[Record]], figure: Callable[[list[Record]], float]) -> float:
    return sum(figure(runs) for runs in seeds.values()) / len(seeds)


def cost_table(table: Mapping[str, Cost], rival: str | None) -> str:
    """Cost of the compared models, and time relative to `rival` (a teacher/student method), one of them."""
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


def probe_table(runs: Sequence[Done], variants: Sequence[str]) -> str:
    """Accuracy of the linear modality probe on both halves, for the variants that train both models together."""
    rows = []
    for variant in variants:
        probes = [r.record.get("modality_probe") for r in runs if r.job.variant == variant]
        known = [p for p in probes if p]
        if known:
            rows.append([variant, *(f"{sum(p[h] for p in known) / len(known):.3f}" for h in ("invariant", "specific"))])
    return markdown_table(["method", "invariant half", "specific half"], rows) if rows else ""


def gradient_table(runs: Sequence[Done], variants: Sequence[str]) -> str:
    """Share of every term in the gradient on the deepest features, mean over run and seeds, in percent."""
    rows: dict[str, dict[str, list[float]]] = {}
    for run in (r for r in runs if r.job.variant in variants):
        for name, share in run.record.get("gradients", {}).items():
            rows.setdefault(run.job.variant, {}).setdefault(name, []).append(100 * share)
    names = list(dict.fromkeys(n for row in rows.values() for n in row))
    cells = [
        [v, *(f"{sum(row[n]) / len(row[n]):.1f}" if n in row else "–" for n in names)]
        for v, row in rows.items()
        if len(row) > 1
    ]
    return markdown_table(["method", *names], cells) if cells else ""


def as_data(figures: Figures, table: Mapping[str, Cost]) -> dict[str, Any]:
    """Everything as JSON data."""
    return {"miou": figures, "costs": {name: asdict(cost) for name, cost in table.items()}}

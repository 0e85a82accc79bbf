"""A benchmark as JSON data, as a table and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from rgbd_seg_ros.evaluation.machine import machine_facts, version_facts
from rgbd_seg_ros.evaluation.timing import percentiles
from rgbd_seg_ros.huge_pages import ASKING, VARIABLE, huge_pages
from rgbd_seg_ros.inference.benchmark import STAGES, BenchmarkResult, Measurement
from rgbd_seg_ros.inference.bundle import Bundle

_WIDTH = 110
STAGE_COLORS = {"preprocess": "#4c78a8", "inference": "#f58518", "postprocess": "#54a24b"}


def as_json(
    bundle: Bundle, result: BenchmarkResult, *, rounds: int, threads: int, size: tuple[int, int]
) -> dict[str, Any]:
    """Everything that was measured, with what it was measured on."""
    manifest = bundle.manifest
    return {
        "bundle": {
            "name": manifest.name,
            "network_size": [manifest.height, manifest.width],
            "precision": manifest.precision,
            "upsampling": manifest.upsampling,
            "models": {
                mode.value: {"sha256": e.model.sha256, "architecture": e.architecture, "parameters": e.parameters}
                for mode, e in manifest.modes.items()
            },
        },
        "machine": machine_facts(),
        "huge_pages": huge_pages(),
        "versions": version_facts(),
        "rounds": rounds,
        "threads": threads,
        "image_size": list(size),
        "results": [
            _row(m) for m in sorted(result.measurements, key=lambda m: (m.mode.value, np.median(m.latency_ms)))
        ],
        "unusable": result.unusable,
    }


def _row(measurement: Measurement) -> dict[str, Any]:
    return {
        "backend": measurement.backend,
        "device": measurement.device,
        "mode": measurement.mode.value,
        "latency_ms": percentiles(measurement.latency_ms),
        "stages_ms": {stage: percentiles(measurement.stages_ms[stage]) for stage in STAGES},
        "frames_per_second": round(1e3 / float(np.mean(measurement.latency_ms)), 1),
        "memory_mib": round(measurement.memory_mib, 1),
        "load_s": round(measurement.load_s, 2),
        "agreement": None if np.isnan(measurement.agreement) else round(measurement.agreement, 6),
        "reference": measurement.reference or None,
    }


def print_table(report: dict[str, Any]) -> None:
    """The report for people."""
    machine, (height, width) = report["machine"], report["image_size"]
    table = Table(
        title=f"{report['bundle']['name']}: {width}x{height} images, {report['threads']} threads, "
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_average']}",
        box=SIMPLE,
    )
    for heading in ("mode", "backend"):
        table.add_column(heading)
    for heading in ("p50 ms", "p95", "p99", "frames/s", "pre", "net", "post", "MiB", "agrees %"):
        table.add_column(heading, justify="right")
    for row in report["results"]:
        latency, stages = row["latency_ms"], row["stages_ms"]
        table.add_row(
            row["mode"],
            row["backend"],
            *(f"{latency[key]:.1f}" for key in ("p50", "p95", "p99")),
            f"{row['frames_per_second']:.1f}",
            *(f"{stages[stage]['p50']:.2f}" for stage in STAGES),
            f"{row['memory_mib']:.0f}",
            "" if row["agreement"] is None else f"{100 * row['agreement']:.2f}",
        )
    console = Console()
    # Without a terminal (a file, a pipe) rich would cut the table to 80 columns.
    console = console if console.is_terminal else Console(width=_WIDTH)
    console.print(table)
    references = {row["reference"] for row in report["results"] if row["reference"]}
    console.print(f"agrees: share of labels equal to those of {', '.join(references) or 'no reference'}")
    if report["huge_pages"] == "not asked for":
        console.print(
            f"the launch files give the node huge pages, this process has none: {VARIABLE}={ASKING} asks for them",
            highlight=False,
        )
    for name, reason in report["unusable"].items():
        console.print(f"not measured: {name}: {reason}", markup=False, highlight=False)


def save_picture(report: dict[str, Any], path: Path) -> None:
    """Bars of the median time by stage, one per backend and mode, with a mark at the 95th percentile."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = report["results"][::-1]
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    left = np.zeros(len(rows))
    for stage in STAGES:
        widths = np.array([row["stages_ms"][stage]["p50"] for row in rows])
        axes.barh(range(len(rows)), widths, left=left, color=STAGE_COLORS[stage], label=stage)
        left += widths
    p95 = [row["latency_ms"]["p95"] for row in rows]
    axes.plot(p95, range(len(rows)), "k|", markersize=12, label="p95 of the whole")
    axes.set_yticks(range(len(rows)), [f"{row['mode']}  {row['backend']}" for row in rows])
    axes.set_xlabel("milliseconds a frame (median of each stage)")
    height, width = report["image_size"]
    axes.set_title(f"{report['bundle']['name']}, {width}x{height} images, {report['machine']['cpu']}", fontsize=10)
    axes.legend(loc="lower right", fontsize=8)
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, format="png", dpi=120)
    temporary.replace(path)

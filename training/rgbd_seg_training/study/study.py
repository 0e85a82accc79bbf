"""Run a study to its end and write its report."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.models import load_model

from ..run_folder import write_atomically
from ..sample_panels import draw_panels, network_labeller
from .pictures import draw_curves, draw_differences
from .plan import Job, StudyConfig, plan
from .runs import run_job
from .tables import as_data, collect, cost_table, costs, probe_table, score_table


def run_study(config: StudyConfig, out: Path, report: Callable[[str], None]) -> None:
    """Train everything that is not trained yet, then write `report.md`, `report.json` and pictures into `out`."""
    teachers, runs = plan(config, out)
    _run_all(config, teachers, report)
    _run_all(config, runs, report)
    write_report(config, out, [*teachers, *runs])
    report(f"wrote {out / 'report.md'}")


def _run_all(config: StudyConfig, jobs: Sequence[Job], report: Callable[[str], None]) -> None:
    if config.jobs == 1:
        for job in jobs:
            report(run_job(config, job))
        return
    # Fresh processes: a forked copy of a process that has used torch's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.jobs, mp_context=context, max_tasks_per_child=1) as pool:
        futures = [pool.submit(run_job, config, job) for job in jobs]
        try:
            for future in as_completed(futures):
                report(future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            raise


def write_report(config: StudyConfig, out: Path, jobs: Sequence[Job]) -> None:
    """Tables and pictures of finished runs."""
    variants = list(config.variants)
    figures = collect(jobs)
    table = costs(jobs, variants)
    rivals = [n for n, v in config.variants.items() if v.get("approach") == "kd"]
    pictures = out / "pictures"
    draw_curves(jobs, variants, config.modalities, pictures / "curves.png")
    draw_differences(figures, variants, config.baseline, config.modalities, pictures / "differences.png")
    prepared = PreparedSet.open(config.data.root)
    first = [j for j in jobs if j.seed == config.seeds[0]]
    for modality in config.modalities:
        labellers = {
            j.variant: network_labeller(load_model(j.folder / "models" / modality))
            for j in first
            if modality in j.modalities
        }
        file = pictures / f"panels_{modality}.png"
        draw_panels(prepared, config.split, labellers, config.panels, file, config.data.hha)
    text = [
        f"# Comparison on {prepared.manifest.name}, split {config.split}, {len(config.seeds)} seeds\n",
        "Mean IoU in percent, mean ± standard deviation over seeds. Differences are paired by seed, with 95 %",
        "intervals (Student's t); * marks an interval that leaves out zero.\n",
        score_table(figures, variants, config.baseline, config.modalities),
        "## Cost of an RGB and a depth model\n",
        cost_table(table, rivals[0] if rivals else None),
        "## Linear probe of the modality (0.5 = not told apart)\n",
        probe_table(jobs, variants),
        "![curves](pictures/curves.png)\n\n![differences](pictures/differences.png)",
    ]
    write_atomically(out / "report.json", json.dumps(as_data(figures, table), indent=2) + "\n")
    write_atomically(out / "report.md", "\n".join(text) + "\n")

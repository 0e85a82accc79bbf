"""Run a study to its end and write its report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import load_model

from ..run_folder import write_atomically
from ..sample_panels import draw_panels, network_labeller
from .pictures import draw_curves, draw_differences
from .plan import Job, StudyConfig, plan
from .processes import in_processes
from .records import Done, Record, RecordFile
from .runs import run_job, summary_line
from .tables import (
    as_data,
    collect,
    cost_table,
    costs,
    gradient_table,
    probe_table,
    score_table,
    teacher_table,
)


def run_study(config: StudyConfig, out: Path, report: Callable[[str], None], records: RecordFile | None = None) -> None:
    """Train everything that is not trained yet, then write `report.md`, `report.json` and pictures into `out`.

    Args:
        config: variants, seeds, settings.
        out: folder of runs and report.
        report: gets a line of text per run.
        records: runs that need not be repeated; new ones are added. None = those of the folder alone.
    """
    records = records or RecordFile(None)
    teachers, runs = plan(config, out)
    wanted = [job for job in runs if config.only is None or job.variant in config.only]
    missing = _taught(config, [job for job in wanted if records.find(config, job) is None], report)
    needed = {job.lesson for job in missing}
    # A record replaces a teacher's scores but not its weights.
    lessons = [t for t in teachers if (t.method.modality, t.seed) in needed]
    for jobs in (lessons, missing):
        _run_all(config, jobs, records, report)
    write_report(config, out, records.done(config, [*teachers, *runs]))
    report(f"wrote {out / 'report.md'}")


def _taught(config: StudyConfig, jobs: Sequence[Job], report: Callable[[str], None]) -> list[Job]:
    """The runs but for those whose teachers another study has yet to train; to ask for such a run is a mistake."""
    absent = {j.variant: j.teacher_runs for j in jobs if j.teacher_runs and not Path(j.method.teacher).is_dir()}
    for variant, folder in absent.items():
        message = f"{variant} takes teachers of {folder}, which does not have them all; run that study first"
        if config.only is not None:
            raise UserError(f"{message}, or leave {variant} out of study.only.")
        report(f"left out: {message}")
    return [job for job in jobs if job.variant not in absent]


def _run_all(config: StudyConfig, jobs: Sequence[Job], records: RecordFile, report: Callable[[str], None]) -> None:
    if config.jobs == 1 and not config.fresh:
        for job in jobs:
            _keep(run_job(config, job), records, report)
        return
    for record in in_processes(run_job, [(config, job) for job in jobs], config.jobs):
        _keep(record, records, report)


def _keep(record: Record, records: RecordFile, report: Callable[[str], None]) -> None:
    records.add(record)
    report(summary_line(record))


def write_report(config: StudyConfig, out: Path, runs: Sequence[Done]) -> None:
    """Tables and pictures of finished runs."""
    variants = list(config.variants)
    figures = collect(runs)
    table = costs(runs, variants)
    rivals = [n for n, v in config.variants.items() if v.get("approach") == "kd"]
    rival = next((n for n in (*rivals, config.baseline) if n in table), None)
    pictures = out / "pictures"
    draw_curves(runs, variants, config.modalities, pictures / "curves.png")
    draw_differences(figures, variants, config.baseline, config.modalities, pictures / "differences.png")
    _draw_samples(config, runs, pictures)
    name = PreparedSet.open(config.data.root).manifest.name
    sections = {
        "": score_table(figures, variants, config.baseline, config.modalities),
        "Teachers": teacher_table(figures),
        "Cost of the compared models": cost_table(table, rival),
        "Linear probe of the modality (0.5 = not told apart)": probe_table(runs, variants),
        "Shares of the terms in the gradient on the deepest features, %": gradient_table(runs, variants),
    }
    text = [
        f"# Comparison on {name}, split {config.split}, {len(config.seeds)} seeds\n",
        "Mean IoU in percent, mean ± standard deviation over seeds. Differences are paired by seed, with 95 %",
        "intervals (Student's t); * marks an interval that leaves out zero.\n",
        *(f"## {title}\n\n{body}" if title else body for title, body in sections.items() if body),
        "![curves](pictures/curves.png)\n\n![differences](pictures/differences.png)",
    ]
    write_atomically(out / "report.json", json.dumps(as_data(figures, table), indent=2) + "\n")
    write_atomically(out / "report.md", "\n".join(text) + "\n")


def _draw_samples(config: StudyConfig, runs: Sequence[Done], pictures: Path) -> None:
    """What the models of the first seed make of some samples, where their run folders are at hand."""
    prepared = PreparedSet.open(config.data.root)
    for modality in config.modalities:
        folders = {
            r.job.variant: r.job.folder / "models" / modality
            for r in runs
            if r.job.seed == config.seeds[0] and modality in r.job.modalities
        }
        labellers = {v: network_labeller(load_model(f)) for v, f in folders.items() if f.is_dir()}
        if labellers:
            file = pictures / f"panels_{modality}.png"
            draw_panels(prepared, config.split, labellers, config.panels, file, config.data.hha)

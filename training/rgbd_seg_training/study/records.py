"""Records of finished runs: small enough to be kept for good, so that a study can grow without its run folders."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.machine import machine_facts

from ..option_defaults import first_difference
from ..run_folder import RunFolder, flatten, plain
from .plan import Job, StudyConfig

_FIGURES = ("steps", "seconds", "step_ms", "parameters_trained", "peak_rss_mib", "peak_gpu_mib", "device")
_MACHINE = {"workers", "threads", "devices", "accelerator", "log_every", "cache", "root", "teacher", "seed"}
"""Settings that do not change what is learned, or that a record names by itself."""

Record = dict[str, Any]
"""A finished run.

`variant`, `modality`, `seed`; `settings` (in a file the digest of a line of settings); `modes`: test scores of every
model; `curves`: validation mean IoU over steps; figures of the training and the `machine`; for joint methods
`modality_probe`; where they were measured, `gradients`: mean shares of the terms.
"""


@dataclass(frozen=True)
class Done:
    """A finished run and its figures."""

    job: Job
    record: Record


def learning_settings(config: StudyConfig, job: Job) -> dict[str, Any]:
    """What a run learns from, as dotted names: settings that matter to its method, networks, data set, split."""
    manifest = PreparedSet.open(job.data.root).manifest
    method = plain(job.method)
    parts = {"crodino": "crodino", "primkd": "guidance", "single": ""}
    own = parts.get(job.method.approach, "distill")
    method = {k: v for k, v in method.items() if not isinstance(v, dict) or k == own}
    networks: dict[str, Any] = {"model": config.model}
    if "fusion" in (*job.modalities, job.teacher):
        networks["fusion"] = config.fusion
    if job.teacher and not job.teacher_runs:
        networks["teacher_train"] = config.teacher_train
    settings = plain({"train": job.train, "data": job.data, "method": method, **networks})
    flat = {k: v for k, v in flatten(settings).items() if k.rsplit(".", 1)[-1] not in _MACHINE}
    source = {"split": config.split, "set": manifest.name, "set_source": plain(manifest.source)}
    # Records without this line are of runs whose samples looked alike in all passes of one `epoch_steps`.
    source["augmented"] = "every pass"
    elsewhere = {"teacher_runs": job.teacher_runs} if job.teacher_runs else {}
    return {**flat, "teacher": job.teacher, **elsewhere, **flatten(source)}


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def make_record(config: StudyConfig, job: Job, result: dict[str, Any], scores: dict[str, Any]) -> Record:
    """The record of a finished run.

    Args:
        config: the study.
        job: the run.
        result: figures of its training.
        scores: of its models on the test split, and the probe of a joint method.
    """
    record: Record = {"variant": job.variant, "modality": "+".join(job.modalities), "seed": job.seed}
    record["settings"] = learning_settings(config, job)
    kept = ("miou", "pixel_accuracy", "iou")
    record["modes"] = {m: {k: _rounded(s[k]) for k in kept} for m, s in scores["modes"].items()}
    record["curves"] = {m: _rounded(_curve(job.folder, m)) for m in job.modalities}
    record |= {name: result[name] for name in _FIGURES}
    if "modality_probe" in scores:
        record["modality_probe"] = _rounded(scores["modality_probe"])
    gradients = _gradients(job.folder)
    if gradients:
        record["gradients"] = _rounded(gradients)
    facts = machine_facts()
    record["machine"] = f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB"
    return record


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return round(value, 5) if isinstance(value, float) else value


def _rows(folder: Path) -> list[dict[str, str]]:
    with RunFolder(folder).metrics.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _curve(folder: Path, modality: str) -> list[tuple[int, float]]:
    column = f"val/miou_{modality}"
    return [(int(float(r["step"])), float(r[column])) for r in _rows(folder) if r.get(column)]


def _gradients(folder: Path) -> dict[str, float]:
    """Share of every term in the gradient on the deepest features, mean over the run."""
    values: dict[str, list[float]] = {}
    for row in _rows(folder):
        for name, text in row.items():
            if name and name.startswith("gradient/") and text:
                values.setdefault(name.removeprefix("gradient/"), []).append(float(text))
    return {name: sum(v) / len(v) for name, v in values.items()}


class RecordFile:
    """Records as lines of JSON; without a path they live in memory alone.

    Runs of the same settings share one line `{"digest": ..., "values": {...}}`.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._records: dict[tuple[str, str, int], Record] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.is_file() else []
        for number, line in enumerate(lines, 1):
            self._read(number, line)

    def _read(self, number: int, line: str) -> None:
        try:
            self._remember(dict(json.loads(line)))
        except (ValueError, KeyError) as error:
            raise UserError(f"line {number} of {self._path} is no record of a run: {error}; remove it.") from error

    def _remember(self, line: dict[str, Any]) -> None:
        if "digest" in line:
            self._settings[line["digest"]] = line["values"]
        else:
            settings = self._settings[line["settings"]]
            self._records[line["variant"], line["modality"], line["seed"]] = {**line, "settings": settings}

    def find(self, config: StudyConfig, job: Job) -> Record | None:
        """The record of a run, if there is one. Options that did not exist when it was made must be at their defaults.

        Raises:
            UserError: there is one, of other settings.
        """
        record = self._records.get((job.variant, "+".join(job.modalities), job.seed))
        if record is None:
            return None
        difference = first_difference(record["settings"], plain(learning_settings(config, job)))
        if difference is not None:
            raise UserError(
                f"{self._path} holds '{job.variant}' with seed {job.seed} and {difference.name}={difference.before!r}, "
                f"not {difference.now!r}; use that, rename the variant, or give another --records file."
            )
        return record

    def add(self, record: Record) -> None:
        """Keep a record; nothing happens where the run has one."""
        key = record["variant"], record["modality"], record["seed"]
        if key in self._records:
            return
        self._records[key] = record
        digest = _digest(record["settings"])
        lines = [{**record, "settings": digest}]
        if digest not in self._settings:
            self._settings[digest] = record["settings"]
            lines.insert(0, {"digest": digest, "values": record["settings"]})
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)

    def done(self, config: StudyConfig, jobs: Sequence[Job]) -> list[Done]:
        """Those of `jobs` that have a record."""
        found = [(job, self.find(config, job)) for job in jobs]
        return [Done(job, record) for job, record in found if record is not None]

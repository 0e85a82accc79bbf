"""Run one job of a study: train, then score on the test split."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from typing import Any

from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.models import load_model

from ..approaches import build_method
from ..bundle_score import as_json
from ..data.dataset import SegmentationDataset
from ..evaluation import evaluate_model
from ..fit import fit, seed_everything
from ..loading import TrainingData, validation_loader
from ..run_folder import RunFolder, plain, write_atomically
from ..settings import open_data
from .plan import Job, StudyConfig
from .probe import modality_accuracy
from .records import Record, make_record


def run_job(config: StudyConfig, job: Job) -> Record:
    """Train and score; both are skipped where they are done. Returns the record of the run."""
    warnings.filterwarnings("ignore", category=UserWarning)
    run = RunFolder(job.folder)
    if not run.finished:
        data, _ = open_data(job.data, job.method.approach == "crodino", job.seed)
        seed_everything(job.train)
        method = build_method(job.method, config.model, config.fusion, data.num_classes)
        settings = {"train": plain(job.train), "data": plain(job.data), "method": plain(job.method)}
        fit(method, data, job.train, run, settings, resume=True, report=lambda line: None)
    return make_record(config, job, run.read_result(), score_run(config, job))


def summary_line(record: Record) -> str:
    """A record as a line of text."""
    line = ", ".join(f"{m} {100 * s['miou']:.1f}" for m, s in record["modes"].items())
    return f"{record['variant']} seed {record['seed']}: {line} ({record['seconds']:.0f} s)"


def score_run(config: StudyConfig, job: Job) -> dict[str, Any]:
    """Scores of a finished run on the split of the study, computed once and kept beside it."""
    path = job.folder / f"{config.split}.json"
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    prepared = PreparedSet.open(job.data.root)
    samples = SegmentationDataset(prepared, config.split, cache=job.data.cache, hha=job.data.hha)
    data = TrainingData(samples, samples, len(prepared.label_set.classes))
    models = {m: load_model(job.folder / "models" / m) for m in job.modalities}
    scores: dict[str, Any] = {"modes": {}}
    for mode, model in models.items():
        loader = validation_loader(data, batch=job.train.batch_size, workers=0)
        assert loader is not None  # validation samples were given
        matrix = evaluate_model(model, loader, data.num_classes, model.spec.inputs)
        scores["modes"][mode] = as_json(asdict(matrix.scores()))
    if len(models) == 2:
        scores["modality_probe"] = modality_accuracy(
            models["rgb"], models["depth"], samples, job.method.crodino.split_level
        )
    write_atomically(path, json.dumps(scores, indent=2) + "\n")
    return scores

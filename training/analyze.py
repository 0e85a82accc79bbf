#!/usr/bin/env python3
"""Linear CKA per stage and histograms of feature values: fusion models against single-modality models.

python training/analyze.py --data.root data/nyu --out analysis \
    --students "{cmx: runs/a/student/models/fusion, primkd: runs/b/student/models/fusion}" \
    --references "{rgb: runs/b/teacher/models/rgb, depth: runs/c/teacher/models/depth}"
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import torch
from jsonargparse import ArgumentParser

from rgbd_seg_ros.models import load_model
from rgbd_seg_training.loading import validation_loader
from rgbd_seg_training.primkd.analysis import analyze
from rgbd_seg_training.scripts import run_script
from rgbd_seg_training.settings import DataConfig, open_data


def main(argv: list[str] | None = None) -> None:
    """Read models and images, write tables and pictures."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below; later ones win")
    parser.add_argument("--students", type=dict[str, str], required=True, help="fusion models: name to model folder")
    parser.add_argument("--references", type=dict[str, str], required=True, help="single-modality models likewise")
    parser.add_argument("--data", type=DataConfig, default=DataConfig(), help="images; data.validation names the split")
    parser.add_argument("--batches", type=int, default=25, help="batches to read, 0 = all")
    parser.add_argument("--batch_size", type=int, default=4, help="1 for images of several sizes, whatever stands here")
    parser.add_argument("--device", type=str, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=str, required=True, help="folder for analysis.json, cka.md and pictures")
    arguments = parser.parse_args(argv)
    config = parser.instantiate_classes(arguments)
    data, _ = open_data(config.data, decoupled=False)
    loader = validation_loader(data, batch=config.batch_size, workers=0)
    batches = (
        {name: value.to(config.device) for name, value in batch.items() if isinstance(value, torch.Tensor)}
        for batch in islice(loader or [], config.batches or None)
    )
    students = {name: load_model(folder, config.device) for name, folder in config.students.items()}
    references = {name: load_model(folder, config.device) for name, folder in config.references.items()}
    result = analyze(students, references, batches)
    result.write(Path(config.out))
    print(result.table())


if __name__ == "__main__":
    sys.exit(run_script(main))

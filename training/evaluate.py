#!/usr/bin/env python3
"""Evaluate a saved network or a bundle on a prepared set.

python training/evaluate.py --model runs/a/models/depth --data data/nyu13 --scales [0.75,1,1.25] --flip true --out out/a
python training/evaluate.py --bundle runs/rooms/bundle --data runs/rooms/scenes_test --missing [rgb,depth] --out out/b
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_ros.models import load_model
from rgbd_seg_training.bundle_score import as_json, percent, table
from rgbd_seg_training.evaluation.conditions import EvaluationConfig, evaluate_conditions, reads_hha, scorable_modes
from rgbd_seg_training.evaluation.pictures import draw_confusion
from rgbd_seg_training.run_folder import plain, write_atomically
from rgbd_seg_training.sample_panels import Labeller, bundle_labeller, draw_panels, network_labeller
from rgbd_seg_training.scripts import run_script


def main(argv: list[str] | None = None) -> None:
    """Parse options, evaluate every condition, write table, figures and pictures."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below; later ones win")
    parser.add_argument("--out", type=str, required=True, help="folder of tables and pictures")
    parser.add_argument("--panels", type=int, default=6, help="samples in the picture of labels")
    parser.add_class_arguments(EvaluationConfig)
    arguments = parser.parse_args(argv)
    values = {name: arguments[name] for name in EvaluationConfig.__dataclass_fields__}
    config = EvaluationConfig(**values)
    if not config.data:
        raise UserError("No data set is named; give --data FOLDER (make one with training/prepare.py).")
    prepared, out = PreparedSet.open(config.data), Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    # A bundle of the 13 NYU classes is scored on truth of 40 in its own classes.
    label_set = load_bundle(config.bundle).manifest.label_set if config.bundle else prepared.label_set
    rows: dict[str, dict[str, Any]] = {}
    for name, matrix in evaluate_conditions(config, prepared):
        rows[name] = as_json(asdict(matrix.scores()))
        file = name.replace(", ", "_").replace(" ", "_").replace("+", "_")
        title = f"{prepared.manifest.name} {config.split}: {name}"
        draw_confusion(matrix, label_set, title, out / f"confusion_{file}.png")
        print(f"{name}: mIoU {percent(rows[name]['miou'])}", flush=True)
    draw_panels(
        prepared,
        config.split,
        _labellers(config, prepared),
        arguments.panels,
        out / "panels.png",
        bool(config.model) and reads_hha(load_model(config.model)),
        label_set,
    )
    text = table(rows, label_set.classes)
    write_atomically(out / "scores.md", text)
    write_atomically(out / "scores.json", json.dumps({"settings": plain(config), "scores": rows}, indent=2) + "\n")
    print(text)


def _labellers(config: EvaluationConfig, prepared: PreparedSet) -> dict[str, Labeller]:
    if config.bundle:
        bundle = load_bundle(config.bundle)
        return {mode.value: bundle_labeller(bundle, mode) for mode in scorable_modes(bundle, prepared)}
    model = load_model(config.model)
    return {"+".join(model.spec.inputs): network_labeller(model)}


if __name__ == "__main__":
    sys.exit(run_script(main))

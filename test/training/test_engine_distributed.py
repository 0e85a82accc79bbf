"""Two processes on the CPU."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rgbd_seg_training.run_folder import RunFolder

HERE = Path(__file__).resolve().parent


def train(run: Path, devices: int, batch: int) -> RunFolder:
    roots = [HERE, HERE.parents[1], HERE.parents[1] / "training"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "ddp_training.py"), str(run), str(devices), str(batch)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return RunFolder(run)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_same_batches(tmp_path: Path) -> None:
    """Two processes with batches of two against one with batches of four: the same samples in every step."""
    two, one = train(tmp_path / "two", 2, 2), train(tmp_path / "one", 1, 4)
    weights = [load_file(run.models / "rgb" / "model.safetensors") for run in (two, one)]
    for name, value in weights[1].items():
        assert torch.allclose(weights[0][name], value, atol=1e-5), name
    assert [json.loads(run.result.read_text())["steps"] for run in (two, one)] == [12, 12]
    tables = [list(csv.DictReader(run.metrics.open())) for run in (two, one)]
    for row, expected in zip(*tables, strict=True):
        # Every validation image counts once, whichever process saw it.
        assert float(row["val/miou"]) == pytest.approx(float(expected["val/miou"]), abs=1e-4)

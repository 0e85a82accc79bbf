"""Two processes on the CPU."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import ddp_training
import pytest
import torch
from safetensors.torch import load_file

from rgbd_seg_training.run_folder import RunFolder

HERE = Path(__file__).resolve().parent


def begin(run: Path, devices: int, batch: int) -> subprocess.Popen[str]:
    roots = [HERE, HERE.parents[1], HERE.parents[1] / "training"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "ddp_training.py"), str(run), str(devices), str(batch)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_same_batches(tmp_path: Path) -> None:
    """Two processes with batches of two against one with batches of four: the same samples in every step."""
    process = begin(tmp_path / "two", 2, 2)
    try:
        one = ddp_training.train(tmp_path / "one", devices=1, batch=4)  # here, while the others start
        _, errors = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0, errors[-3000:]
    two = RunFolder(tmp_path / "two")
    weights = [load_file(run.models / "rgb" / "model.safetensors") for run in (two, one)]
    for name, value in weights[1].items():
        assert torch.allclose(weights[0][name], value, atol=1e-5), name
    assert [json.loads(run.result.read_text())["steps"] for run in (two, one)] == [12, 12]
    last = torch.load(two.checkpoints / "last.ckpt", weights_only=True)
    states = [process["torch"] for process in last["random_states"]]
    assert len(states) == 2
    assert not torch.equal(*states)  # each draws by itself, and resumes by itself
    tables = [list(csv.DictReader(run.metrics.open())) for run in (two, one)]
    for row, expected in zip(*tables, strict=True):
        # Every validation image counts once, whichever process saw it.
        assert float(row["val/miou"]) == pytest.approx(float(expected["val/miou"]), abs=1e-4)

"""Runs of a study that train beside each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.study.processes import in_processes

HERE = Path(__file__).resolve().parent
ROOTS = [HERE, HERE.parents[1], HERE.parents[1] / "training"]


def halve(number: int) -> int:
    if number % 2:
        raise UserError(f"{number} is odd.")
    return number // 2


def test_every_run_answers_once() -> None:
    assert sorted(in_processes(halve, [(2,), (4,), (8,)], 2)) == [1, 2, 4]


def test_the_error_of_a_run_is_that_of_the_study() -> None:
    with pytest.raises(UserError, match="3 is odd"):
        list(in_processes(halve, [(2,), (3,), (4,)], 1))


@pytest.mark.parametrize("heard_by", ["all", "parent"])
def test_an_interrupt_ends_the_runs_under_way_and_begins_no_others(heard_by: str, tmp_path: Path) -> None:
    """In a terminal all processes hear ^C; `kill -INT` reaches the first alone."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, ROOTS))}
    study = subprocess.Popen(
        [sys.executable, str(HERE / "slow_runs.py"), str(tmp_path)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while len(list(tmp_path.iterdir())) < 2:
            assert study.poll() is None
            time.sleep(0.05)
        (os.killpg if heard_by == "all" else os.kill)(study.pid, signal.SIGINT)
        _, errors = study.communicate(timeout=120)
    finally:
        if study.poll() is None:
            os.killpg(study.pid, signal.SIGKILL)
    assert study.returncode == 130
    assert errors.endswith("interrupted; continue with --resume true\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1"]

"""How the processes of a play over ROS 2 are ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rgbd_seg_ros.replay.live import interrupt
from rgbd_seg_ros.replay.recording import LABEL_FILE, RECORDER_FILE, recorder_written, write_recorder_log

SLOW_WRITER = """
import signal, sys, time
def work(*_):
    with open(sys.argv[1], "wb", buffering=0) as file:
        for _ in range(30):
            time.sleep(0.1)
            file.write(b"x")
    sys.exit(0)
signal.signal(signal.SIGINT, work)
print("ready", flush=True)
time.sleep(60)
"""
PATIENCE_S = 1.5
"""Much less than the writer takes, much more than it rests."""


@pytest.fixture
def writer(tmp_path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SLOW_WRITER, str(tmp_path / LABEL_FILE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"ready"
    return process


def test_a_process_that_makes_progress_is_waited_for(writer: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert interrupt(writer, lambda: recorder_written(tmp_path), PATIENCE_S) == 0
    assert recorder_written(tmp_path) == 30


def test_a_process_that_rests_is_killed(writer: subprocess.Popen[bytes]) -> None:
    assert interrupt(writer, lambda: 0, PATIENCE_S) == -signal.SIGKILL


def test_the_log_of_the_recorder_grows_while_its_statuses_are_decoded(tmp_path: Path) -> None:
    seen: list[int] = []

    def slow_rows(watch: Callable[[], int]) -> Iterator[list[object]]:
        for number in range(3):
            yield [number, number, {"text": "x" * 100_000}]
            seen.append(watch())

    write_recorder_log(tmp_path / RECORDER_FILE, [], slow_rows(lambda: recorder_written(tmp_path)))
    assert seen == sorted(set(seen))
    assert seen[0] > 0

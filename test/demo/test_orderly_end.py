"""SIGTERM to a command leaves no process behind."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil

PROGRAM = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from rgbd_seg_ros.cli._signals import orderly_end

if __name__ == "__main__":
    with orderly_end(), ProcessPoolExecutor(2, get_context("spawn")) as pool:
        pool.submit(int).result()
        print("ready", flush=True)
        pool.submit(time.sleep, 60).result()
"""


def test_a_terminated_command_takes_its_workers_with_it(tmp_path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, str(tmp_path / "program.py")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive

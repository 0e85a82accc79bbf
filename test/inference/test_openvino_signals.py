"""A process that has used OpenVINO survives the next signal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")

from rgbd_seg_ros.inference.testing import write_test_bundle

PROGRAM = """
import gc, os, signal, sys
import numpy as np
from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter

signal.signal(signal.SIGUSR1, lambda *_: None)
segmenter = Segmenter(load_bundle(sys.argv[1]), "openvino")
segmenter.segment(Mode.RGB, np.zeros((120, 160, 3), np.uint8), None)
segmenter.close()
del segmenter
gc.collect()
reused = [np.random.bytes(100_000) for _ in range(200)]
for _ in range(50):
    os.kill(os.getpid(), signal.SIGUSR1)
print("alive")
"""


def test_signals_after_the_models_are_closed_do_not_crash_the_process(tmp_path: Path) -> None:
    """OpenVINO leaves the loading thread with a dangling signal stack."""
    bundle = tmp_path / "bundle"
    write_test_bundle(bundle)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(bundle)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr

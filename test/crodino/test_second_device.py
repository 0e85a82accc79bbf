"""Nothing that trains, scores or labels leaves a tensor on the CPU when its network is elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch.utils.backend_registration

HERE = Path(__file__).resolve().parent
ROOTS = [HERE, HERE.parents[1], HERE.parents[1] / "training"]

CASES = [
    "single_fusion",
    "single_rgb",
    "crodino",
    "crodino_mutual",
    "crodino_pixels",
    "crodino_joint",
    "kd",
    "kdnet",
    "masked",
    "protokd",
    "primkd",
    "primkd_public",
    "resume",
    "evaluation",
    "analysis",
    "labels",
    "labels_half",
]


@pytest.fixture(scope="module")
def failures(striped_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How each case failed, empty for those that did not."""
    if not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip(f"torch {torch.__version__} cannot have a device that is written in Python")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, ROOTS)), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        str(HERE / "second_device_cases.py"),
        str(striped_set),
        str(tmp_path_factory.mktemp("runs")),
    ]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["case"]: line["failure"] for line in lines}


@pytest.mark.parametrize("case", CASES)
def test_everything_is_on_the_device_of_the_network(case: str, failures: dict[str, str]) -> None:
    assert not failures[case]


def test_the_device_refuses_what_a_gpu_would(failures: dict[str, str]) -> None:
    """Without this the tests above could not fail."""
    assert set(failures) == {*CASES, "mixed", "as_array"}
    assert "all tensors must be on the same device" in failures["mixed"]
    assert "copy it to the CPU first" in failures["as_array"]

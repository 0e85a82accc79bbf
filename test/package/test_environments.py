"""The tools behind the Makefile answer a machine that lacks something with one sentence and leave nothing half made."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make_venv(folder: Path, extras: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", str(ROOT / "tools/make_venv.sh"), str(folder), extras],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def folder_with(tmp_path: Path, **programs: str) -> Path:
    """A folder for PATH with the given shell programs and the few tools that the script itself needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("dirname", "bash", "env"):
        found = next(p for p in (Path("/usr/bin") / tool, Path("/bin") / tool) if p.exists())
        (folder / tool).symlink_to(found)
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def installer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("installer", ROOT / "tools/install.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_python_that_does_not_run_is_refused_by_name(tmp_path: Path) -> None:
    done = make_venv(tmp_path / "venv", "ros,test", PYTHON="/no/such/python")
    assert done.returncode == 2
    assert done.stderr.startswith("error: PYTHON=/no/such/python is not a Python 3.10 to 3.13")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "venv").exists()


def test_a_machine_without_ros_and_python_3_11_is_told_both_ways_out(tmp_path: Path) -> None:
    done = make_venv(tmp_path / "venv", "ros,test", PYTHON="", PATH=str(folder_with(tmp_path)))
    assert done.returncode == 2
    assert "source /opt/ros" in done.stderr
    assert "python3.11-venv" in done.stderr


def test_commands_of_a_version_manager_that_fail_when_called_are_passed_over(tmp_path: Path) -> None:
    shims = folder_with(tmp_path, **{"python3": "exit 127", "python3.11": "exit 127"})
    done = make_venv(tmp_path / "venv", "ros,test", PYTHON="", PATH=str(shims))
    assert done.returncode == 2
    assert done.stderr.startswith("error: neither a sourced ROS 2")


def test_the_installer_refuses_to_touch_the_machines_own_python() -> None:
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not base.exists():
        pytest.skip(f"no {base}")
    done = subprocess.run(
        [str(base), str(ROOT / "tools/install.py"), "test"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "not in a virtual environment" in done.stdout


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("torch>=2.6,<3", "torch"),
        ("jsonargparse[signatures]>=4.35", "jsonargparse"),
        ("Foo; python_version>'3'", "foo"),
    ],
)
def test_project_names_are_read_from_requirements(installer: ModuleType, requirement: str, name: str) -> None:
    assert installer.name_of(requirement) == name


def test_the_training_extra_is_known_to_the_cpu_recipe(installer: ModuleType) -> None:
    names = {installer.name_of(r) for r in installer.requirements("training")}
    if not names:
        pytest.skip("the package is not installed with pip here: it has no metadata to read")
    assert {"torch", "torchvision", *installer.WITHOUT_DEPENDENCIES} <= names

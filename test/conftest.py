"""Fixtures that more than one test room needs."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest


def shared_root() -> Path | None:
    """Folder with the real frames and reference vectors: RGBD_SEG_SHARED, else ../shared of the checkout."""
    named = os.environ.get("RGBD_SEG_SHARED")
    candidates = [Path(named)] if named else [Path(__file__).resolve().parents[2] / "shared"]
    return next((c for c in candidates if (c / "data").is_dir()), None)


@pytest.fixture(scope="session")
def shared() -> Path:
    root = shared_root()
    if root is None:
        pytest.skip("real frames are not here: set RGBD_SEG_SHARED to the folder that holds data/ and reference/")
    return root


TORCH_MODULES = re.compile(r"^\s*(?:from|import) (?:torch|lightning|timm|rgbd_seg_training)\b", re.MULTILINE)
WITHOUT_TORCH: list[str] = []


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Where torch is not installed (a robot), leaves out the files and folders that import it."""
    if importlib.util.find_spec("torch") is not None:
        return None
    file = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if file.suffix != ".py" or not file.is_file() or not TORCH_MODULES.search(file.read_text(encoding="utf-8")):
        return None
    WITHOUT_TORCH.append(str(collection_path.relative_to(Path(__file__).parents[1])))
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what `pytest_ignore_collect` left out."""
    if WITHOUT_TORCH:
        terminalreporter.write_line(f"NOT RUN, torch is not installed (extra `training`): {', '.join(WITHOUT_TORCH)}")

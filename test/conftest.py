"""Fixtures that more than one test room needs."""

from __future__ import annotations

import os
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

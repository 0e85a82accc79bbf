"""The commands in docs/data.md are accepted by the programs they call."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import make_bag
import prepare

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"
COMMANDS = [
    line.strip() for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("    python training/")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_command_is_accepted(command: str) -> None:
    _, script, *arguments = shlex.split(command)
    parser = {"training/prepare.py": prepare, "training/make_bag.py": make_bag}[script].build_parser()
    parser.parse_args(arguments)


def test_every_source_and_picture_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"prepare.py {name}" in text for name in prepare.SOURCES)
    pictures = [part.split(")")[0] for part in text.split("](images/")[1:]]
    assert pictures and all((PAGE.parent / "images" / name).is_file() for name in pictures)

"""The commands in docs/data.md are accepted by the programs they call."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

import make_bag
import prepare

ROOT = Path(__file__).resolve().parents[2]
PAGE, CONFIGS = ROOT / "docs" / "data.md", ROOT / "training" / "configs"
COMMANDS = [
    line.strip() for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("    python training/")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_command_is_accepted(command: str) -> None:
    _, script, *arguments = shlex.split(command)
    parser = {"training/prepare.py": prepare, "training/make_bag.py": make_bag}[script].build_parser()
    parser.parse_args(arguments)


HEADERS = [
    (path.name, line.lstrip("# "))
    for path in sorted(CONFIGS.glob("**/*.yaml"))
    for line in path.read_text(encoding="utf-8").replace(" \\\n#", "").splitlines()
    if line.startswith("#") and line.lstrip("# ").startswith("python training/prepare.py")
]


@pytest.mark.parametrize(("file", "command"), HEADERS)
def test_command_in_the_header_of_a_configuration_is_accepted(file: str, command: str) -> None:
    prepare.build_parser().parse_args(shlex.split(command)[2:])


@pytest.mark.parametrize(
    "file",
    sorted(p for p in CONFIGS.glob("*/*.yaml") if p.stem.startswith(("nyu", "sun", "potsdam", "midair"))),
    ids=lambda p: f"{p.parent.name}/{p.name}",
)
def test_configuration_of_an_official_set_says_how_to_prepare_what_it_reads(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    (command,) = [line for line in text.splitlines() if "training/prepare.py" in line]
    data = yaml.safe_load(text)["data"]
    assert ("--hha" in command) == data.get("hha", False)
    assert data.get("validation", "val") != "val" or "--val-" in command


def test_every_source_and_picture_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"prepare.py {name}" in text for name in prepare.SOURCES)
    pictures = [part.split(")")[0] for part in text.split("](images/")[1:]]
    assert pictures and all((PAGE.parent / "images" / name).is_file() for name in pictures)

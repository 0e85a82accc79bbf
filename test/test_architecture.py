"""Imports run only downwards: the table of docs/design.md, enforced on the source text and on a running interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "rgbd_seg_ros"
TORCH = frozenset(
    {"torch", "torchvision", "timm", "segmentation_models_pytorch", "lightning", "kornia", "torchmetrics"}
)
FILES_CLOCKS_THREADS = frozenset(
    ("os", "io", "pathlib", "shutil", "tempfile", "time", "datetime", "threading", "multiprocessing", "queue",
     "asyncio", "concurrent", "subprocess", "socket")
)  # fmt: skip
TRAINING = frozenset({"rgbd_seg_training"})


def ours(*rooms: str) -> frozenset[str]:
    return frozenset(f"{PACKAGE}.{room}" for room in rooms)


FLOOR_3 = ours("nodes", "cli") | TRAINING
FLOOR_2 = ours("inference", "replay", "evaluation", "scenes", "datasets", "hha")


@dataclass(frozen=True)
class Rule:
    """What the files of a room must not import, and which single files are free of which of these."""

    forbidden: frozenset[str]
    exceptions: tuple[tuple[str, frozenset[str]], ...] = ()

    def forbidden_in(self, path: Path, room: Path) -> frozenset[str]:
        name = path.relative_to(room).as_posix()
        return self.forbidden - frozenset().union(*(free for file, free in self.exceptions if file == name))


RULES = {
    "rgbd_seg_ros/core": Rule(frozenset({"rclpy"}) | TORCH | FILES_CLOCKS_THREADS | FLOOR_3 | FLOOR_2 | ours("models")),
    "rgbd_seg_ros/models": Rule(frozenset({"rclpy"}) | FLOOR_3 | FLOOR_2 | ours("core")),
    "rgbd_seg_ros/scenes": Rule(
        frozenset({"rclpy"}) | TORCH | FLOOR_3 | ours("inference", "replay", "evaluation", "datasets", "hha", "models")
    ),
    "rgbd_seg_ros/datasets": Rule(frozenset({"rclpy"}) | TORCH | FLOOR_3 | ours("inference", "models")),
    "rgbd_seg_ros/evaluation": Rule(frozenset({"rclpy"}) | TORCH | FLOOR_3 | ours("inference", "models")),
    "rgbd_seg_ros/replay": Rule(TORCH | FLOOR_3 | ours("inference", "models")),
    "rgbd_seg_ros/inference": Rule(
        frozenset({"rclpy"}) | TORCH | FLOOR_3 | ours("models"),
        exceptions=(("backends/torch.py", TORCH | ours("models")),),
    ),
    "rgbd_seg_ros/nodes": Rule(TORCH | TRAINING | ours("models", "cli")),
    "rgbd_seg_ros/cli": Rule(frozenset()),
    "training": Rule(
        frozenset({"rclpy"}) | ours("nodes", "replay"),
        # The bag writer belongs to replay, and this script is its command line.
        exceptions=(("make_bag.py", ours("replay")),),
    ),
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import of a file, at any depth; `from a import b` counts as both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module_name(path).split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield node.lineno, base
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def offences(path: Path, forbidden: frozenset[str]) -> Iterator[str]:
    for line, name in imported(path):
        parts = name.split(".")
        if any(".".join(parts[: i + 1]) in forbidden for i in range(len(parts))):
            yield f"{path.relative_to(ROOT)}:{line} imports {name}"


@pytest.mark.parametrize("room", RULES)
def test_a_room_imports_nothing_from_above_or_beside_its_rule(room: str) -> None:
    folder = ROOT / room
    found = [
        line for path in sorted(folder.rglob("*.py")) for line in offences(path, RULES[room].forbidden_in(path, folder))
    ]
    assert not found, "\n".join(found)


def test_every_room_has_a_rule() -> None:
    rooms = {f"{PACKAGE}/{p.parent.name}" for p in (ROOT / PACKAGE).glob("*/*.py")}
    assert rooms <= set(RULES), f"rooms without an import rule here: {sorted(rooms - set(RULES))}"


def test_core_opens_no_file() -> None:
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / PACKAGE / "core").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]
    assert not calls


def modules_of(room: str) -> list[str]:
    names = [module_name(p) for p in sorted((ROOT / PACKAGE / room).rglob("*.py")) if p.name != "__init__.py"]
    return [name for name in names if name != f"{PACKAGE}.inference.backends.torch"]


@pytest.mark.parametrize("room", ["core", "scenes", "datasets", "evaluation", "replay", "inference", "nodes", "cli"])
def test_importing_a_room_brings_in_no_torch(room: str) -> None:
    """Also by way of others: the node and the demo run where torch is not installed."""
    if room == "nodes":
        pytest.importorskip("rclpy", reason="ROS 2 is not importable here")
    program = f"import importlib, sys\nfor name in {modules_of(room)!r}: importlib.import_module(name)\n"
    program += "print(','.join(sorted({'torch', 'rgbd_seg_training'} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == ""

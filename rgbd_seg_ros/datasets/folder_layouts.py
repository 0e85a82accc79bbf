"""Folders of other projects, read as they are: RGB/, Label/, HHA/ or Depth/, train.txt and test.txt.

CMX, PrimKD and DFormer share this layout. What the folders do not say (label set, depth unit) is guessed from the
folder's name or given by a file `rgbd_seg.json` beside them:

    {"label_set": "nyu40", "label_offset": -1, "depth": {"codec": "linear", "metres_per_unit": 0.001},
     "camera": {"width": 640, "height": 480, "fx": 518.9, "fy": 519.5, "cx": 325.6, "cy": 253.7}}

`label_set` may also be written out: {"name": "barn", "classes": ["cow", "straw"], "colors": [[90, 60, 30], ...]}.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LABEL_SETS, LabelSet, spread_colors
from rgbd_seg_ros.datasets.manifest import DepthFacts, FileFacts, Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError

HINTS_NAME = "rgbd_seg.json"
_KINDS = {"rgb": ("RGB", "rgb"), "label": ("Label", "labels"), "hha": ("HHA",), "depth": ("Depth", "depth")}
_HINTS = ("label_set", "label_offset", "depth", "camera")
_KNOWN_NAMES = {"nyu": "nyu40", "sun": "sunrgbd37"}


def _find_kind(root: Path, folders: tuple[str, ...], sample: str) -> FileFacts | None:
    for folder in folders:
        for suffix in (".png", ".jpg"):
            if (root / folder / f"{sample}{suffix}").is_file():
                return FileFacts(folder, suffix)
    return None


def _read_names(path: Path) -> tuple[str, ...]:
    """Sample names of a list whose lines begin with a name or a path such as `RGB/12.jpg`."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(Path(words[0]).stem for words in lines if words)


def _read_hints(root: Path) -> dict[str, Any]:
    path = root / HINTS_NAME
    if not path.is_file():
        return {}
    try:
        hints = json.loads(path.read_text(encoding="utf-8"))
        unknown = set(hints) - set(_HINTS)
    except (ValueError, TypeError) as fault:
        raise UserError(f"{path} is no JSON object ({fault}): see docs/data.md.") from fault
    if unknown:
        raise UserError(f"{path} has unknown entries {', '.join(sorted(unknown))}: see docs/data.md.")
    return hints


def _own_label_set(values: dict[str, Any], where: Path) -> LabelSet:
    """A label set that is written out: `name`, `classes` and, if wanted, `colors`."""
    try:
        classes = tuple(str(name) for name in values["classes"])
        colors = values.get("colors") or spread_colors(len(classes))
        return LabelSet(str(values["name"]), classes, tuple((int(r), int(g), int(b)) for r, g, b in colors))
    except (KeyError, TypeError, ValueError) as fault:
        raise UserError(
            f"The label set in {where} is damaged ({type(fault).__name__}: {fault}): give name, classes and, "
            "if wanted, one [r, g, b] per class as colors."
        ) from fault


def _label_set(root: Path, hints: dict[str, Any]) -> LabelSet:
    chosen = hints.get("label_set")
    if isinstance(chosen, dict):
        return _own_label_set(chosen, root / HINTS_NAME)
    if chosen is None:
        chosen = next((labels for start, labels in _KNOWN_NAMES.items() if root.name.lower().startswith(start)), None)
    if chosen not in LABEL_SETS:
        raise UserError(
            f'The label set of {root} is not known: write {{"label_set": "..."}} with one of '
            f"{', '.join(LABEL_SETS)}, or with your own classes, to {root / HINTS_NAME}."
        )
    return LABEL_SETS[chosen]


def _camera(hints: dict[str, Any], where: Path) -> Intrinsics | None:
    try:
        return Intrinsics(**hints["camera"]) if "camera" in hints else None
    except TypeError as fault:
        raise UserError(f"The camera in {where} is damaged ({fault}): give width, height, fx, fy, cx, cy.") from fault


def _depth_facts(files: dict[str, FileFacts], hints: dict[str, Any], where: Path) -> DepthFacts:
    # Without depth files the first HHA channel still holds inverse distance, from 1.2 to 10 m.
    start = DepthFacts(max_m=10.0, codec="hha", min_m=1.2) if "depth" not in files else DepthFacts()
    try:
        return replace(start, **hints.get("depth", {}))
    except TypeError as fault:
        raise UserError(f"{where / HINTS_NAME} has an unknown depth entry ({fault}): see docs/data.md.") from fault


def open_folder_layout(root: Path) -> PreparedSet:
    """Open such a folder. Raises `UserError` where it is none, or where facts are missing."""
    lists = {path.stem: path for path in sorted(root.glob("*.txt")) if path.stem in ("train", "val", "test")}
    splits = {split: _read_names(path) for split, path in lists.items()}
    first = next((names[0] for names in splits.values() if names), None)
    found = {} if first is None else {kind: _find_kind(root, folders, first) for kind, folders in _KINDS.items()}
    files = {kind: facts for kind, facts in found.items() if facts}
    if not {"rgb", "label"} <= set(files):
        raise UserError(
            f"{root} is no data set: it has neither manifest.json (made by training/prepare.py) nor RGB/, Label/ and "
            "train.txt that name each other's files."
        )
    hints = _read_hints(root)
    depth = _depth_facts(files, hints, root)
    if "depth" not in files and "hha" in files:
        files["depth"] = files["hha"]
    manifest = Manifest(
        name=root.name,
        label_set=_label_set(root, hints),
        depth=depth,
        camera=_camera(hints, root / HINTS_NAME),
        files=files,
        label_offset=int(hints.get("label_offset", -1)),
        splits={split: len(names) for split, names in splits.items()},
        source={
            "layout": "RGB/Label folders, as they are",
            "void": "stored label 0 unless label_offset says otherwise",
        },
    )
    return PreparedSet(root, manifest, splits)

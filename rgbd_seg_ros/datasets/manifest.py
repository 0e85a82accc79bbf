"""The manifest of a prepared data set: everything about it that pixels do not say."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.errors import UserError

FORMAT = "rgbd_seg_set"
VERSION = 1
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class DepthFacts:
    """How depth is stored and what it looks like.

    Attributes:
        metres_per_unit: metres of one step of the uint16 depth that `PreparedSet.read` returns; 0 is missing.
        min_m, max_m: range that valid depth was clipped to, or is expected in.
        meaning: what a value measures, in words ("distance along the optical axis", "height above ground").
        codec: how the files encode depth, see `depth_codecs`; "linear" for sets that were written by us.
        mean_m, std_m: statistics of valid depth over the training split (None: not measured).
        missing_share: share of pixels without depth over the training split (None: not measured).
    """

    metres_per_unit: float = 0.001
    min_m: float = 0.0
    max_m: float = 65.535
    meaning: str = "distance along the optical axis"
    codec: str = "linear"
    mean_m: float | None = None
    std_m: float | None = None
    missing_share: float | None = None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Where one kind of image lies: `<folder>/<sample name><suffix>` below the root of the set."""

    folder: str
    suffix: str


def standard_files() -> dict[str, FileFacts]:
    """The layout of sets that this package writes."""
    return {kind: FileFacts(kind, ".png") for kind in ("rgb", "depth", "label")}


@dataclass(frozen=True, slots=True)
class Manifest:
    """Facts of a prepared set (`manifest.json`).

    Attributes:
        name: short name of the set.
        label_set: class names and colours, index = label value; 255 is ignored.
        depth: encoding and statistics of depth.
        camera: intrinsics shared by all samples; None where unknown or where `cameras.json` lists them.
        files: for rgb, depth, label and optionally hha: where the files lie.
        label_offset: added to every stored label; -1 where 0 is stored for void. Results below 0 become 255.
        splits: number of samples of each split; the names are in `splits/<split>.txt`.
        rate_hz: frame rate where samples follow each other in time; 0 where they do not.
        rgb_mean, rgb_std: statistics of colour (0..255) over the training split, if measured.
        class_pixels: labelled pixels of each class for each split, if counted.
        source: free facts: command, options, checksums of the source files, choices made.
    """

    name: str
    label_set: LabelSet
    depth: DepthFacts = field(default_factory=DepthFacts)
    camera: Intrinsics | None = None
    files: Mapping[str, FileFacts] = field(default_factory=standard_files)
    label_offset: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)
    rate_hz: float = 0.0
    rgb_mean: tuple[float, ...] | None = None
    rgb_std: tuple[float, ...] | None = None
    class_pixels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON values."""
        return {"format": FORMAT, "version": VERSION, "ignore_label": 255, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Manifest:
        """Read JSON values; `where` names the file in error texts. Raises `UserError`."""
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise UserError(f"{where} is not the manifest of a prepared set: its `format` is not `{FORMAT}`.")
        if values.get("version") != VERSION:
            raise UserError(
                f"{where} has version {values.get('version')}, this package reads {VERSION}: prepare the set again."
            )
        try:
            return cls._parse(values)
        except (KeyError, TypeError, ValueError) as fault:
            raise UserError(f"{where} is damaged ({type(fault).__name__}: {fault}): prepare the set again.") from fault

    @classmethod
    def _parse(cls, values: Mapping[str, Any]) -> Manifest:
        labels = values["label_set"]
        colors = tuple((int(r), int(g), int(b)) for r, g, b in labels["colors"])
        known = {k: v for k, v in values.items() if k in cls.__dataclass_fields__}
        known["label_set"] = LabelSet(labels["name"], tuple(labels["classes"]), colors)
        known["depth"] = DepthFacts(**values["depth"])
        known["camera"] = Intrinsics(**values["camera"]) if values.get("camera") else None
        known["files"] = {kind: FileFacts(**facts) for kind, facts in values["files"].items()}
        known["class_pixels"] = {k: tuple(v) for k, v in values.get("class_pixels", {}).items()}
        for key in ("rgb_mean", "rgb_std"):
            known[key] = tuple(values[key]) if values.get(key) else None
        manifest = cls(**known)
        if not manifest.depth.metres_per_unit > 0:
            raise ValueError("depth.metres_per_unit must be positive")
        if missing := {"rgb", "label"} - set(manifest.files):
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")
        return manifest


def read_manifest(path: Path) -> Manifest:
    """Read `manifest.json`. Raises `UserError` where it is absent or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: prepare the data set with training/prepare.py.") from None
    except (OSError, ValueError) as fault:
        raise UserError(f"{path} cannot be read ({fault}): prepare the data set again.") from fault
    return Manifest.from_dict(values, str(path))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON so that a reader finds the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)

"""The manifest of a model bundle: dataclasses, strict reading and writing of `manifest.json`.

Nothing here touches a model file; `bundle.py` ties a manifest to the files beside it.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.errors import UserError

FORMAT = "rgbd_seg_bundle"
VERSION = 1
PRECISIONS = ("fp32", "fp16", "int8")
UPSAMPLING = ("exact", "fast")
MAX_SIDE = 8192
DYNAMIC_STEP = 32
"""Height and width given to a dynamic bundle are multiples of this: the deepest stage of the encoders has stride 32."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ModelFile:
    """One file of a bundle and the digest that it must have."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class ModeEntry:
    """The model of one mode.

    Attributes:
        model: the ONNX file.
        inputs: graph inputs, `("rgb", "depth")`, `("rgb",)` or `("depth",)`; they follow from the mode.
        checkpoint: files of the torch original (`model.safetensors`, `model.json`), if the bundle carries them.
        architecture, parameters, macs: facts for people; 0 means not known.
        verification: what the exporter measured against torch.
    """

    model: ModelFile
    inputs: tuple[str, ...]
    checkpoint: tuple[ModelFile, ...] = ()
    architecture: str = ""
    parameters: int = 0
    macs: int = 0
    verification: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Everything that `manifest.json` says.

    Attributes:
        height, width: network input size in pixels; with `dynamic` only the default size.
        precision: of the weights and activations in the graphs, one of `PRECISIONS`.
        upsampling: `exact` graphs give labels at network size, `fast` ones at the (smaller) size of the logits.
        training: free facts about how the models came about.
    """

    name: str
    label_set: LabelSet
    height: int
    width: int
    modes: Mapping[Mode, ModeEntry]
    dynamic: bool = False
    precision: str = "fp32"
    upsampling: str = "exact"
    created: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)


def utc_now() -> str:
    """The time of day for `created`, ISO 8601, UTC, whole seconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def dump_manifest(manifest: Manifest) -> str:
    """`manifest` as the text of `manifest.json`."""
    labels = manifest.label_set
    document = {
        "format": FORMAT,
        "version": VERSION,
        "name": manifest.name,
        "created": manifest.created or utc_now(),
        "label_set": {
            "name": labels.name,
            "classes": list(labels.classes),
            "colors": [list(color) for color in labels.colors],
        },
        "input": {"height": manifest.height, "width": manifest.width, "dynamic": manifest.dynamic},
        "precision": manifest.precision,
        "upsampling": manifest.upsampling,
        "modes": {mode.value: _dump_mode(entry) for mode, entry in manifest.modes.items()},
        "training": dict(manifest.training),
    }
    return json.dumps(document, indent=2) + "\n"


def _dump_file(file: ModelFile) -> dict[str, Any]:
    return {"file": file.file, "sha256": file.sha256, "bytes": file.bytes}


def _dump_mode(entry: ModeEntry) -> dict[str, Any]:
    return {
        **_dump_file(entry.model),
        "inputs": list(entry.inputs),
        "checkpoint": [_dump_file(file) for file in entry.checkpoint],
        "architecture": entry.architecture,
        "parameters": entry.parameters,
        "macs": entry.macs,
        "verification": dict(entry.verification),
    }


class _Fields:
    """Reads the fields of one JSON object, each with its type; `finish` refuses what was not asked for."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise UserError(f"{where} must be a JSON object; export the bundle again.")
        self._left = dict(value)
        self._where = where

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of `key`, of type `kind`; a missing key without a default is an error."""
        if key not in self._left and default is not None:
            return default
        value = self._left.pop(key, None)
        # bool is a subclass of int: `true` must not pass for a size.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UserError(f"{self._where}: '{key}' is missing or not of type {kind.__name__}; export it again.")
        return value

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """An integer in [low, high]."""
        value: int = self.take(key, int, default)
        if not low <= value <= high:
            raise UserError(f"{self._where}: '{key}' is {value}, not within {low} to {high}; export it again.")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """A string out of `choices`."""
        value: str = self.take(key, str, default)
        if value not in choices:
            raise UserError(f"{self._where}: '{key}' is '{value}', not one of {', '.join(choices)}; export it again.")
        return value

    def finish(self) -> None:
        """Refuses unknown fields: they mean a newer writer or a hand-made mistake."""
        if self._left:
            names = ", ".join(sorted(self._left))
            raise UserError(f"{self._where}: unknown field {names}; update this package or export the bundle again.")


def parse_manifest(text: str, where: str) -> Manifest:
    """Reads the text of a `manifest.json`; `where` names the file in errors.

    Raises:
        UserError: for anything that does not follow the format, one sentence each.
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where} is not valid JSON ({error}); export the bundle again.") from error
    top = _Fields(document, where)
    if top.take("format", str) != FORMAT:
        raise UserError(f"{where} is not the manifest of a model bundle (format is not '{FORMAT}').")
    version = top.take("version", int)
    if version != VERSION:
        raise UserError(f"{where} has bundle version {version}, this package reads {VERSION}; export it again.")
    size = _Fields(top.take("input", dict), f"{where}: input")
    manifest = Manifest(
        name=top.take("name", str),
        label_set=_parse_label_set(top.take("label_set", dict), f"{where}: label_set"),
        height=size.whole("height", 1, MAX_SIDE),
        width=size.whole("width", 1, MAX_SIDE),
        dynamic=size.take("dynamic", bool, False),
        precision=top.choice("precision", PRECISIONS, "fp32"),
        upsampling=top.choice("upsampling", UPSAMPLING, "exact"),
        modes=_parse_modes(top.take("modes", dict), where),
        created=top.take("created", str),
        training=top.take("training", dict, {}),
    )
    size.finish()
    top.finish()
    return manifest


def _parse_label_set(value: object, where: str) -> LabelSet:
    fields = _Fields(value, where)
    name = fields.take("name", str)
    classes = fields.take("classes", list)
    colors = fields.take("colors", list)
    fields.finish()
    if not all(isinstance(item, str) and item for item in classes):
        raise UserError(f"{where}: every class must be a non-empty string; export the bundle again.")
    if not all(_is_color(color) for color in colors):
        raise UserError(f"{where}: every colour must be three integers from 0 to 255; export the bundle again.")
    try:
        return LabelSet(name, tuple(classes), tuple((color[0], color[1], color[2]) for color in colors))
    except ValueError as error:
        raise UserError(f"{where}: {error}; export the bundle again.") from error


def _is_color(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(v) is int and 0 <= v <= 255 for v in value)


def _parse_modes(value: dict[str, object], where: str) -> dict[Mode, ModeEntry]:
    known = {mode.value: mode for mode in Mode if mode is not Mode.NONE}
    if not value:
        raise UserError(f"{where}: the bundle has no mode; export at least one of {', '.join(known)}.")
    for name in value:
        if name not in known:
            raise UserError(f"{where}: unknown mode '{name}', known are {', '.join(known)}; export the bundle again.")
    return {known[name]: _parse_mode(known[name], entry, f"{where}: modes.{name}") for name, entry in value.items()}


def _parse_mode(mode: Mode, value: object, where: str) -> ModeEntry:
    fields = _Fields(value, where)
    expected = tuple(sensor.value for sensor in mode.sensors)
    inputs = tuple(fields.take("inputs", list))
    if inputs != expected:
        raise UserError(f"{where}: inputs are {list(inputs)}, mode {mode.value} needs {list(expected)}.")
    checkpoint = fields.take("checkpoint", list, [])
    entry = ModeEntry(
        model=_parse_file(fields, where),
        inputs=inputs,
        checkpoint=tuple(_parse_whole_file(file, f"{where}: checkpoint") for file in checkpoint),
        architecture=fields.take("architecture", str, ""),
        parameters=fields.whole("parameters", 0, 2**63, 0),
        macs=fields.whole("macs", 0, 2**63, 0),
        verification=fields.take("verification", dict, {}),
    )
    fields.finish()
    return entry


def _parse_whole_file(value: object, where: str) -> ModelFile:
    fields = _Fields(value, where)
    file = _parse_file(fields, where)
    fields.finish()
    return file


def _parse_file(fields: _Fields, where: str) -> ModelFile:
    name: str = fields.take("file", str)
    # Each part must be a plain name: no "..", no absolute path, no drive, no back-slash.
    if not all(_FILE_NAME.fullmatch(part) for part in name.split("/")):
        raise UserError(f"{where}: file '{name}' is not a plain path inside the bundle; export the bundle again.")
    digest: str = fields.take("sha256", str)
    if not _SHA256.fullmatch(digest):
        raise UserError(f"{where}: sha256 of '{name}' is not 64 hexadecimal digits; export the bundle again.")
    return ModelFile(name, digest, fields.whole("bytes", 1, 2**40))

"""A network on disk: a folder with `model.safetensors` (weights) and `model.json` (spec, checksum, facts)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.network import SegmentationModel
from rgbd_seg_ros.models.registry import build_model
from rgbd_seg_ros.models.spec import ModelSpec

WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"
FORMAT = "rgbd_seg_model"
VERSION = 1


def save_model(model: SegmentationModel, folder: Path | str, facts: Mapping[str, Any] | None = None) -> None:
    """Write the network into `folder` (made if needed); an existing one is replaced file by file, never half written.

    Args:
        model: any network of `build_model`.
        folder: destination.
        facts: JSON data to keep with the weights, e.g. label set, command, metrics.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    weights = safetensors.torch.save(state, metadata={"format": FORMAT})
    description = {
        "format": FORMAT,
        "version": VERSION,
        "spec": model.spec.to_dict(),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "facts": dict(facts or {}),
    }
    text = json.dumps(description, indent=2) + "\n"
    _replace(folder / WEIGHTS_FILE, weights)
    _replace(folder / DESCRIPTION_FILE, text.encode())


def load_model(folder: Path | str, device: torch.device | str = "cpu") -> SegmentationModel:
    """The network that `save_model` wrote, in eval mode.

    Raises:
        UserError: the folder is not a saved network, is damaged, or its weights do not fit its spec, or the device
            cannot be used here.
    """
    folder = Path(folder)
    description = _read_description(folder)
    weights = _read(folder / WEIGHTS_FILE)
    if hashlib.sha256(weights).hexdigest() != description["sha256"]:
        raise UserError(
            f"{folder / WEIGHTS_FILE} does not match the checksum in {DESCRIPTION_FILE}; copy the folder again"
        )
    model = build_model(ModelSpec.from_dict(description["spec"]))
    try:
        model.load_state_dict(safetensors.torch.load(weights), strict=True)
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"{folder} does not fit its spec: {error}; train or import the model again") from error
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise UserError(f"device {device} cannot be used here ({reason}); name cpu or another device") from error


def read_facts(folder: Path | str) -> dict[str, Any]:
    """The facts that were saved with a network."""
    return dict(_read_description(Path(folder))["facts"])


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION_FILE
    try:
        description = json.loads(_read(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); copy the model folder again") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise UserError(f"{path} does not describe a saved model; name a folder that training or import wrote")
    if description.get("version") != VERSION:
        raise UserError(
            f"{path} has version {description.get('version')}, this package reads {VERSION}; update the package"
        )
    return description


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a folder that holds a saved model") from error


def _replace(path: Path, content: bytes) -> None:
    """Write under another name, then rename: readers never see half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

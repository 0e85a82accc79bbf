"""Command lines of the training scripts: YAML and options by jsonargparse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from rgbd_seg_ros.models import ModelSpec

from .run_folder import plain


def script_parser(description: str) -> ArgumentParser:
    """A parser with `--config FILE.yaml`, `--run` and `--resume`; add sections with `add_class_arguments`."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below; later ones win")
    parser.add_argument("--run", type=str, required=True, help="run folder to write")
    parser.add_argument("--resume", type=bool, default=False, help="continue an interrupted run")
    return parser


def settings_of(arguments: Namespace) -> dict[str, Any]:
    """Everything that was set, by default or by the user, as plain data."""
    settings: dict[str, Any] = plain(arguments.as_dict())
    settings.pop("config", None)
    return settings


def spec_from(section: Mapping[str, Any], num_classes: int) -> ModelSpec:
    """A model spec from a configuration section; the class count comes from the data set where it is 0 or absent."""
    data = plain(section)
    if not data.get("num_classes"):
        data["num_classes"] = num_classes
    return ModelSpec.from_dict(data)

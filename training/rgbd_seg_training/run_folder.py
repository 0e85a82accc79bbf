"""The run folder: everything one training run leaves behind."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rgbd_seg_ros.errors import UserError

from .devices import process_count

_FREE_KEYS = frozenset({"config", "run", "resume", "workers", "threads", "accelerator", "log_every", "cache"})
"""Settings that may change between the parts of a resumed run: they do not change what is computed. The number of
processes is none of them: steps of an epoch and data order depend on it."""


def write_atomically(path: Path, text: str) -> None:
    """Write `text` under a temporary name and move it into place."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def plain(value: Any) -> Any:
    """`value` as YAML and JSON know it: tuples become lists, paths strings, mappings dicts."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "__dict__") and not isinstance(value, type):
        return plain(vars(value))
    return value


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names; an empty mapping stays, since it is not the same as null."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


class RunFolder:
    """Paths of a run: `config.yaml, metrics.csv, tensorboard/, checkpoints/last.ckpt, models/<mode>/, result.json`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.metrics = self.path / "metrics.csv"
        self.checkpoints = self.path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.models = self.path / "models"
        self.result = self.path / "result.json"

    @property
    def finished(self) -> bool:
        """Whether the run ended and its models are saved."""
        return self.result.is_file()

    def read_result(self) -> dict[str, Any]:
        """Figures of the finished run."""
        return dict(json.loads(self.result.read_text(encoding="utf-8")))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Mark the run as finished."""
        write_atomically(self.result, json.dumps(plain(result), indent=2) + "\n")

    def open(self, config: Mapping[str, Any], resume: bool) -> Path | None:
        """Create the folder or continue in it.

        Args:
            config: the whole configuration; kept as `config.yaml`.
            resume: continue an interrupted run of the same configuration.

        Returns:
            The checkpoint to continue from, or None for a fresh start.

        Raises:
            UserError: the folder belongs to another run, or is in use and `resume` is off.
        """
        settings = plain(config)
        if self.config.is_file():
            if not resume:
                raise UserError(f"{self.path} already holds a run; give another folder or add --resume true.")
            self._check_same(settings)
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config, yaml.safe_dump(settings, sort_keys=False))
        return self.checkpoint()

    def checkpoint(self) -> Path | None:
        """The checkpoint to continue from, if there is one."""
        return self.last_checkpoint if self.last_checkpoint.is_file() else None

    def _check_same(self, settings: dict[str, Any]) -> None:
        from .option_defaults import first_difference

        before = _comparable(yaml.safe_load(self.config.read_text(encoding="utf-8")) or {})
        difference = first_difference(before, _comparable(settings))
        if difference is not None:
            raise UserError(
                f"{self.path} was started with {difference.name}={difference.before!r} and cannot resume with "
                f"{difference.now!r}; use the same settings or another folder."
            )


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Flattened settings without the free ones; processes as the number that `auto` or digits stand for."""
    flat = flatten(settings)
    kept = {name: value for name, value in flat.items() if name.rsplit(".", 1)[-1] not in _FREE_KEYS}
    for name, value in kept.items():
        section, _, key = name.rpartition(".")
        if key == "devices":
            kept[name] = process_count(value, str(flat.get(f"{section}.accelerator", "auto")))
    return kept

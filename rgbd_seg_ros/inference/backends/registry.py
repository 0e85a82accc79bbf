"""The backends by name, and the order in which `auto` tries them."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.base import Backend

_FOLDER = "rgbd_seg_ros.inference.backends"
_CLASSES = {
    "tensorrt": (f"{_FOLDER}.tensorrt", "TensorRtBackend"),
    "onnxruntime_cuda": (f"{_FOLDER}.onnxruntime", "OnnxRuntimeCudaBackend"),
    "torch_cuda": (f"{_FOLDER}.torch", "TorchCudaBackend"),
    "openvino": (f"{_FOLDER}.openvino", "OpenVinoBackend"),
    "onnxruntime": (f"{_FOLDER}.onnxruntime", "OnnxRuntimeBackend"),
    "torch": (f"{_FOLDER}.torch", "TorchBackend"),
}

AUTO_ORDER = tuple(_CLASSES)
"""Fastest first; what cannot be used on a machine drops out by its `check`."""


def backend_names() -> tuple[str, ...]:
    """Every name that `make_backend` takes."""
    return tuple(_CLASSES)


def make_backend(name: str) -> Backend:
    """The backend called `name`; imports our file for it, not yet the runtime itself.

    Raises:
        UserError: there is no such backend.
    """
    if name not in _CLASSES:
        raise UserError(f"there is no backend '{name}'; choose auto or one of {', '.join(_CLASSES)}.")
    module, cls = _CLASSES[name]
    backend: Backend = getattr(importlib.import_module(module), cls)()
    return backend


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuses settings that no backend has, and values of a wrong type or outside their choices.

    Raises:
        UserError: names the setting and what there is.
    """
    for name, value in settings.items():
        wanted = type(_default(name))
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise UserError(f"backend setting '{name}' is {value!r}, not of type {wanted.__name__}.")
        if wanted is float and not 0 <= value < math.inf:
            raise UserError(f"backend setting '{name}' is {value}; give a number from 0 on.")
        backend, _, key = name.partition(".")
        choices = make_backend(backend).choices.get(key)
        if choices is not None and value not in choices:
            raise UserError(f"backend setting '{name}' is '{value}'; choose one of {', '.join(choices)}.")


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Settings from texts like `onnxruntime.spin_us=0`, each value of the type of its default.

    Raises:
        UserError: a text has another form, or names a setting or value that does not exist.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, word = (part.strip() for part in text.partition("="))
        if not equals:
            raise UserError(f"backend setting '{text}' has no value; write it as backend.setting=value.")
        settings[name] = _value(name, word, _default(name))
    check_settings(settings)
    return settings


def _default(name: str) -> Any:
    backend, _, key = name.partition(".")
    defaults = make_backend(backend).defaults if backend in _CLASSES else {}
    if key not in defaults:
        known = sorted(f"{b}.{k}" for b in _CLASSES for k in make_backend(b).defaults)
        raise UserError(f"there is no backend setting '{name}'; known are {', '.join(known)}.")
    return defaults[key]


def _value(name: str, word: str, default: Any) -> Any:
    """`word` as the type of `default`: a truth value, a number or the text itself."""
    if isinstance(default, bool):
        if word.lower() not in ("true", "false"):
            raise UserError(f"backend setting '{name}' is '{word}'; give true or false.")
        return word.lower() == "true"
    if isinstance(default, float):
        try:
            return float(word)
        except ValueError:
            raise UserError(f"backend setting '{name}' is '{word}', not a number.") from None
    return word

"""The backends by name, and the order in which `auto` tries them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.base import Backend

_FOLDER = "rgbd_seg_ros.inference.backends"
_CLASSES = {
    "tensorrt": (f"{_FOLDER}.tensorrt", "TensorRtBackend"),
    "onnxruntime_cuda": (f"{_FOLDER}.onnxruntime", "OnnxRuntimeCudaBackend"),
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
    """Refuses settings that no backend has, and values of a wrong type.

    Raises:
        UserError: names the setting and what there is.
    """
    for name, value in settings.items():
        backend, _, key = name.partition(".")
        defaults = make_backend(backend).defaults if backend in _CLASSES else {}
        if key not in defaults:
            known = sorted(f"{b}.{k}" for b in _CLASSES for k in make_backend(b).defaults)
            raise UserError(f"there is no backend setting '{name}'; known are {', '.join(known)}.")
        wanted = type(defaults[key])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise UserError(f"backend setting '{name}' is {value!r}, not of type {wanted.__name__}.")

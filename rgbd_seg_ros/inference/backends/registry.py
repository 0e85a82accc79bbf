"""The backends by name, and the order in which `auto` tries them."""

from __future__ import annotations

import importlib

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.base import Backend

_CLASSES = {
    "onnxruntime": ("rgbd_seg_ros.inference.backends.onnxruntime", "OnnxRuntimeBackend"),
}

AUTO_ORDER = tuple(_CLASSES)
"""Fastest first, as measured; what cannot be used on a machine drops out by its `check`."""


def backend_names() -> tuple[str, ...]:
    """Every name that `make_backend` takes."""
    return tuple(_CLASSES)


def make_backend(name: str) -> Backend:
    """The backend called `name`; imports our file for it, not yet the runtime itself."""
    if name not in _CLASSES:
        raise UserError(f"there is no backend '{name}'; choose auto or one of {', '.join(_CLASSES)}.")
    module, cls = _CLASSES[name]
    backend: Backend = getattr(importlib.import_module(module), cls)()
    return backend

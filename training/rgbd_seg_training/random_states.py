"""States of the random generators, so that a resumed run draws what an unbroken one would have drawn."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import distributed


def random_states(device: torch.device) -> dict[str, Any]:
    """States of the generators of Python, NumPy and torch, of `device` too, as plain types and tensors."""
    name, keys, position, has_gauss, cached = np.random.get_state()
    states: dict[str, Any] = {
        "python": [list(part) if isinstance(part, tuple) else part for part in random.getstate()],
        "numpy": [
            name,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def of_all_processes(states: dict[str, Any], processes: int) -> list[dict[str, Any]]:
    """The states of every process in the order of their ranks; all of them have to call this."""
    if processes == 1:
        return [states]
    gathered: list[Any] = [None] * processes
    distributed.all_gather_object(gathered, states)
    return gathered


def restore_random_states(states: dict[str, Any], device: torch.device) -> None:
    """Put back what `random_states` took; on another kind of device its own generator stays as it is."""
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    name, words, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and device.type == "cuda":
        cuda = states["cuda"]
        own = cuda[device.index or 0] if isinstance(cuda, list) else cuda  # older files hold those of all devices
        torch.cuda.set_rng_state(own.cpu(), device)

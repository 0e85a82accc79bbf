"""A small trained-looking network per mode and the bundle exported from it, made once per session."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from small_networks import LABELS, SIZE, small_spec, with_varied_labels

from rgbd_seg_ros.inference.bundle import Bundle


@pytest.fixture(scope="session")
def networks() -> dict[str, Any]:
    """Untrained networks with labels that differ from pixel to pixel, by mode."""
    torch = pytest.importorskip("torch")
    from rgbd_seg_ros.models.registry import build_model

    torch.manual_seed(0)
    return {mode: with_varied_labels(build_model(small_spec(mode))) for mode in ("fusion", "rgb", "depth")}


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Networks of three convolutions, which export fast, for modes `rgb` and `depth`."""
    torch = pytest.importorskip("torch")
    from rgbd_seg_ros.models.network import SegmentationModel

    class Tiny(SegmentationModel):
        def __init__(self, mode: str) -> None:
            super().__init__(small_spec(mode), torch.nn.Conv2d(16, len(LABELS.classes), 1))
            channels = 3 if mode == "rgb" else self.spec.depth.channels
            self.first = torch.nn.Conv2d(channels, 16, 5, stride=4, padding=2)
            self.second = torch.nn.Conv2d(16, 16, 3, padding=1)

        def encode(self, rgb: Any = None, depth: Any = None) -> Any:
            name = self.spec.inputs[0]
            image = self.normalized(name, rgb if name == "rgb" else depth)
            return self.second(torch.relu(self.first(image)))

    torch.manual_seed(0)
    return {mode: with_varied_labels(Tiny(mode)) for mode in ("rgb", "depth")}


@pytest.fixture(scope="session")
def exported(networks: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The networks as a bundle, exact, fp32, with checkpoints; made by the first of pytest's processes that asks."""
    pytest.importorskip("onnxruntime")
    from rgbd_seg_ros.inference.bundle import load_bundle
    from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle

    own: Path = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "exported" / "bundle"
    with (shared / "exported.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            export_bundle(networks, folder, LABELS, ExportOptions(*SIZE, patterns=2, checkpoint=True))
    return load_bundle(folder)

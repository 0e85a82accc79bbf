"""What torch does on a GPU with its switches, memory and failures, on a stand-in; test_gpu.py is for a real one."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends.base import BackendError, BackendOptions
from rgbd_seg_ros.inference.backends.cuda_device import Gpu
from rgbd_seg_ros.inference.backends.registry import AUTO_ORDER
from rgbd_seg_ros.inference.backends.torch import TorchBackend, TorchCudaBackend, _DeviceSession
from rgbd_seg_ros.inference.testing import write_test_bundle

SIZE = (8, 16)


@pytest.fixture
def no_gpu_needed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """torch, with the calls of a CUDA session done on the CPU; its switches are put back afterwards."""
    torch = pytest.importorskip("torch")
    zeros = torch.zeros

    def on_the_cpu(*shape: Any, dtype: Any, device: str = "cpu") -> Any:
        return zeros(*shape, dtype=dtype)

    monkeypatch.setattr(torch, "zeros", on_the_cpu)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(synchronize=lambda: None))
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield torch
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_every_run_has_the_tf32_of_its_own_session_whichever_was_opened_last(no_gpu_needed: Any) -> None:
    torch, seen = no_gpu_needed, []

    def forward(images: dict[str, Any]) -> Any:
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return torch.zeros((2, *SIZE), dtype=torch.uint8)

    rounded = _DeviceSession(forward, ("depth",), SIZE, graphs=False, tf32=True)
    exact = _DeviceSession(forward, ("depth",), SIZE, graphs=False, tf32=False)
    assert seen == [(True, True), (False, False)]
    seen.clear()
    image = {"depth": np.ones((1, *SIZE), np.float32)}
    for session in (rounded, exact, rounded):
        session.run(image)
    assert seen == [(True, True), (False, False), (True, True)]


@pytest.mark.parametrize("recordable", [False, True])
def test_a_network_that_cannot_be_recorded_as_a_cuda_graph_runs_without(
    recordable: bool, no_gpu_needed: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torch, calls = no_gpu_needed, []
    stream = SimpleNamespace(wait_stream=lambda other: None, synchronize=lambda: None)

    @contextlib.contextmanager
    def record(graph: Any) -> Iterator[None]:
        if not recordable:
            raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda side: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: calls.append("replay")))
    monkeypatch.setattr(torch.cuda, "graph", record)

    def forward(images: dict[str, Any]) -> Any:
        calls.append("forward")
        return torch.zeros((2, *SIZE), dtype=torch.uint8)

    session = _DeviceSession(forward, ("depth",), SIZE, graphs=True, tf32=False)
    calls.clear()
    session.run({"depth": np.ones((1, *SIZE), np.float32)})
    assert calls == (["replay"] if recordable else ["forward"])
    assert ("cannot be recorded" in caplog.text) is not recordable


def test_torch_on_the_gpu_comes_before_the_cpu_and_after_what_is_faster() -> None:
    order = {name: place for place, name in enumerate(AUTO_ORDER)}
    assert order["tensorrt"] < order["onnxruntime_cuda"] < order["torch_cuda"] < order["openvino"] < order["torch"]


def test_torch_without_cuda_is_refused_for_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_test_bundle(tmp_path / "bundle", *SIZE)
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("rgbd_seg_ros.inference.backends.torch.find_gpu", lambda: Gpu("test", (9, 0), 12080))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="--checkpoint"):
        TorchCudaBackend().check(bundle)
    entries = {mode: dataclasses.replace(e, checkpoint=e.model) for mode, e in bundle.manifest.modes.items()}
    whole = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, modes=entries))
    with pytest.raises(BackendError, match="finds no CUDA device"):
        TorchCudaBackend().check(whole)


@pytest.mark.parametrize("what", ["compile", "half", "memory"])
def test_a_torch_session_that_cannot_begin_is_an_error_of_the_backend(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from rgbd_seg_ros.models import checkpoint, half

    def fail(*args: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(checkpoint, "load_model", lambda folder, device: torch.nn.Identity())
    place, name = {"compile": (torch, "compile"), "half": (half, "to_half"), "memory": (torch, "empty")}[what]
    monkeypatch.setattr(place, name, fail)
    entry = SimpleNamespace(checkpoint=[SimpleNamespace(file="torch/rgb/model.safetensors")], inputs=("rgb",))
    manifest = SimpleNamespace(modes={Mode.RGB: entry}, upsampling="exact")
    options = BackendOptions(1, SIZE, {"torch.device": "cuda"} | {f"torch.{s}": s == what for s in ("compile", "half")})
    with pytest.raises(BackendError, match="mode rgb: no memory left"):
        TorchBackend().open(SimpleNamespace(manifest=manifest, folder=tmp_path), Mode.RGB, options)  # type: ignore[arg-type]


def test_half_weights_label_almost_like_single_ones() -> None:
    torch = pytest.importorskip("torch")
    from rgbd_seg_ros.inference.backends.torch import _Labels
    from rgbd_seg_ros.models import ModelSpec, build_model

    torch.manual_seed(0)
    options = {"encoder": {"channels": [8, 16, 24, 32]}, "decoder_options": {"width": 16}}
    model = build_model(ModelSpec("lightfpn", "resnet10t", 5, ("depth",), options=options)).eval()
    images = {"depth": torch.rand(1, 64, 96, generator=torch.Generator().manual_seed(1)) * 4 + 0.5}
    with torch.inference_mode():
        single = _Labels(model, "exact", half=False)(images)
        half = _Labels(model, "exact", half=True)(images)
    single_weights = [name for name, p in model.named_parameters() if p.dtype != torch.float16]
    assert single_weights == ["encoder.stages.0.0.0.layer.weight"]
    assert (single[0] == half[0]).float().mean() > 0.97
    assert not torch.equal(single, half)

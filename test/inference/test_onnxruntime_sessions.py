"""ONNX Runtime with bound memory, on the CPU; what needs CUDA is in test_gpu.py."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_networks import LABELS

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends import onnxruntime as backend_module
from rgbd_seg_ros.inference.backends.base import BackendError, BackendOptions, Inputs
from rgbd_seg_ros.inference.backends.onnxruntime_bound import BoundSession
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.testing import write_test_bundle

ort = pytest.importorskip("onnxruntime")

SIZE = (24, 32)
LARGER = (64, 96)
OPTIONS = BackendOptions(1, SIZE)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_test_bundle(tmp_path / "bundle", *SIZE)


def images(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    return {"rgb": rgb, "depth": rng.uniform(0.3, 6, (1, *SIZE)).astype(np.float32)}


def inputs_of(mode: Mode, seed: int) -> Inputs:
    return {sensor.value: images(seed)[sensor.value] for sensor in mode.sensors}


def bound(bundle: Bundle, mode: Mode) -> BoundSession:
    session = ort.InferenceSession(bundle.model_bytes(mode), providers=["CPUExecutionProvider"])
    return BoundSession(session, "cpu", SIZE)


@pytest.mark.parametrize("mode", [Mode.FUSION, Mode.RGB, Mode.DEPTH])
def test_bound_memory_gives_the_labels_of_a_plain_run_for_image_after_image(mode: Mode, bundle: Bundle) -> None:
    plain = backend_module.OnnxRuntimeBackend().open(bundle, mode, OPTIONS)
    session = bound(bundle, mode)
    seen = set()
    for seed in range(3):
        inputs = inputs_of(mode, seed)
        expected, got = plain.run(inputs), session.run(inputs)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])
        seen.add(got[0].tobytes() + got[1].tobytes())
    assert len(seen) == 3


@pytest.mark.parametrize(("upsampling", "dynamic"), [("fast", False), ("fast", True), ("exact", True)])
def test_bound_memory_fits_graphs_that_label_at_a_quarter_or_leave_their_size_open(
    upsampling: str, dynamic: bool, tiny: dict[str, Any], tmp_path: Path
) -> None:
    export = pytest.importorskip("rgbd_seg_training.export.export_bundle")
    options = export.ExportOptions(*LARGER, upsampling=upsampling, dynamic=dynamic, patterns=1)
    bundle = export.export_bundle({"depth": tiny["depth"]}, tmp_path / "bundle", LABELS, options)
    inputs = {"depth": np.random.default_rng(0).uniform(0.3, 6, (1, *LARGER)).astype(np.float32)}
    plain = backend_module.OnnxRuntimeBackend().open(bundle, Mode.DEPTH, BackendOptions(1, LARGER))
    session = ort.InferenceSession(bundle.model_bytes(Mode.DEPTH), providers=["CPUExecutionProvider"])
    label, _ = BoundSession(session, "cpu", LARGER, fast=upsampling == "fast").run(inputs)
    np.testing.assert_array_equal(label, plain.run(inputs)[0])


def test_bound_memory_takes_views_that_are_not_contiguous(bundle: Bundle) -> None:
    session, inputs = bound(bundle, Mode.RGB), inputs_of(Mode.RGB, 1)
    expected = session.run(inputs)[0].copy()
    wide = np.zeros((1, SIZE[0], 2 * SIZE[1], 3), np.uint8)
    wide[:, :, ::2] = inputs["rgb"]
    np.testing.assert_array_equal(session.run({"rgb": wide[:, :, ::2]})[0], expected)


def test_an_image_of_another_size_is_an_error_of_the_backend(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match="ONNX Runtime failed"):
        bound(bundle, Mode.RGB).run({"rgb": np.zeros((1, 8, 8, 3), np.uint8)})


def test_memory_that_a_device_does_not_have_is_an_error_of_the_backend(bundle: Bundle) -> None:
    session = ort.InferenceSession(bundle.model_bytes(Mode.RGB), providers=["CPUExecutionProvider"])
    with pytest.raises(BackendError, match="cannot bind its tensors on nowhere"):
        BoundSession(session, "nowhere", SIZE)


class CudaSession:
    """A session of the CPU under the name of the GPU's provider; refuses CUDA graphs where it is told to."""

    recordable = True
    asked: list[str]

    def __init__(self, model: bytes, settings: Any, providers: list[Any], enable_fallback: int) -> None:
        name, options = providers[0]
        assert name == "CUDAExecutionProvider"
        type(self).asked.append(options["enable_cuda_graph"])
        if options["enable_cuda_graph"] == "1" and not self.recordable:
            raise RuntimeError("This session cannot use the CUDA Graph feature as requested by the user")
        self._session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> type[CudaSession]:
    runtime = SimpleNamespace(SessionOptions=ort.SessionOptions, InferenceSession=CudaSession)
    monkeypatch.setattr(CudaSession, "asked", [], raising=False)
    monkeypatch.setattr(CudaSession, "recordable", True)
    monkeypatch.setattr(backend_module, "_import", lambda: runtime)
    monkeypatch.setattr(backend_module, "BoundSession", on_the_cpu)
    return CudaSession


def on_the_cpu(session: Any, device: str, size: tuple[int, int], fast: bool) -> BoundSession:
    assert device == "cuda"
    return BoundSession(session, "cpu", size, fast)


def test_a_network_that_cannot_be_recorded_runs_without_a_cuda_graph_and_says_so(
    bundle: Bundle, fake_cuda: type[CudaSession], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(CudaSession, "recordable", False)
    with caplog.at_level(logging.WARNING):
        session = backend_module.OnnxRuntimeCudaBackend().open(bundle, Mode.DEPTH, OPTIONS)
    assert fake_cuda.asked == ["1", "0"]
    assert "depth cannot be recorded" in caplog.text
    inputs = inputs_of(Mode.DEPTH, 2)
    np.testing.assert_array_equal(session.run(inputs)[0], bound(bundle, Mode.DEPTH).run(inputs)[0])


def test_a_provider_that_does_not_start_is_not_blamed_on_the_cuda_graph(
    bundle: Bundle, fake_cuda: type[CudaSession], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(CudaSession, "get_providers", lambda self: ["CPUExecutionProvider"])
    with caplog.at_level(logging.WARNING), pytest.raises(BackendError, match=r"CUDA provider .* does not start"):
        backend_module.OnnxRuntimeCudaBackend().open(bundle, Mode.DEPTH, OPTIONS)
    assert "recorded" not in caplog.text


@pytest.mark.parametrize(("setting", "asked"), [(True, ["1"]), (False, ["0"])])
def test_cuda_graphs_are_a_setting(
    setting: bool, asked: list[str], bundle: Bundle, fake_cuda: type[CudaSession]
) -> None:
    options = BackendOptions(1, SIZE, {"onnxruntime_cuda.cuda_graph": setting})
    backend_module.OnnxRuntimeCudaBackend().open(bundle, Mode.RGB, options)
    assert fake_cuda.asked == asked


@pytest.mark.parametrize(
    ("version", "spin_us", "allowed", "limit"),
    [
        ("1.31.1", 50.0, "1", "50"),
        ("1.31.1", 0.0, "0", None),
        ("1.26.0", 200.0, "1", "200"),
        ("1.25.1", 50.0, "0", None),  # would ignore the limit and spin for tens of milliseconds
        ("2.0.0.dev1", 50.0, "1", "50"),
        ("1.26rc1", 50.0, "1", "50"),
        ("unknown", 50.0, "0", None),
    ],
)
def test_workers_spin_only_where_the_runtime_limits_it(
    version: str, spin_us: float, allowed: str, limit: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxruntime.__version__", version)
    settings = backend_module._settings(OPTIONS, spin_us)
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == allowed
    if limit is not None:
        assert settings.get_session_config_entry("session.intra_op.spin_duration_us") == limit
    else:
        with pytest.raises(RuntimeError):  # no such entry
            settings.get_session_config_entry("session.intra_op.spin_duration_us")

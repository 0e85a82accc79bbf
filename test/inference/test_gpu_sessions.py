"""What sessions on a GPU do with its switches and memory, on a stand-in for the GPU; test_gpu.py is for a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends import cuda_memory, onnxruntime, tensorrt
from rgbd_seg_ros.inference.backends.base import BackendError, BackendOptions
from rgbd_seg_ros.inference.backends.torch import TorchBackend, _CudaSession
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.testing import write_test_bundle

SIZE = (8, 16)
SHAPES: dict[str, tuple[int, ...]] = {"depth": (1, *SIZE)}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_test_bundle(tmp_path / "bundle", *SIZE)


# PyTorch


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

    rounded = _CudaSession(forward, ("depth",), SIZE, graphs=False, tf32=True)
    exact = _CudaSession(forward, ("depth",), SIZE, graphs=False, tf32=False)
    assert seen == [(True, True), (False, False)]
    seen.clear()
    image = {"depth": np.ones((1, *SIZE), np.float32)}
    for session in (rounded, exact, rounded):
        session.run(image)
    assert seen == [(True, True), (False, False), (True, True)]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_torch_session_that_cannot_begin_is_an_error_of_the_backend(
    compiled: bool, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from rgbd_seg_ros.models import checkpoint

    def fail(*args: Any, **options: Any) -> Any:
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(checkpoint, "load_model", lambda folder, device: torch.nn.Identity())
    monkeypatch.setattr(torch, "compile" if compiled else "empty", fail)
    entry = SimpleNamespace(checkpoint=[SimpleNamespace(file="torch/rgb/model.safetensors")], inputs=("rgb",))
    manifest = SimpleNamespace(modes={Mode.RGB: entry}, upsampling="exact")
    options = BackendOptions(1, SIZE, {"torch.device": "cuda", "torch.compile": compiled})
    with pytest.raises(BackendError, match="mode rgb: no memory left"):
        TorchBackend().open(SimpleNamespace(manifest=manifest, folder=bundle.folder), Mode.RGB, options)  # type: ignore[arg-type]


# ONNX Runtime


@pytest.mark.parametrize("has_it", [True, False])
def test_onnxruntime_loads_the_cuda_libraries_of_pip_where_it_can(
    has_it: bool, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    runtime = SimpleNamespace(__version__="9", get_available_providers=lambda: calls or ["CUDAExecutionProvider"])
    if has_it:
        runtime.preload_dlls = lambda: calls.append("CUDAExecutionProvider")
    monkeypatch.setattr(onnxruntime, "_import", lambda: runtime)
    monkeypatch.setattr(onnxruntime, "find_gpu", lambda: SimpleNamespace(name="GPU"))
    assert "CUDA on GPU" in onnxruntime.OnnxRuntimeCudaBackend().check(bundle)
    assert bool(calls) == has_it


# TensorRT


class Stream:
    """A stream without a GPU behind it."""

    made: list[Stream]
    recordable = True

    def __init__(self) -> None:
        self.handle, self.closed, self.launches = 0, False, 0
        type(self).made.append(self)

    def pinned_buffer(self, size: int) -> Any:
        return np.zeros(size, np.uint8)

    def device_buffer(self, size: int) -> int:
        return 256

    def upload(self, device: int, pinned: Any) -> None: ...

    def download(self, pinned: Any, device: int) -> None: ...

    def wait(self) -> None: ...

    def record(self, work: Any) -> str:
        if not self.recordable:
            raise BackendError("cudaStreamEndCapture failed")
        return "graph"

    def launch(self, graph: Any) -> None:
        self.launches += 1

    def close(self) -> None:
        self.closed = True


class Context:
    """An execution context whose steps can be told to fail."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.runs = fails, 0

    def set_input_shape(self, name: str, shape: Any) -> bool:
        return self.fails != "shape"

    def set_tensor_address(self, name: str, address: int) -> None: ...

    def get_tensor_shape(self, name: str) -> tuple[int, int, int]:
        return (1, *SIZE)

    def execute_async_v3(self, stream: int) -> bool:
        self.runs += 1
        return self.fails != "run"


def open_session(context: Context | None, monkeypatch: pytest.MonkeyPatch, recordable: bool = True) -> Any:
    monkeypatch.setattr(Stream, "made", [], raising=False)
    monkeypatch.setattr(Stream, "recordable", recordable)
    monkeypatch.setattr(tensorrt, "CudaStream", Stream)
    engine = SimpleNamespace(create_execution_context=lambda: context)
    trt = SimpleNamespace(
        Logger=type("Logger", (), {"ERROR": 0, "__init__": lambda self, level: None}),
        Runtime=lambda log: SimpleNamespace(deserialize_cuda_engine=lambda data: engine),
    )
    return tensorrt._TensorRtSession(trt, b"", SHAPES, graph=True)


@pytest.mark.parametrize("fails", ["shape", "run"])
def test_a_tensorrt_session_that_cannot_begin_frees_its_memory(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError):
        open_session(Context(fails), monkeypatch)
    assert [stream.closed for stream in Stream.made] == [True]


def test_an_engine_without_a_context_is_an_error_of_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="memory"):
        open_session(None, monkeypatch)


def test_a_network_that_cannot_be_recorded_runs_without_a_graph(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context = Context()
    session = open_session(context, monkeypatch, recordable=False)
    assert "runs without" in caplog.text
    before = context.runs
    label, _ = session.run({"depth": np.ones((1, *SIZE), np.float32)})
    assert label.shape == SIZE
    assert context.runs == before + 1
    assert [(stream.launches, stream.closed) for stream in Stream.made] == [(0, False)]


def test_a_recording_that_breaks_off_ends_and_tells_the_first_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Runtime:
        """The functions of cuda-python's runtime that a recording needs, by name."""

        cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815

        def __getattr__(self, name: str) -> Any:
            def function(*args: Any) -> tuple[int, int]:
                calls.append(name)
                return 0, 7

            function.__name__ = name
            return function

    def work() -> None:
        raise BackendError("TensorRT failed to run the network")

    monkeypatch.setattr(cuda_memory, "cuda_runtime", Runtime)
    stream = cuda_memory.CudaStream()
    with pytest.raises(BackendError, match="failed to run"):
        stream.record(work)
    stream.close()
    assert calls == [
        "cudaStreamCreate",
        "cudaStreamBeginCapture",
        "cudaStreamEndCapture",
        "cudaGraphDestroy",
        "cudaStreamDestroy",
    ]

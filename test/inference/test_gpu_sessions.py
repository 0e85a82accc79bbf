"""What ONNX Runtime and TensorRT do on a GPU with memory and failures, on a stand-in; test_gpu.py is for a real one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends import cuda_memory, onnxruntime, tensorrt
from rgbd_seg_ros.inference.backends.base import BackendError, BackendOptions
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.inference.testing import write_test_bundle

SIZE = (8, 16)
SHAPES: dict[str, tuple[int, ...]] = {"depth": (1, *SIZE)}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_test_bundle(tmp_path / "bundle", *SIZE)


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

    def set_tensor_address(self, name: str, address: int) -> bool:
        return self.fails != "address"

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
    return tensorrt._TensorRtSession(engine, SHAPES, graph=True)


@pytest.mark.parametrize("fails", ["shape", "address", "run"])
def test_a_tensorrt_session_that_cannot_begin_frees_its_memory(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError):
        open_session(Context(fails), monkeypatch)
    assert [stream.closed for stream in Stream.made] == [True]


class Log:
    Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1)


@pytest.fixture
def fake_tensorrt(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A TensorRT whose engines load unless they are b"old"; `Runtime` can be told to fail."""
    trt = ModuleType("tensorrt")
    engine = SimpleNamespace(create_execution_context=Context)
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda data: None if data == b"old" else engine)
    trt.__version__ = "10.3.0"  # type: ignore[attr-defined]
    trt.ILogger, trt.Runtime = Log, lambda log: runtime  # type: ignore[attr-defined]
    monkeypatch.setattr(Stream, "made", [], raising=False)
    monkeypatch.setattr(tensorrt, "CudaStream", Stream)
    monkeypatch.setattr(tensorrt, "_import", lambda: trt)
    monkeypatch.setattr(tensorrt, "start_cuda", lambda: None)
    monkeypatch.setattr(tensorrt, "device_used_mib", lambda: 0.0)
    monkeypatch.setattr(tensorrt, "find_gpu", lambda: SimpleNamespace(name="GPU", capability=(8, 7), driver=12060))
    return trt


def test_whatever_tensorrt_raises_at_its_start_is_an_error_of_the_backend(
    fake_tensorrt: ModuleType, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(log: Any) -> Any:
        raise TypeError("pybind11::init(): factory function returned nullptr")  # what it does without a working CUDA

    assert "TensorRT 10.3.0 on GPU" in tensorrt.TensorRtBackend().check(bundle)
    monkeypatch.setattr(fake_tensorrt, "Runtime", refuse)
    with pytest.raises(BackendError, match="does not start: pybind11"):
        tensorrt.TensorRtBackend().check(bundle)


def test_an_engine_that_does_not_load_is_built_again_once(
    fake_tensorrt: ModuleType, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = iter([b"old", b"new"])
    monkeypatch.setattr(tensorrt, "build_engine", lambda *args, **options: next(built))
    options = BackendOptions(1, SIZE, {"tensorrt.cache": str(tmp_path / "cache")})
    tensorrt.TensorRtBackend().open(bundle, Mode.DEPTH, options)
    tensorrt.TensorRtBackend().open(bundle, Mode.DEPTH, options)  # from the cache: nothing is left to build
    assert next(built, None) is None
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_engines_of_all_modes_are_built_before_the_first_image_even_when_one_mode_is_resident(
    fake_tensorrt: ModuleType, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "build_engine", lambda *args, **options: b"engine")
    settings = {"tensorrt.cache": str(tmp_path / "cache")}
    segmenter = Segmenter(bundle, "tensorrt", threads=1, preload=False, settings=settings)
    assert len(segmenter.resident_modes) == 1
    assert len(list((tmp_path / "cache").iterdir())) == len(bundle.modes)


def test_a_backend_that_has_to_build_first_does_not_take_over_while_images_wait(
    fake_tensorrt: ModuleType, bundle: Bundle
) -> None:
    segmenter = Segmenter(bundle, "onnxruntime", threads=1)
    assert "tensorrt" not in segmenter._candidates
    assert "openvino" in segmenter._candidates


def test_tensorrt_refuses_8_bit_bundles_with_the_remedy(fake_tensorrt: ModuleType, bundle: Bundle) -> None:
    manifest = dataclasses.replace(bundle.manifest, precision="int8")
    with pytest.raises(BackendError, match="fp16"):
        tensorrt.TensorRtBackend().check(dataclasses.replace(bundle, manifest=manifest))


def test_a_cuda_python_that_the_driver_is_too_old_for_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    status = type("Status", (int,), {"name": "cudaErrorInsufficientDriver"})(35)
    runtime = SimpleNamespace(cudaGetDeviceCount=lambda: (status, 0))
    monkeypatch.setattr(cuda_memory, "cuda_runtime", lambda: runtime)
    monkeypatch.setattr(cuda_memory, "find_gpu", lambda: SimpleNamespace(driver=12060))
    with pytest.raises(BackendError, match=r"InsufficientDriver\): the driver knows CUDA 12\.6"):
        cuda_memory.start_cuda()


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

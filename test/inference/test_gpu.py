"""On an NVIDIA GPU: every way of running a network there labels like ONNX Runtime on the CPU, and copies once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends import tensorrt_engine
from rgbd_seg_ros.inference.backends.base import BackendError
from rgbd_seg_ros.inference.backends.cuda_device import find_gpu
from rgbd_seg_ros.inference.backends.registry import make_backend
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter

pytestmark = pytest.mark.gpu

VARIANTS: list[tuple[str, dict[str, Any], float]] = [
    ("onnxruntime_cuda", {}, 0.999),
    ("onnxruntime_cuda", {"onnxruntime_cuda.cuda_graph": False}, 0.999),
    ("torch", {"torch.device": "cuda"}, 0.999),
    ("torch", {"torch.device": "cuda", "torch.cuda_graphs": True}, 0.999),
    ("torch", {"torch.device": "cuda", "torch.compile": True}, 0.999),
    ("torch", {"torch.device": "cuda", "torch.tf32": True}, 0.99),
    ("torch", {"torch.device": "cuda", "torch.half": True}, 0.99),
    ("torch", {"torch.device": "cuda", "torch.half": True, "torch.cuda_graphs": True}, 0.99),
    ("torch_cuda", {}, 0.999),
    ("tensorrt", {}, 0.999),
    ("tensorrt", {"tensorrt.cuda_graph": False}, 0.999),
    ("tensorrt", {"tensorrt.tf32": True}, 0.99),
]


@pytest.fixture(autouse=True, scope="session")
def gpu() -> None:
    """Skips before a bundle is exported for nothing."""
    try:
        find_gpu()
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def engines(tmp_path: Path) -> dict[str, Any]:
    """Settings that keep engines in a folder of the test."""
    return {"tensorrt.cache": str(tmp_path / "engines")}


def usable(name: str, bundle: Bundle) -> None:
    try:
        make_backend(name).check(bundle)
    except BackendError as error:
        pytest.skip(f"{name}: {error}")


def frames() -> Iterator[Any]:
    from rgbd_seg_training.export.frames import pattern_frames

    yield from pattern_frames(3, 100, 130, seed=5)


@pytest.mark.parametrize(("name", "settings", "floor"), VARIANTS)
def test_every_way_of_running_on_the_gpu_labels_like_onnxruntime_on_the_cpu(
    name: str, settings: dict[str, Any], floor: float, exported: Bundle, engines: dict[str, Any]
) -> None:
    usable(name, exported)
    reference = Segmenter(exported, "onnxruntime", threads=1)
    segmenter = Segmenter(exported, name, threads=1, settings={**engines, **settings})
    segmenter.warm_up()
    for frame in frames():
        for mode in exported.modes:
            expected = reference.segment(mode, frame.rgb, frame.depth, 1.0)
            result = segmenter.segment(mode, frame.rgb, frame.depth, 1.0)
            same = result.label == expected.label
            assert same.mean() > floor
            difference = np.abs(result.confidence.astype(int) - expected.confidence)[same]
            assert difference.max() <= (1 if floor == 0.999 else 12)
    assert segmenter.backend == name
    assert segmenter.failed_runs == 0
    segmenter.close()


def test_a_lower_precision_bundle_runs_in_the_precision_of_its_file(
    networks: dict[str, Any], tmp_path: Path, engines: dict[str, Any]
) -> None:
    from small_networks import LABELS, SIZE

    from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle

    options = ExportOptions(*SIZE, precision="fp16", patterns=1, min_agreement=0.9)
    half = export_bundle({"fusion": networks["fusion"]}, tmp_path / "half", LABELS, options)
    usable("tensorrt", half)
    reference = Segmenter(half, "onnxruntime", threads=1)
    segmenter = Segmenter(half, "tensorrt", threads=1, settings=engines)
    for frame in frames():
        expected = reference.segment(Mode.FUSION, frame.rgb, frame.depth, 1.0).label
        assert (segmenter.segment(Mode.FUSION, frame.rgb, frame.depth, 1.0).label == expected).mean() > 0.98
    segmenter.close()


def test_a_second_start_takes_the_engines_of_the_first(
    exported: Bundle, engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    usable("tensorrt", exported)
    Segmenter(exported, "tensorrt", threads=1, settings=engines).close()

    def no_build(*args: Any, **options: Any) -> bytes:
        raise AssertionError("an engine was built again")

    monkeypatch.setattr("rgbd_seg_ros.inference.backends.tensorrt.build_engine", no_build)
    Segmenter(exported, "tensorrt", threads=1, settings=engines).close()
    assert tensorrt_engine.default_cache() != Path(engines["tensorrt.cache"])
    assert len(list(Path(engines["tensorrt.cache"]).iterdir())) == len(exported.modes)


def test_tensorrt_copies_each_image_once_to_the_gpu_and_both_results_once_back(
    exported: Bundle, engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rgbd_seg_ros.inference.backends.cuda_memory import CudaStream

    usable("tensorrt", exported)
    segmenter = Segmenter(exported, "tensorrt", threads=1, settings=engines)
    copies: list[str] = []
    for name in ("upload", "download"):
        real = getattr(CudaStream, name)

        def counted(self: CudaStream, *args: Any, name: str = name, real: Any = real) -> None:
            copies.append(name)
            real(self, *args)

        monkeypatch.setattr(CudaStream, name, counted)
    frame = next(frames())
    for mode in exported.modes:
        copies.clear()
        segmenter.segment(mode, frame.rgb, frame.depth, 1.0)
        assert copies == ["upload"] * len(mode.sensors) + ["download"]
    segmenter.close()


@pytest.mark.parametrize("name", ["tensorrt", "torch", "torch_cuda", "onnxruntime_cuda"])
def test_a_result_on_the_gpu_stays_as_it_is_when_the_next_image_comes(
    name: str, exported: Bundle, engines: dict[str, Any]
) -> None:
    usable(name, exported)
    segmenter = Segmenter(exported, name, threads=1, settings=engines)
    first, second, _ = frames()
    kept = segmenter.segment(Mode.FUSION, first.rgb, first.depth, 1.0)
    label = kept.label.copy()
    assert (segmenter.segment(Mode.FUSION, second.rgb, second.depth, 1.0).label != label).any()
    np.testing.assert_array_equal(kept.label, label)
    segmenter.close()


def test_models_can_be_loaded_and_freed_over_and_over(exported: Bundle, engines: dict[str, Any]) -> None:
    usable("tensorrt", exported)
    frame = next(frames())
    segmenter = Segmenter(exported, "tensorrt", threads=1, preload=False, settings=engines)
    for _ in range(3):
        for mode in (Mode.FUSION, Mode.RGB, Mode.DEPTH):
            segmenter.segment(mode, frame.rgb, frame.depth, 1.0)
            assert segmenter.resident_modes == {mode}
    segmenter.close()

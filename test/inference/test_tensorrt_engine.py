"""The engine cache, and, with TensorRT for RTX (which builds without a GPU), that exported models parse and build."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from small_networks import LABELS, SIZE

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.inference.backends.base import BackendError
from rgbd_seg_ros.inference.backends.tensorrt_engine import (
    BuildTimeoutError,
    EngineCache,
    EngineKey,
    build_engine,
    engine_log,
)
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.testing import write_test_bundle

KEY = EngineKey("m" * 64, "NVIDIA Orin", (8, 7), "tensorrt 10.3.0", "fp32", {"rgb": (1, 8, 8, 3)})


class Builder:
    """Counts the builds and gives a different engine each time."""

    def __init__(self) -> None:
        self.builds = 0

    def __call__(self) -> bytes:
        self.builds += 1
        return b"engine %d" % self.builds


def test_an_engine_is_built_once_and_read_afterwards(tmp_path: Path) -> None:
    build = Builder()
    cache = EngineCache(tmp_path / "cache")
    assert [cache.engine(KEY, build) for _ in range(3)] == [b"engine 1"] * 3
    assert build.builds == 1


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n" * 64},
        {"gpu": "NVIDIA H200"},
        {"capability": (9, 0)},
        {"runtime": "tensorrt 11.4.0"},
        {"precision": "fp16"},
        {"shapes": {"rgb": (1, 16, 8, 3)}},
        {"recipe": KEY.recipe + 1},
    ],
)
def test_an_engine_is_built_again_when_any_part_of_its_key_differs(tmp_path: Path, change: dict[str, Any]) -> None:
    build = Builder()
    cache = EngineCache(tmp_path)
    cache.engine(KEY, build)
    assert cache.engine(dataclasses.replace(KEY, **change), build) == b"engine 2"
    assert cache.engine(KEY, build) == b"engine 1"


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + b"x" + b[41:]])
def test_a_damaged_engine_is_built_again(tmp_path: Path, damage: Any) -> None:
    build = Builder()
    cache = EngineCache(tmp_path)
    cache.engine(KEY, build)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert [cache.engine(KEY, build) for _ in range(2)] == [b"engine 2"] * 2


def test_an_engine_that_is_forgotten_is_built_again(tmp_path: Path) -> None:
    build, cache = Builder(), EngineCache(tmp_path)
    cache.forget(KEY)
    cache.engine(KEY, build)
    cache.forget(KEY)
    assert cache.engine(KEY, build) == b"engine 2"


def test_a_build_that_ran_out_of_time_is_not_tried_again_until_it_may_take_longer(tmp_path: Path) -> None:
    def too_slow() -> bytes:
        raise BuildTimeoutError("took more than 60 s")

    cache, build = EngineCache(tmp_path), Builder()
    with pytest.raises(BackendError, match="more than 60 s"):
        cache.engine(KEY, too_slow, 60.0)
    with pytest.raises(BackendError, match=r"before; raise tensorrt\.timeout_s, or remove .*given_up"):
        cache.engine(KEY, build, 60.0)
    assert build.builds == 0
    assert cache.engine(KEY, build, 120.0) == b"engine 1"
    assert [path.suffix for path in tmp_path.iterdir()] == [".engine"]


def test_a_failed_build_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise BackendError("out of memory")

    with pytest.raises(BackendError):
        EngineCache(tmp_path).engine(KEY, fail)
    assert not any(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_does_not_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache, build = EngineCache(tmp_path / "file" / "cache"), Builder()
    # It is asked for twice at a start: once to be prepared, once to be loaded.
    assert [cache.engine(KEY, build) for _ in range(2)] == [b"engine 1"] * 2
    assert build.builds == 1
    cache.forget(KEY)
    assert cache.engine(KEY, build) == b"engine 2"


def test_a_tensorrt_module_has_one_log_that_keeps_the_last_error(caplog: pytest.LogCaptureFixture) -> None:
    class Log:
        Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2)

    module = ModuleType("fake_tensorrt")
    module.ILogger = Log  # type: ignore[attr-defined]
    log = engine_log(module)
    assert engine_log(module) is log
    log.log(2, "slow layer")
    log.log(1, " no kernel for layer 7 ")
    assert log.last_error == "no kernel for layer 7"
    assert "no kernel for layer 7" in caplog.text
    assert "slow layer" not in caplog.text


# A mark, because pytest makes the exported bundle, which takes half a minute, before a fixture could skip the test.
needs_rtx = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx-cu13 is not installed")


@pytest.fixture(scope="module")
def rtx() -> Any:
    return import_module("tensorrt_rtx")


def shapes(bundle: Bundle, mode: Mode) -> dict[str, tuple[int, ...]]:
    size = (bundle.manifest.height, bundle.manifest.width)
    return {s.value: (1, *size, 3) if s.value == "rgb" else (1, *size) for s in mode.sensors}


@needs_rtx
@pytest.mark.parametrize("mode", [Mode.FUSION, Mode.RGB, Mode.DEPTH])
def test_exported_models_parse_and_build_in_the_tensorrt_family(rtx: Any, exported: Bundle, mode: Mode) -> None:
    engine = build_engine(rtx, exported.model_bytes(mode), shapes(exported, mode))
    assert len(engine) > 10_000


@needs_rtx
@pytest.mark.parametrize(
    "change", [{"precision": "fp16"}, {"upsampling": "fast"}, {"half_weights": True, "dynamic": True}]
)
def test_every_kind_of_export_parses_and_builds(
    rtx: Any, tiny: dict[str, Any], tmp_path: Path, change: dict[str, Any]
) -> None:
    from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle

    options = ExportOptions(*SIZE, patterns=1, min_agreement=0.5, **change)
    bundle = export_bundle({"depth": tiny["depth"]}, tmp_path / "bundle", LABELS, options)
    assert len(build_engine(rtx, bundle.model_bytes(Mode.DEPTH), shapes(bundle, Mode.DEPTH))) > 5_000


@needs_rtx
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_cmx_of_mix_transformers_parses_and_builds(rtx: Any, tmp_path: Path, precision: str) -> None:
    from rgbd_seg_ros.models import ModelSpec, build_model
    from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle

    network = build_model(ModelSpec("cmx", "mit_tiny", len(LABELS.classes), ("rgb", "depth"))).eval()
    options = ExportOptions(*SIZE, precision=precision, patterns=1, min_agreement=0.5)
    bundle = export_bundle({"fusion": network}, tmp_path / "bundle", LABELS, options)
    assert len(build_engine(rtx, bundle.model_bytes(Mode.FUSION), shapes(bundle, Mode.FUSION))) > 10_000


@needs_rtx
def test_what_tensorrt_cannot_parse_is_refused_with_its_reason(rtx: Any, tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path / "bundle", 8, 8, modes=[Mode.RGB])  # gathers from an uint8 image
    with pytest.raises(BackendError, match=r"cannot parse the model: .*Gather"):
        build_engine(rtx, bundle.model_bytes(Mode.RGB), shapes(bundle, Mode.RGB))


@needs_rtx
def test_a_build_stops_at_its_time_limit(rtx: Any, exported: Bundle) -> None:
    with pytest.raises(BackendError, match="more than 0 s"):
        build_engine(rtx, exported.model_bytes(Mode.RGB), shapes(exported, Mode.RGB), timeout_s=0.0)

"""Images in, labels out: sizes, types, missing readings, modes and what happens when a backend fails."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends import registry
from rgbd_seg_ros.inference.backends.base import Backend, BackendError, BackendOptions, Session
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import RECOVERED_AFTER, Segmenter
from rgbd_seg_ros.inference.testing import TEST_CONFIDENCE, write_test_bundle

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_test_bundle(tmp_path_factory.mktemp("segmenter") / "bundle", 24, 32)


@pytest.fixture(scope="module")
def segmenter(bundle: Bundle) -> Segmenter:
    return Segmenter(bundle, backend="onnxruntime", threads=1)


def quadrants(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left half bright, lower half near; the fused label of each pixel."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2] = 200
    depth = np.full((height, width), 3000, np.uint16)
    depth[height // 2 :] = 1000
    return rgb, depth, (rgb[:, :, 0] > 0) + 2 * (depth < 2000).astype(np.uint8)


@pytest.mark.parametrize("size", [(24, 32), (48, 64), (240, 320), (12, 16)])
def test_each_mode_labels_at_the_size_of_the_image(segmenter: Segmenter, size: tuple[int, int]) -> None:
    rgb, depth, expected = quadrants(*size)
    fused = segmenter.segment(Mode.FUSION, rgb, depth)
    np.testing.assert_array_equal(fused.label, expected)
    np.testing.assert_array_equal(segmenter.segment(Mode.RGB, rgb, None).label, expected & 1)
    np.testing.assert_array_equal(segmenter.segment(Mode.DEPTH, None, depth).label, expected & 2)
    for mode in TEST_CONFIDENCE:
        assert (segmenter.segment(mode, rgb, depth).confidence == TEST_CONFIDENCE[mode]).all()
    assert fused.label.dtype == np.uint8
    assert set(fused.stage_ms) == {"preprocess", "inference", "postprocess"}


def test_colour_and_depth_may_have_different_sizes(segmenter: Segmenter) -> None:
    rgb, _, expected = quadrants(48, 64)
    _, depth, _ = quadrants(240, 320)
    np.testing.assert_array_equal(segmenter.segment(Mode.FUSION, rgb, depth).label, expected)


def test_a_result_stays_as_it_is_when_the_next_image_comes(segmenter: Segmenter) -> None:
    rgb, depth, expected = quadrants(24, 32)
    first = segmenter.segment(Mode.FUSION, rgb, depth)
    segmenter.segment(Mode.FUSION, np.zeros_like(rgb), depth)
    np.testing.assert_array_equal(first.label, expected)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_reads_read_only_images_and_does_not_change_them(bundle: Bundle, backend: str) -> None:
    pytest.importorskip(backend)
    segmenter = Segmenter(bundle, backend, threads=1)
    rgb, depth, _ = quadrants(24, 32)
    metres = np.where(np.arange(32) % 2, depth / 1000.0, np.nan).astype(np.float32)
    copies = rgb.copy(), metres.copy()
    for image in (rgb, metres):
        image.setflags(write=False)
    label = segmenter.segment(Mode.FUSION, rgb, metres, 1.0).label
    np.testing.assert_array_equal(label, (rgb[:, :, 0] > 0) + 2 * (metres < 2).astype(np.uint8))
    np.testing.assert_array_equal(rgb, copies[0])
    np.testing.assert_array_equal(metres, copies[1])


def test_refuses_missing_images_wrong_types_and_unknown_modes(segmenter: Segmenter, tmp_path: Path) -> None:
    rgb, depth, _ = quadrants(24, 32)
    with pytest.raises(ValueError, match="needs a depth image"):
        segmenter.segment(Mode.FUSION, rgb, None)
    with pytest.raises(ValueError, match="uint8"):
        segmenter.segment(Mode.RGB, rgb.astype(np.float32), None)
    with pytest.raises(ValueError, match="uint16 or float32"):
        segmenter.segment(Mode.DEPTH, None, depth.astype(np.float64))
    only_rgb = Segmenter(write_test_bundle(tmp_path / "rgb", 24, 32, modes=[Mode.RGB]), "onnxruntime", 1)
    with pytest.raises(UserError, match="no model for mode 'depth'"):
        only_rgb.segment(Mode.DEPTH, None, depth)
    with pytest.raises(UserError, match="no model for mode 'none'"):
        only_rgb.segment(Mode.NONE, None, None)


def test_without_preload_every_mode_still_works_but_one_is_resident(bundle: Bundle) -> None:
    rgb, depth, expected = quadrants(24, 32)
    segmenter = Segmenter(bundle, "onnxruntime", 1, preload=False)
    segmenter.warm_up()
    for mode, bits in ((Mode.FUSION, 3), (Mode.DEPTH, 2), (Mode.RGB, 1), (Mode.FUSION, 3)):
        np.testing.assert_array_equal(segmenter.segment(mode, rgb, depth).label, expected & bits)
        assert segmenter.resident_modes == {mode}
    preloaded = Segmenter(bundle, "onnxruntime", 1)
    assert preloaded.resident_modes == bundle.modes


def test_an_unknown_backend_or_thread_count_is_the_users_mistake(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="no backend 'abacus'"):
        Segmenter(bundle, "abacus")
    with pytest.raises(UserError, match="threads"):
        Segmenter(bundle, threads=0)
    with pytest.raises(UserError, match="fixed size"):
        Segmenter(bundle, size=(48, 64))


class _Flaky(Backend):
    """A backend of the test: absent, refusing to load, or failing after some runs."""

    name = "flaky"
    fails_at = "run"
    good_runs: tuple[int, ...] = (2, 2)
    """Runs that go well after each time that a model is opened; the last number counts for all later ones."""
    opened = 0

    def check(self, bundle: Bundle) -> str:
        if self.fails_at == "check":
            raise BackendError("no device")
        return "flaky device"

    def open(self, bundle: Bundle, mode: Mode, options: BackendOptions) -> Session:
        if self.fails_at == "open":
            raise BackendError("model refused")
        cls = type(self)
        good_runs = cls.good_runs[min(cls.opened, len(cls.good_runs) - 1)]
        cls.opened += 1
        return _FlakySession(registry.make_backend("onnxruntime").open(bundle, mode, options), good_runs)


class _FlakySession(Session):
    def __init__(self, inner: Session, good_runs: int) -> None:
        self._inner, self._left = inner, good_runs

    def run(self, inputs: Mapping[str, Any]) -> Any:
        if self._left == 0:
            raise BackendError("device lost")
        self._left -= 1
        return self._inner.run(inputs)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> type[_Flaky]:
    cls = type("Flaky", (_Flaky,), {})
    monkeypatch.setitem(registry._CLASSES, "flaky", (__name__, "unused"))
    real = registry.make_backend
    monkeypatch.setattr(
        "rgbd_seg_ros.inference.segmenter.make_backend", lambda name: cls() if name == "flaky" else real(name)
    )
    monkeypatch.setattr("rgbd_seg_ros.inference.segmenter.AUTO_ORDER", ("flaky", "onnxruntime"))
    return cls


@pytest.mark.parametrize(("fails_at", "why"), [("check", "no device"), ("open", "model refused")])
def test_auto_takes_the_next_backend_and_says_why(flaky: type[_Flaky], bundle: Bundle, fails_at: str, why: str) -> None:
    flaky.fails_at = fails_at
    segmenter = Segmenter(bundle, threads=1)
    assert segmenter.backend == "onnxruntime"
    assert segmenter.diagnostics == [f"flaky: {why}"]
    assert why in segmenter.backend_reason
    with pytest.raises(UserError, match=why):
        Segmenter(bundle, "flaky", threads=1)


@pytest.mark.parametrize("named", ["auto", "flaky"])
def test_a_backend_that_fails_while_running_costs_no_image(flaky: type[_Flaky], bundle: Bundle, named: str) -> None:
    rgb, depth, expected = quadrants(24, 32)
    segmenter = Segmenter(bundle, named, threads=1)
    assert segmenter.backend == "flaky"
    for _ in range(6):
        np.testing.assert_array_equal(segmenter.segment(Mode.FUSION, rgb, depth).label, expected)
    assert segmenter.backend == "onnxruntime"
    assert segmenter.diagnostics == ["flaky: device lost (again, after mode fusion was loaded anew)"]
    assert segmenter.failed_runs == 2


def test_a_single_failure_is_repeated_on_the_same_backend_with_the_model_loaded_anew(
    flaky: type[_Flaky], bundle: Bundle
) -> None:
    flaky.good_runs = (2, 2, 2, 1000)
    rgb, depth, expected = quadrants(24, 32)
    segmenter = Segmenter(bundle, threads=1)
    for _ in range(10):
        np.testing.assert_array_equal(segmenter.segment(Mode.FUSION, rgb, depth).label, expected)
    assert segmenter.backend == "flaky"
    assert flaky.opened == len(bundle.modes) + 1
    assert segmenter.diagnostics == ["flaky: mode fusion failed (device lost) and was loaded again"]
    assert segmenter.failed_runs == 1


def test_another_failure_is_forgiven_only_after_a_long_good_run(flaky: type[_Flaky], bundle: Bundle) -> None:
    flaky.good_runs = (2, 2, 2, RECOVERED_AFTER + 1, 2)
    rgb, depth, _ = quadrants(24, 32)
    segmenter = Segmenter(bundle, threads=1)
    backends = []
    for _ in range(RECOVERED_AFTER + 10):
        segmenter.segment(Mode.FUSION, rgb, depth)
        backends.append(segmenter.backend)
    assert backends.index("onnxruntime") == 2 + RECOVERED_AFTER + 1 + 2
    assert segmenter.failed_runs == 3


def test_what_auto_passes_over_at_the_start_is_no_warning(
    flaky: type[_Flaky], bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    flaky.fails_at = "check"
    with caplog.at_level(logging.INFO):
        Segmenter(bundle, threads=1)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "backend flaky is not used: no device")
    ]


def test_the_last_backend_is_kept_for_the_next_image(
    flaky: type[_Flaky], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rgbd_seg_ros.inference.segmenter.AUTO_ORDER", ("flaky",))
    flaky.good_runs = (1, 1, 1, 0, 0, 3)
    rgb, depth, expected = quadrants(24, 32)
    segmenter = Segmenter(bundle, threads=1)
    segmenter.segment(Mode.FUSION, rgb, depth)
    for _ in range(2):
        with pytest.raises(BackendError, match="device lost"):
            segmenter.segment(Mode.FUSION, rgb, depth)
    np.testing.assert_array_equal(segmenter.segment(Mode.FUSION, rgb, depth).label, expected)


def test_when_nothing_is_left_every_call_says_so(
    flaky: type[_Flaky], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rgbd_seg_ros.inference.segmenter.AUTO_ORDER", ("flaky",))
    flaky.good_runs = (0,)
    rgb, depth, _ = quadrants(24, 32)
    segmenter = Segmenter(bundle, threads=1)
    for _ in range(2):
        with pytest.raises(BackendError, match="device lost"):
            segmenter.segment(Mode.FUSION, rgb, depth)

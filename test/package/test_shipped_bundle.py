"""The model bundle that the package ships is whole, small, and has a model for every mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.paths import default_bundle

MOST_BYTES = 25_000_000


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    try:
        folder = default_bundle()
    except UserError as error:
        pytest.skip(str(error))
    return load_bundle(folder)


def test_it_has_the_three_modes(bundle: Bundle) -> None:
    assert bundle.modes == {Mode.FUSION, Mode.RGB, Mode.DEPTH}


def test_it_is_under_25_megabytes(bundle: Bundle) -> None:
    files = [p for p in Path(bundle.folder).rglob("*") if p.is_file()]
    assert 0 < sum(p.stat().st_size for p in files) < MOST_BYTES


@pytest.mark.parametrize("mode", [Mode.FUSION, Mode.RGB, Mode.DEPTH])
def test_onnx_runtime_labels_a_frame_in_every_mode(bundle: Bundle, mode: Mode) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    depth = rng.integers(0, 6000, (480, 640), dtype=np.uint16)
    segmenter = Segmenter(bundle, backend="onnxruntime", threads=1, preload=False)
    try:
        result = segmenter.segment(
            mode, rgb if mode is not Mode.DEPTH else None, depth if mode is not Mode.RGB else None
        )
    finally:
        segmenter.close()
    assert result.label.shape == result.confidence.shape == (480, 640)
    assert result.label.max() < len(bundle.manifest.label_set.classes)

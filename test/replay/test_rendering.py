"""Rendered sequences are rendered once, have ground truth and are the same on every machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("embreex")

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.replay import rendering
from rgbd_seg_ros.replay.sequence import Sequence


def small(cache: Path, seed: int, heard: list[tuple[int, int]] | None = None) -> Sequence:
    note = None if heard is None else lambda done, total: heard.append((done, total))
    return rendering.rendered(cache, seed=seed, duration_s=0.1, size=(64, 48), workers=0, progress=note)


def test_a_rendered_sequence_has_colour_depth_and_truth(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    sequence = small(tmp_path, 1, heard)
    frames = list(sequence)
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert [f.sensor for f in frames] == [Sensor.RGB, Sensor.DEPTH] * 3
    assert sequence.label_set == LABEL_SETS["nyu13"]
    rgb, depth = frames[0], frames[1]
    assert (rgb.image.shape, rgb.image.dtype) == ((48, 64, 3), np.uint8)
    assert (depth.image.shape, depth.image.dtype) == ((48, 64), np.uint16)
    assert 300 < np.median(depth.image[depth.image > 0]) < 9000
    assert np.array_equal(rgb.label, depth.label)
    assert len(np.unique(rgb.label)) > 1
    assert not np.array_equal(frames[0].image, frames[2].image)


def test_the_second_time_it_comes_from_the_cache(tmp_path: Path) -> None:
    first = small(tmp_path, 1)
    heard: list[tuple[int, int]] = []
    second = small(tmp_path, 1, heard)
    assert heard == []
    assert first.folder == second.folder
    assert np.array_equal(small(tmp_path / "other", 1).frame(Sensor.RGB, 2).image, first.frame(Sensor.RGB, 2).image)


def test_another_seed_is_another_room(tmp_path: Path) -> None:
    assert small(tmp_path, 1).folder != small(tmp_path, 2).folder


def test_a_rendering_that_fails_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rendering.rendered(tmp_path, seed=1, duration_s=0.1, size=(64, 48), workers=0, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_outdoor_depth_is_not_cut_where_millimetres_end(tmp_path: Path) -> None:
    """An aerial camera looks down from 120 m: more than uint16 millimetres can say."""
    sequence = rendering.rendered(tmp_path, world="aerial", seed=1, duration_s=0.05, size=(64, 48), workers=0)
    depth = next(f.image for f in sequence if f.sensor is Sensor.DEPTH)
    assert depth.dtype == np.float32
    assert np.median(depth) > 90
    assert sequence.camera.fx > 64

"""Rendered samples: determinism, exact labels, sane statistics."""

from __future__ import annotations

from itertools import count, pairwise

import numpy as np
import pytest

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.scenes import WORLDS, Camera, Pose, build_scene, generate_samples, render_sample, render_sequence

SMALL = Camera.default(80, 60)
LABELS = {"indoor": "nyu13", "aerial": "potsdam6", "drone": "midair7"}


@pytest.mark.parametrize("world", list(WORLDS))
def test_a_sample_has_the_promised_types_and_ranges(world: str) -> None:
    frame = render_sample(world, 3, SMALL)
    assert frame.rgb.shape == (60, 80, 3) and frame.rgb.dtype == np.uint8
    assert frame.depth.shape == (60, 80) and frame.depth.dtype == np.float32
    assert frame.label.shape == (60, 80) and frame.label.dtype == np.uint8
    assert frame.surface is None
    assert np.isfinite(frame.depth).all() and (frame.depth >= 0).all()
    assert frame.label.max() < len(LABEL_SETS[LABELS[world]].classes)


@pytest.mark.parametrize("world", list(WORLDS))
def test_the_same_seed_gives_the_same_sample_and_another_seed_another(world: str) -> None:
    first, again, other = (render_sample(world, seed, SMALL) for seed in (11, 11, 12))
    for name in ("rgb", "depth", "label"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.camera == again.camera
    assert (first.rgb != other.rgb).mean() > 0.5


@pytest.mark.slow
def test_samples_do_not_depend_on_the_number_of_workers() -> None:
    tiny = Camera.default(40, 30)
    alone = list(generate_samples("indoor", range(9), tiny))
    endless = generate_samples("indoor", count(), tiny, workers=2)
    shared_out = [next(endless) for _ in range(9)]
    endless.close()  # a consumer may stop early
    assert len(alone) == len(shared_out) == 9
    for a, b in zip(alone, shared_out, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(a.label, b.label)


def test_every_indoor_class_occurs_and_none_drowns_the_rest() -> None:
    counts = np.zeros(13)
    holes = []
    for frame in generate_samples("indoor", range(50), Camera.default(40, 30)):
        counts += np.bincount(frame.label.ravel(), minlength=13)
        holes.append(float((frame.depth == 0).mean()))
    shares = counts / counts.sum()
    assert shares.min() > 0.004, dict(zip(LABEL_SETS["nyu13"].classes, shares.round(4), strict=True))
    assert shares.max() < 0.5
    assert 0.05 < np.mean(holes) < 0.4


@pytest.mark.parametrize(("world", "rarest"), [("aerial", 0.002), ("drone", 0.002)])
def test_every_outdoor_class_occurs(world: str, rarest: float) -> None:
    frames = generate_samples(world, range(9), Camera.default(32, 24))
    counts = sum(np.bincount(f.label.ravel(), minlength=len(LABEL_SETS[LABELS[world]].classes)) for f in frames)
    assert (counts / np.sum(counts)).min() > rarest


def test_indoor_depth_is_whole_millimetres_that_fit_a_uint16_image() -> None:
    depth = render_sample("indoor", 5, SMALL).depth * 1000.0
    np.testing.assert_allclose(depth, np.rint(depth), atol=2e-3)
    assert depth.max() < 65535


def test_zoom_range_is_kept_and_can_be_switched_off() -> None:
    assert render_sample("indoor", 4, SMALL, zoom=(1, 1)).camera == SMALL
    focal = [render_sample("indoor", s, Camera.default(16, 12), zoom=(0.6, 1.25)).camera.fx for s in range(8)]
    base = Camera.default(16, 12).fx
    assert all(0.6 * base <= f <= 1.25 * base for f in focal) and np.std(focal) > 0.02 * base


@pytest.mark.parametrize("world", list(WORLDS))
def test_depth_agrees_with_the_geometry_of_two_views(world: str) -> None:
    """A point seen from one pose, moved into a second camera, is no nearer than what that camera sees there."""
    scene = build_scene(world, 2)
    pose = scene.sample_pose(np.random.default_rng(0))
    shifted = Pose(pose.position + pose.rotation[:, 0] * np.float32(0.02), pose.rotation)
    camera = Camera.default(80, 60).zoomed(WORLDS[world].stream_zoom)
    first, second = scene.render(pose, camera), scene.render(shifted, camera)
    seen = first.depth.ravel() > 0
    world_points = pose.position + (camera.rays()[seen] * first.depth.ravel()[seen, None]) @ pose.rotation.T
    local = (world_points - shifted.position) @ shifted.rotation
    column = np.rint(local[:, 0] / local[:, 2] * camera.fx + camera.cx).astype(int)
    row = np.rint(local[:, 1] / local[:, 2] * camera.fy + camera.cy).astype(int)
    inside = (column >= 0) & (column < 80) & (row >= 0) & (row < 60)
    there = second.depth[row[inside], column[inside]]
    error = np.abs(there - local[inside, 2]) / local[inside, 2]
    assert np.median(error) < 0.02
    same = second.label[row[inside], column[inside]] == first.label.ravel()[seen][inside]
    assert same.mean() > 0.85


def test_a_sequence_moves_smoothly_and_is_reproducible() -> None:
    first = list(render_sequence("indoor", 1, 1.0, 8.0, Camera.default(40, 30)))
    again = list(render_sequence("indoor", 1, 1.0, 8.0, Camera.default(40, 30)))
    assert len(first) == 8
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.rgb, b.rgb)
        np.testing.assert_array_equal(a.depth, b.depth)
    changed = [(a.label != b.label).mean() for a, b in pairwise(first)]
    assert max(changed) < 0.5


@pytest.mark.parametrize(("world", "seed", "named"), [("moon", 0, "moon"), ("indoor", -1, "-1")])
def test_bad_requests_are_refused_with_the_remedy(world: str, seed: int, named: str) -> None:
    with pytest.raises(UserError, match=named):
        build_scene(world, seed)

"""Sensor models on hand-made views whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbd_seg_ros.scenes import Camera, ColorSensor, DepthSensor, RenderedFrame, Surface, build_scene

H, W = 48, 64
IDEAL = DepthSensor(0.0, 0.0, 0.1, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def view(depth: float | np.ndarray = 2.0, infrared: float = 0.8, cosine: float = 1.0) -> RenderedFrame:
    """A matt grey scene of given depth."""
    full = np.full((H, W), depth, np.float32) if np.isscalar(depth) else np.asarray(depth, np.float32)
    surface = Surface(
        np.full((H, W, 3), 0.3, np.float32),
        np.full((H, W), cosine, np.float32),
        np.full((H, W), infrared, np.float32),
        np.zeros((H, W), np.float32),
    )
    rgb = np.full((H, W, 3), 128, np.uint8)
    return RenderedFrame(rgb, full, np.zeros((H, W), np.uint8), Camera.default(W, H), surface)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_an_ideal_depth_sensor_changes_nothing() -> None:
    np.testing.assert_allclose(IDEAL.apply(view(2.345), rng()), 2.345, atol=5e-4)


@settings(deadline=None)
@given(st.floats(0.8, 6.0))
def test_range_noise_grows_with_the_square_of_the_range(depth: float) -> None:
    sensor = DepthSensor(0.002, 0.0, 0.1, 50.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    spread = float(sensor.apply(view(depth), rng()).std())
    assert 0.5 < spread / (0.002 * depth**2) < 2.0


def test_depth_comes_in_steps_that_widen_with_range() -> None:
    sensor = DepthSensor(0.0, 0.003, 0.1, 50.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def widest_step(at: float) -> float:
        ramp = np.linspace(at, at + 0.5, H * W).reshape(H, W)
        return float(np.diff(np.unique(sensor.apply(view(ramp), rng()))).max())

    assert widest_step(1.0) == pytest.approx(0.003 * 1.5**2, rel=0.6)
    assert widest_step(5.0) > 8 * widest_step(1.0)


def test_nothing_is_measured_outside_the_range_limits() -> None:
    sensor = DepthSensor(0.0, 0.0, 0.5, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert (sensor.apply(view(0.3), rng()) == 0).all()
    assert (sensor.apply(view(4.5), rng()) == 0).all()
    assert (sensor.apply(view(3.0), rng()) > 0).all()


def test_dark_and_grazing_surfaces_vanish() -> None:
    dark = DepthSensor(0.0, 0.0, 0.1, 20.0, 0.0, 0.0, dark=0.2, grazing=0.0, speckle=0.0)
    assert (dark.apply(view(3.0, infrared=0.02), rng()) == 0).all()
    assert (dark.apply(view(3.0, infrared=0.9), rng()) > 0).all()
    grazing = DepthSensor(0.0, 0.0, 0.1, 20.0, 0.0, 0.0, dark=0.0, grazing=0.2, speckle=0.0)
    assert (grazing.apply(view(3.0, cosine=0.05), rng()) == 0).all()
    assert (grazing.apply(view(3.0, cosine=0.9), rng()) > 0).all()


@pytest.mark.parametrize("baseline", [0.075, -0.075])
def test_a_near_object_throws_a_shadow_to_one_side_only(baseline: float) -> None:
    depth = np.full((H, W), 4.0)
    depth[:, 25:35] = 1.0
    sensor = DepthSensor(0.0, 0.0, 0.1, 20.0, baseline, 0.0, 0.0, 0.0, 0.0)
    lost = sensor.apply(view(depth), rng()) == 0
    # The shadow is as wide as the difference of the disparities: focal * baseline * (1/1 - 1/4).
    width = Camera.default(W, H).fx * abs(baseline) * 0.75
    right, left = lost[:, 35:].sum(axis=1), lost[:, :25].sum(axis=1)
    shadow, other = (right, left) if baseline > 0 else (left, right)
    assert (np.abs(shadow - width) <= 2).all() and (shadow > 0).all()
    assert (other == 0).all()
    assert not lost[:, 25:35].any()


def test_depth_edges_crumble_and_flat_surfaces_do_not() -> None:
    depth = np.full((H, W), 4.0)
    depth[:, : W // 2] = 1.5
    sensor = DepthSensor(0.0, 0.0, 0.1, 20.0, 0.0, 3.0, 0.0, 0.0, 0.0)
    lost = sensor.apply(view(depth), rng()) == 0
    assert lost[:, W // 2 - 1 : W // 2 + 1].mean() > 0.3
    assert not lost[:, : W // 2 - 6].any() and not lost[:, W // 2 + 6 :].any()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_depth_sensors_never_invent_data(seed: int) -> None:
    generator = rng(seed)
    hole = np.full((H, W), 2.0)
    hole[10:20, 10:20] = 0.0
    out = DepthSensor.random(generator).apply(view(hole), generator)
    assert (out[10:20, 10:20] == 0).all()
    assert np.isfinite(out).all() and (out >= 0).all() and out.dtype == np.float32
    assert (np.abs(out[out > 0] - 2.0) < 0.4).all()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_cameras_give_valid_images_and_repeat_by_seed(seed: int) -> None:
    first, second = (ColorSensor.random(rng(seed)).apply(view(), rng(seed)) for _ in range(2))
    assert first.shape == (H, W, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)


def test_exposure_brightens_and_balance_tints() -> None:
    plain = ColorSensor(vignetting=0, shot_noise=0, read_noise=0)
    dark = ColorSensor(exposure=0.5, vignetting=0, shot_noise=0, read_noise=0)
    warm = ColorSensor(balance=(1.3, 1.0, 0.7), vignetting=0, shot_noise=0, read_noise=0)
    grey = plain.apply(view(), rng())
    assert dark.apply(view(), rng()).mean() < grey.mean() - 20
    red, _, blue = warm.apply(view(), rng()).reshape(-1, 3).mean(axis=0)
    assert red > blue + 20


def test_vignetting_darkens_the_corners_only() -> None:
    image = ColorSensor(vignetting=0.5, shot_noise=0, read_noise=0, blur=0).apply(view(), rng()).astype(int)
    assert image[0, 0, 0] < image[H // 2, W // 2, 0] - 20


def test_sensors_refuse_a_view_that_was_sensed_already() -> None:
    ideal = view()
    sensed = ideal.sensed(ideal.rgb, ideal.depth)
    with pytest.raises(ValueError, match="ideal view"):
        IDEAL.apply(sensed, rng())
    with pytest.raises(ValueError, match="ideal view"):
        ColorSensor().apply(sensed, rng())


def test_windows_and_mirrors_return_too_little_infrared() -> None:
    """In a real room model the panes are what an active sensor loses first."""
    lost, kept = [], []
    sensor = DepthSensor(edge=0.0, baseline=0.0, speckle=0.0, dark=0.1, grazing=0.0, far=50.0, near=0.0)
    for seed in range(8):
        scene = build_scene("indoor", seed)
        frame = scene.render(scene.sample_pose(rng(seed)), Camera.default(80, 60))
        assert frame.surface is not None
        depth = sensor.apply(frame, rng())
        pane = frame.surface.infrared < 0.05
        lost.append((depth[pane] == 0).sum() / max(pane.sum(), 1) if pane.any() else np.nan)
        kept.append((depth[~pane] == 0).mean())
    assert np.nanmean(lost) > 0.6
    assert np.mean(kept) < 0.3

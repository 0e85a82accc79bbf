"""HHA against the reference vector and against geometry that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.hha import encode_hha, fill_holes, measure

CAMERA = (60.0, 60.0, 39.5, 29.5)


def room(pitch: float, height_m: float = 1.5, wall_m: float = 6.0) -> np.ndarray:
    """Depth of a camera `height_m` above a floor, pitched down by `pitch` degrees, before a wall."""
    fx, fy, cx, cy = CAMERA
    rows, columns = np.mgrid[:60, :80]
    u, v = (columns - cx) / fx, (rows - cy) / fy
    sine, cosine = np.sin(np.radians(pitch)), np.cos(np.radians(pitch))
    down, ahead = cosine * v + sine, cosine - sine * v
    to_floor = np.where(down > 1e-6, height_m / np.maximum(down, 1e-6), np.inf)
    return np.minimum(to_floor, np.where(ahead > 1e-6, wall_m / np.maximum(ahead, 1e-6), np.inf)) + 0 * u


@pytest.mark.shared
def test_agrees_with_the_reference_vector(shared: Path) -> None:
    reference = np.load(shared / "reference" / "primkd" / "hha_60x80.npz")
    matrix = reference["in.K"]
    camera = (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    valid = reference["in.raw_depth_m"] > 0
    parts = measure(reference["in.depth_m"], valid, camera)
    np.testing.assert_allclose(parts.gravity, reference["out.gravity"], atol=1e-6)
    np.testing.assert_allclose(parts.normals, reference["out.normals"].transpose(2, 0, 1), atol=1e-5)
    np.testing.assert_allclose(parts.height_cm, reference["out.height_cm"], atol=1e-3)
    hha = encode_hha(reference["in.depth_m"], camera, valid)
    np.testing.assert_array_equal(hha[..., ::-1], reference["out.hha_bgr_uint8"])


@settings(max_examples=15, deadline=None)
@given(st.floats(5, 25))
def test_finds_gravity_of_a_tilted_camera(pitch: float) -> None:
    depth = room(pitch)
    gravity = measure(depth, np.ones(depth.shape, bool), CAMERA, first_pixel=0).gravity
    wanted = np.array([0, np.cos(np.radians(pitch)), np.sin(np.radians(pitch))])
    assert np.degrees(np.arccos(np.clip(gravity @ wanted, -1, 1))) < 2.0


def test_keeps_its_direction_before_a_bare_wall() -> None:
    depth = np.full((60, 80), 2.0)
    gravity = measure(depth, np.ones(depth.shape, bool), CAMERA, first_pixel=0).gravity
    np.testing.assert_allclose(gravity, (0, 1, 0), atol=1e-6)


def test_floor_and_wall_have_the_angles_and_heights_they_should() -> None:
    depth = room(15.0)
    parts = measure(depth, np.ones(depth.shape, bool), CAMERA, first_pixel=0)
    floor, wall = (slice(45, 56), slice(10, 70)), (slice(4, 12), slice(10, 70))
    assert np.ptp(parts.height_cm[floor]) < 8.0 and parts.height_cm[wall].min() > 60.0
    # Gravity tilts a little, because windows across the corner of wall and floor give normals between the two.
    assert np.abs(parts.angle_deg[wall] - 90).max() < 3.0
    assert np.abs(parts.angle_deg[floor]).max() < 3.0


def test_holes_do_not_bend_the_normals_around_them() -> None:
    depth = room(10.0)
    valid = np.random.default_rng(0).random(depth.shape) > 0.35
    full = measure(depth, np.ones(depth.shape, bool), CAMERA, first_pixel=0).normals[:, 5:15, 10:70]
    sparse = measure(np.where(valid, depth, 0), valid, CAMERA, first_pixel=0).normals[:, 5:15, 10:70]
    assert np.abs(full - sparse).max() < 1e-4


def test_channels_are_disparity_height_and_angle() -> None:
    hha = encode_hha(np.full((60, 80), 2.0), CAMERA, first_pixel=0)
    assert (hha[..., 0] == 155).all()  # 31000 / 200 cm
    assert hha[0, 0, 1] > hha[-1, 0, 1]
    assert (encode_hha(np.full((60, 80), 0.4), CAMERA)[..., 0] == 255).all()  # 31000 / 100, clipped


def test_holes_take_the_nearest_distance() -> None:
    depth = np.array([[1.0, 0, 0, 0, 5.0]], np.float32)
    filled = fill_holes(depth)
    assert filled[0, 1] == 1.0 and filled[0, 3] == 5.0 and set(filled.ravel()) == {1.0, 5.0}
    np.testing.assert_array_equal(fill_holes(np.zeros((2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("shape", [(4, 5, 3), (20,)])
def test_refuses_what_is_no_depth_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="one depth image"):
        encode_hha(np.ones(shape), CAMERA)


def test_refuses_an_image_without_depth() -> None:
    with pytest.raises(UserError, match="no valid pixel"):
        encode_hha(np.zeros((6, 8)), CAMERA)

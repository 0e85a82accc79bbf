"""Primitives, materials and ray casting against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbd_seg_ros.scenes.camera import Camera, Pose
from rgbd_seg_ros.scenes.lighting import Light, Lighting
from rgbd_seg_ros.scenes.materials import Material, MaterialTable
from rgbd_seg_ros.scenes.parts import Assembly, build_mesh, tilted
from rgbd_seg_ros.scenes.patterns import MAKERS, pattern_bank, pattern_index
from rgbd_seg_ros.scenes.primitives import Shape, unit_meshes
from rgbd_seg_ros.scenes.raycast import RayCaster
from rgbd_seg_ros.scenes.render import Renderable, render_view, to_srgb

VOLUMES = {
    Shape.BOX: 8.0,
    Shape.CYLINDER: 2 * np.pi,
    Shape.SPHERE: 4 / 3 * np.pi,
    Shape.BLOB: 4 / 3 * np.pi,
    Shape.PRISM: 4.0,
    Shape.CONE: 2 * np.pi * (1 + 0.55 + 0.55**2) / 3,
}


def signed_volume(corners: np.ndarray, normals: np.ndarray) -> float:
    """Volume by the divergence theorem, faces oriented by the stored normals."""
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    outward = np.sign((cross * normals.mean(axis=1)).sum(axis=1, keepdims=True))
    return float((cross * outward * corners.mean(axis=1)).sum() / 3)


@pytest.mark.parametrize("shape", list(VOLUMES))
def test_solids_are_closed_and_have_the_right_volume(shape: Shape) -> None:
    mesh = unit_meshes()[shape]
    # Coarse facets of round solids lose up to a fifth of the volume, never gain.
    assert 0.78 * VOLUMES[shape] < signed_volume(mesh.corners, mesh.normals) <= VOLUMES[shape] * 1.0001


@pytest.mark.parametrize("shape", list(Shape))
def test_normals_are_unit_vectors_that_point_outwards(shape: Shape) -> None:
    mesh = unit_meshes()[shape]
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=-1), 1, atol=1e-4)
    assert np.abs(mesh.corners).max() <= 1.0001
    assert ((mesh.normals.mean(axis=1) * mesh.corners.mean(axis=1)).sum(axis=1) > -1e-4).all()


def grey_room(size: float = 2.0) -> Renderable:
    """One grey cube around the origin, lit from everywhere."""
    table = MaterialTable(np.random.default_rng(0))
    grey = table.add(Material((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    out = Assembly()
    out.add(Shape.BOX, (0, 0, 0), (size, size, size), 3, grey)
    mesh = build_mesh(out)
    lighting = Lighting((), (1, 1, 1), (1, 1, 1), occlusion_depth=0.0)
    return Renderable(RayCaster(mesh.corners), mesh, table.rows(), lighting)


@settings(deadline=None)
@given(st.floats(1.5, 20))
def test_depth_is_measured_along_the_optical_axis(distance: float) -> None:
    pose = Pose.looking((-distance, 0, 0), 0.0, 0.0)
    frame = render_view(grey_room(), pose, Camera.default(33, 25))
    hit = frame.label == 3
    # The front face is a plane at constant depth, although its corners are farther away along the ray.
    np.testing.assert_allclose(frame.depth[hit], distance - 1, rtol=1e-4)
    assert (frame.depth[~hit] == 0).all() and (frame.label[~hit] == 255).all()


def test_camera_rays_and_image_axes_follow_the_optical_frame() -> None:
    """x grows to the right, y downwards: a cube to the upper left appears in the upper left."""
    table = MaterialTable(np.random.default_rng(0))
    grey = table.add(Material((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    out = Assembly()
    # Looking along +x, left is +y and up is +z.
    out.add(Shape.BOX, (5, 1.2, 0.9), (0.4, 0.4, 0.4), 1, grey)
    mesh = build_mesh(out)
    world = Renderable(RayCaster(mesh.corners), mesh, table.rows(), Lighting((), (1, 1, 1), (1, 1, 1)))
    frame = render_view(world, Pose.looking((0, 0, 0), 0.0, 0.0), Camera.default(64, 48))
    rows, columns = np.nonzero(frame.label == 1)
    assert columns.max() < 32 and rows.max() < 24


def test_a_lamp_behind_a_wall_casts_a_shadow() -> None:
    table = MaterialTable(np.random.default_rng(0))
    grey = table.add(Material((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    out = Assembly()
    out.box((-5, -5, -0.1), (5, 5, 0), 0, grey)
    out.box((-1, -1, 1), (1, 1, 1.1), 1, grey)
    mesh = build_mesh(out)
    lighting = Lighting((Light((0, 0, 3), (5, 5, 5), 0.05),), (0.01, 0.01, 0.01), (0, 0, 0))
    world = Renderable(RayCaster(mesh.corners), mesh, table.rows(), lighting)
    frame = render_view(world, Pose.looking((-4, 0, 0.6), 0.0, -0.15), Camera.default(64, 48))
    surface = frame.surface
    assert surface is not None
    light = surface.radiance.mean(axis=2)
    points = frame.depth
    under = (frame.label == 0) & (points > 3.2) & (points < 4.8) & (np.abs(np.arange(64) - 32) < 8)[None]
    open_floor = (frame.label == 0) & (points < 2.0)
    assert light[under].mean() < 0.2 * light[open_floor].mean()


def test_placing_an_assembly_turns_and_moves_its_parts() -> None:
    part = Assembly()
    part.add(Shape.BOX, (1, 0, 0), (2, 0.2, 0.2), 0, 0)
    out = Assembly()
    out.place(part, 10, 20, 1, np.pi / 2)
    corners = build_mesh(out).corners.reshape(-1, 3)
    np.testing.assert_allclose(corners.min(axis=0), [9.9, 20, 0.9], atol=1e-5)
    np.testing.assert_allclose(corners.max(axis=0), [10.1, 22, 1.1], atol=1e-5)


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_tilts_are_rotations(x: float, y: float, z: float) -> None:
    turn = tilted(x, y, z)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)


def test_patterns_tile_without_a_seam_brighter_than_the_pattern_itself() -> None:
    bank = pattern_bank()
    side = bank.side
    for kind in ("noise", "wood", "marble", "weave", "shag", "cells"):
        image = bank.texels[: bank.starts[1]].reshape(-1, side, side)[pattern_index(kind, np.random.default_rng(1))]
        inner = np.abs(np.diff(image, axis=1)).mean()
        seam = np.abs(image[:, 0] - image[:, -1]).mean()
        assert seam < 3 * inner + 0.02, kind


def test_mip_levels_average_what_is_below_a_pixel() -> None:
    bank = pattern_bank()
    count = len(MAKERS) * 8
    level0 = bank.texels[: bank.starts[1]].reshape(count, -1).mean(axis=1)
    top = bank.texels[bank.starts[-1] :]
    np.testing.assert_allclose(top, level0, atol=1e-4)
    far = bank.look_up(np.arange(count), np.full(count, 0.3), np.full(count, 0.7), np.full(count, 50.0))
    np.testing.assert_allclose(far, level0, atol=1e-4)


def test_srgb_of_linear_light_matches_the_standard() -> None:
    np.testing.assert_array_equal(to_srgb(np.array([0.0, 0.2140, 1.0, 7.0], np.float32)), [0, 127, 255, 255])

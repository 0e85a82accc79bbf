"""Camera poses and walks: inside the room, not through furniture, smooth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rgbd_seg_ros.scenes import WORLDS, Camera, Pose, build_scene
from rgbd_seg_ros.scenes.indoor_views import IndoorPlanner

angles = st.floats(-3, 3)


@settings(deadline=None)
@given(angles, st.floats(-1.5, 1.5), angles)
def test_a_pose_is_a_rotation_that_looks_where_it_says(yaw: float, pitch: float, roll: float) -> None:
    pose = Pose.looking((0, 0, 0), yaw, pitch, roll)
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(pose.rotation) == pytest.approx(1, abs=1e-5)
    forward = [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)]
    np.testing.assert_allclose(pose.rotation[:, 2], forward, atol=1e-5)


def test_without_roll_the_image_stands_upright() -> None:
    pose = Pose.looking((0, 0, 0), 0.7, -0.3)
    assert pose.rotation[2, 1] < 0  # the camera's y axis (down) points down in the world
    assert pose.rotation[2, 0] == pytest.approx(0, abs=1e-6)  # and its x axis is level


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000))
@example(8890)  # began a centimetre from some object
def test_a_walk_stays_in_free_space_and_is_smooth(seed: int) -> None:
    scene = build_scene("indoor", seed)
    rate = 30.0
    walk = scene.trajectory(4.0, rate, seed)
    assert len(walk) == 120
    position = np.array([p.position for p in walk])
    planner = scene.planner
    assert isinstance(planner, IndoorPlanner)
    assert ((position[:, :2] > 0) & (position[:, :2] < (planner.plan.width, planner.plan.depth))).all()
    assert (position[:, 2] < planner.height).all()
    speed = np.linalg.norm(np.diff(position, axis=0), axis=1) * rate
    assert speed.max() < 0.8
    forward = np.array([p.rotation[:, 2] for p in walk])
    turn = np.arccos(np.clip((forward[1:] * forward[:-1]).sum(axis=1), -1, 1)) * rate
    assert np.degrees(turn.max()) < 60
    # Nothing may come through the camera.
    tiny = Camera.default(12, 9)
    assert min(float(scene.render(p, tiny).depth.min()) for p in walk[::30]) > 0.05


@pytest.mark.parametrize("world", ["aerial", "drone"])
def test_flights_are_smooth_and_stay_above_ground(world: str) -> None:
    scene = build_scene(world, 4)
    flight = scene.trajectory(6.0, 10.0, 1)
    position = np.array([p.position for p in flight])
    speed = np.linalg.norm(np.diff(position, axis=0), axis=1) * 10
    assert speed.max() < 15
    camera = Camera.default(16, 12).zoomed(WORLDS[world].stream_zoom)
    for pose in flight[::15]:
        depth = scene.render(pose, camera).depth
        assert depth[depth > 0].min() > 0.5


def test_random_poses_see_something_at_a_useful_distance() -> None:
    medians = []
    for seed in range(12):
        scene = build_scene("indoor", seed)
        pose = scene.sample_pose(np.random.default_rng(seed))
        medians.append(float(np.median(scene.render(pose, Camera.default(32, 24)).depth)))
    assert min(medians) > 0.6
    assert 1.2 < np.median(medians) < 4.5

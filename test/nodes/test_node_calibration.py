"""Calibration: pinhole parameters from camera_info, and the camera_info of label images."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sensor_msgs.msg import CameraInfo

from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.nodes.calibration import camera_info_for, camera_info_message, intrinsics_of


def test_intrinsics_follow_the_image_size() -> None:
    camera = Intrinsics(640, 480, 500.0, 510.0, 319.5, 239.5)
    assert intrinsics_of(camera_info_message(camera, 0, "")) == camera
    half = camera.resized(320, 240)
    assert (half.fx, half.fy, half.cx, half.cy) == (250.0, 255.0, 159.5, 119.5)


def test_an_uncalibrated_camera_has_no_intrinsics() -> None:
    assert intrinsics_of(CameraInfo(width=640, height=480)) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda info: info.p.__setitem__(0, float("nan")),
        lambda info: info.p.__setitem__(5, float("inf")),
        lambda info: info.p.__setitem__(2, float("-inf")),
        lambda info: info.p.__setitem__(0, -500.0),
        lambda info: info.p.__setitem__(5, 0.0),
        lambda info: setattr(info, "width", 0),
    ],
)
def test_a_calibration_that_no_camera_can_have_is_refused(spoil: Callable[[CameraInfo], None]) -> None:
    info = camera_info_message(Intrinsics(640, 480, 500.0, 500.0, 319.5, 239.5), 0, "")
    spoil(info)
    with pytest.raises(ValueError, match=r"focal length|image size"):
        intrinsics_of(info)


def test_the_calibration_of_a_label_image_has_its_size_stamp_and_frame_and_sees_the_same_rays() -> None:
    camera = camera_info_message(Intrinsics(640, 480, 500.0, 510.0, 319.5, 241.5), 1, "rgb")
    camera.d = [0.1, -0.2, 0.0, 0.0, 0.05]
    half = camera_info_for(camera, (240, 320), 7_000_000_005, "depth")
    assert (half.width, half.height, half.header.frame_id) == (320, 240, "depth")
    assert (half.header.stamp.sec, half.header.stamp.nanosec) == (7, 5)
    assert intrinsics_of(half) == intrinsics_of(camera).resized(320, 240)  # type: ignore[union-attr]
    assert (half.k[0], half.k[2], half.k[4], half.k[5]) == (half.p[0], half.p[2], half.p[5], half.p[6])
    assert list(half.d) == list(camera.d)
    same = camera_info_for(camera, (480, 640), 1, "rgb")
    assert (list(same.k), list(same.p)) == (list(camera.k), list(camera.p))
    blank = camera_info_for(CameraInfo(width=640, height=480), (240, 320), 1, "rgb")
    assert not any(blank.k)

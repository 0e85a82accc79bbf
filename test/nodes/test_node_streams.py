"""The node over real DDS: what it does while sensors fail and come back."""

from __future__ import annotations

import time
from itertools import count

import numpy as np
import pytest
from node_harness import HEIGHT, NODE, WIDTH, Station, expected_label, rows
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.inference.testing import TEST_CONFIDENCE
from rgbd_seg_ros.nodes.messages import byte_array, ns_from_stamp, stamp_from_ns

pytestmark = pytest.mark.ros
RGB, DEPTH = Sensor.RGB, Sensor.DEPTH


def test_labels_every_pair_by_fusion_once_both_streams_are_well(station: Station) -> None:
    sent = station.play(20)
    station.assert_labelled(sent)
    station.assert_settled("fusion")
    station.wait("label images", lambda: len(station.labels) == len(station.modes()) == len(station.confidences))
    last = station.labels[-1]
    assert (last.encoding, last.height, last.width, last.step) == ("mono8", HEIGHT, WIDTH, WIDTH)
    assert (ns_from_stamp(last.header.stamp), last.header.frame_id) == (sent[-1][1], "optical")
    np.testing.assert_array_equal(rows(last), expected_label())
    assert (rows(station.confidences[-1]) == TEST_CONFIDENCE[Mode.FUSION]).all()
    assert station.confidences[-1].header == last.header
    assert station.statuses[-1].header.stamp == last.header.stamp


def test_every_output_tells_its_mode_states_ages_and_stage_times(station: Station) -> None:
    station.play(20)
    well = [v for v in station.values() if (v["mode"], v["rgb_state"], v["depth_state"]) == ("fusion", "ok", "ok")]
    assert len(well) >= 3
    values = well[-1]
    stages = ("wait", "queue", "preprocess", "inference", "postprocess", "publish", "latency")
    assert all(float(values[f"{stage}_ms"]) >= 0 for stage in stages)
    assert float(values["latency_ms"]) > float(values["inference_ms"]) > 0
    last = station.outputs()[-1]
    assert (last["received_rgb"], last["received_depth"], last["dropped"]) == ("20", "20", "0")
    assert station.values()[0]["publish_ms"] == "n/a"


@pytest.mark.parametrize(("lost", "kept"), [(DEPTH, RGB), (RGB, DEPTH)])
def test_keeps_labelling_when_one_stream_stops_and_fuses_again_when_it_returns(
    station: Station, lost: Sensor, kept: Sensor
) -> None:
    station.play(15)
    station.forget()
    alone = station.play(15, [kept])
    station.assert_labelled(alone)
    assert station.modes() == [kept.value] * 15
    station.wait("label images", lambda: len(station.labels) == 15)
    np.testing.assert_array_equal(rows(station.labels[-1]), expected_label(rgb=kept is RGB, depth=kept is DEPTH))
    status = station.wait_diagnostic(lost.value, "stale")
    assert status.level == b"\x02"
    station.forget()
    both = station.play(20)
    station.assert_labelled(both)
    station.assert_settled("fusion")


def test_says_so_when_both_streams_stop_and_labels_again_when_they_return(station: Station) -> None:
    station.play(15)
    status = station.wait_diagnostic("node", "mode none")
    assert status.level == b"\x02"
    station.wait("a status without a label", lambda: station.values()[-1]["mode"] == "none")
    station.forget()
    sent = station.play(20)
    station.assert_labelled(sent)
    station.assert_settled("fusion")


def test_leaves_a_frozen_depth_stream_out(station: Station) -> None:
    station.play(15)
    station.forget()
    frozen: list[Image] = []

    def freeze(message: Image, sensor: Sensor, number: int) -> Image:
        if sensor is DEPTH:
            frozen.append(message)
            message.data = frozen[0].data
        return message

    sent = station.play(20, change=freeze)
    station.assert_labelled(s for s in sent if s[0] is RGB)
    station.assert_settled("rgb")
    assert "frozen" in {v["depth_state"] for v in station.values()}


@pytest.mark.parametrize("seconds", [-100, 100])
def test_recovers_within_a_second_from_a_jump_of_all_stamps(station: Station, seconds: int) -> None:
    station.play(15)
    station.forget()

    def jump(message: Image, sensor: Sensor, number: int) -> Image:
        message.header.stamp = stamp_from_ns(ns_from_stamp(message.header.stamp) + seconds * 10**9)
        return message

    sent = station.play(55, change=jump)
    station.assert_labelled(sent[60:])
    station.assert_settled("fusion")


def spoilt(message: Image, how: str) -> Image:
    """The message with one thing wrong."""
    if how == "wrong encoding":
        message.encoding = "32FC1" if message.encoding == "rgb8" else "rgb8"
    elif how == "truncated":
        message.data = message.data[: len(message.data) // 2]
    elif how == "empty":
        message.data = byte_array(np.empty(0, np.uint8))
    elif how == "no size":
        message.height = 0
    return message


@pytest.mark.parametrize("how", ["wrong encoding", "truncated", "empty", "no size"])
def test_labels_by_the_other_stream_while_messages_are_unreadable(station: Station, how: str) -> None:
    station.play(15)
    station.forget()
    sent = station.play(10, change=lambda m, s, i: spoilt(m, how) if s is RGB else m)
    station.assert_labelled(s for s in sent if s[0] is DEPTH)
    assert {(s, why) for s, _, why in station.drops()} == {(RGB, "invalid")}
    station.assert_settled("depth")
    assert "invalid" in {v["rgb_state"] for v in station.outputs()[-5:]}


def test_a_blank_picture_is_no_picture(station: Station) -> None:
    station.play(15)
    station.forget()

    def darken(message: Image, sensor: Sensor, number: int) -> Image:
        if sensor is RGB:
            message.data = byte_array(np.zeros(len(message.data), np.uint8))
        return message

    station.play(10, change=darken)
    station.assert_settled("depth")
    assert "blank" in {v["rgb_state"] for v in station.outputs()[-5:]}


def test_a_stream_that_comes_and_goes_leaves_no_frame_of_the_other_unlabelled(station: Station) -> None:
    station.play(15)
    station.forget()
    flap = count()

    def flapping(message: Image, sensor: Sensor, number: int) -> Image | None:
        return None if sensor is DEPTH and next(flap) // 5 % 2 else message

    sent = station.play(45, change=flapping)
    station.assert_labelled(s for s in sent if s[0] is RGB)


def test_a_reader_of_the_overlay_gets_class_colors_over_the_picture(station: Station) -> None:
    station.play(10)
    overlay = station.listen_once(Image, "overlay", 10)[-1]
    assert (overlay.encoding, overlay.height, overlay.width) == ("rgb8", HEIGHT, WIDTH)
    assert ns_from_stamp(overlay.header.stamp) in {stamp for _, stamp in station.sent}


def test_labeled_points_share_stamp_and_shape_with_the_label_image(station: Station) -> None:
    station.play(10)
    cloud = station.listen_once(PointCloud2, "labeled_points", 15)[-1]
    assert (cloud.height, cloud.width) == (HEIGHT, WIDTH)
    assert [f.name for f in cloud.fields] == ["x", "y", "z", "rgb", "label", "confidence"]
    label = next(m for m in reversed(station.labels) if m.header == cloud.header)
    points = np.frombuffer(cloud.data, np.uint8).reshape(HEIGHT, WIDTH, cloud.point_step)
    np.testing.assert_array_equal(points[..., 16], rows(label))


def test_the_calibration_beside_the_labels_has_their_header_and_size(station: Station) -> None:
    station.play(10)
    camera = station.listen_once(CameraInfo, "camera_info", 10)[-1]
    label = next(m for m in reversed(station.labels) if m.header == camera.header)
    assert (camera.height, camera.width) == (label.height, label.width)
    assert camera.k[0] > 0


def test_nothing_is_painted_while_nobody_looks(station: Station) -> None:
    station.play(10)
    for topic in ("overlay", "labeled_points"):
        assert station.node.count_publishers(f"{NODE}/{topic}") == 1
    station.forget()
    quiet = station.play(10)
    station.assert_labelled(quiet)


def test_diagnostics_come_once_a_second_with_one_status_for_each_input(station: Station) -> None:
    station.play(10)
    station.diagnostics.clear()
    begin = time.monotonic()
    station.wait("three diagnostics", lambda: len(station.diagnostics) >= 3)
    assert time.monotonic() - begin > 1.0
    names = [s.name for s in station.diagnostics[-1].status]
    assert names == [f"{NODE}: node", f"{NODE}: rgb", f"{NODE}: depth"]

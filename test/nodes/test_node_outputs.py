"""What goes out, piece by piece: headers, clouds, overlays, statuses, and the thread hand-over."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgbd_seg_ros.core.frames import UNLABELLED, Frame, Mode, Sensor
from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.core.records import Drop, DropReason, ModeSwitch, SensorReport, SensorState, StreamSnapshot, WorkOrder
from rgbd_seg_ros.nodes.clouds import CloudBuilder, stamped
from rgbd_seg_ros.nodes.diagnostics import InputFacts, NodeReport, input_status, node_status
from rgbd_seg_ros.nodes.intake import STORED_MESSAGES, Inbox, Intake, Rejection
from rgbd_seg_ros.nodes.messages import frame_from_message, image_message
from rgbd_seg_ros.nodes.outputs import header_frame
from rgbd_seg_ros.nodes.pictures import base_image, overlay, palette
from rgbd_seg_ros.nodes.qos import sensor_input
from rgbd_seg_ros.nodes.status import OutputStatus, OutputTimes
from rgbd_seg_ros.nodes.worker import WorkerReport

OK = SensorReport(SensorState.OK, "", 2_000_000, 30.0, 30.0, 7)
SNAPSHOT = StreamSnapshot(Mode.FUSION, "both sensors are well", dict.fromkeys(Sensor, OK))


def frame(sensor: Sensor, stamp_ns: int, image: np.ndarray | None = None, scale: float = 0.001) -> Frame:
    if image is None:
        image = np.zeros((4, 6, 3) if sensor is Sensor.RGB else (4, 6), np.uint8 if sensor is Sensor.RGB else np.uint16)
    return Frame(sensor, stamp_ns, stamp_ns, image, f"{sensor.value}_optical", scale)


def order(mode: Mode, rgb: int | None, depth: int | None) -> WorkOrder:
    frames = [None if t is None else frame(s, t) for s, t in ((Sensor.RGB, rgb), (Sensor.DEPTH, depth))]
    return WorkOrder(mode, *frames, "", 0, 0)


@pytest.mark.parametrize(
    ("given_order", "source", "sensor"),
    [
        (order(Mode.FUSION, 10, 12), "rgb", Sensor.RGB),
        (order(Mode.FUSION, 10, 12), "depth", Sensor.DEPTH),
        (order(Mode.FUSION, 10, 12), "later", Sensor.DEPTH),
        (order(Mode.FUSION, 13, 12), "later", Sensor.RGB),
        (order(Mode.RGB, 10, None), "depth", Sensor.RGB),
        (order(Mode.DEPTH, None, 10), "rgb", Sensor.DEPTH),
        (order(Mode.DEPTH, 10, 12), "rgb", Sensor.DEPTH),
    ],
)
def test_a_label_image_carries_the_header_of_the_frame_it_labels(given_order, source: str, sensor: Sensor) -> None:
    assert header_frame(given_order, source).sensor is sensor


def cloud_fields(cloud) -> np.ndarray:
    formats = {7: "<f4", 2: "u1"}
    dtype = np.dtype(
        {
            "names": [f.name for f in cloud.fields],
            "formats": [formats[f.datatype] for f in cloud.fields],
            "offsets": [f.offset for f in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    return np.frombuffer(cloud.data, dtype).reshape(cloud.height, cloud.width)


@given(
    width=st.integers(1, 12), height=st.integers(1, 12), scale=st.sampled_from([1, 2]),
    kind=st.sampled_from([np.uint16, np.float32]),
)  # fmt: skip
def test_points_project_back_onto_their_pixels(width: int, height: int, scale: int, kind: type) -> None:
    rng = np.random.default_rng(width * 100 + height)
    shape = (height * scale, width * scale)
    metres = np.repeat(np.repeat(rng.uniform(0.5, 8.0, (height, width)), scale, 0), scale, 1)
    image = np.round(metres * 1000).astype(np.uint16) if kind is np.uint16 else metres.astype(np.float32)
    camera = Intrinsics(width * 3, height * 3, 30.0, 33.0, width * 1.5, height * 1.4)
    label = rng.integers(0, 5, (height, width), dtype=np.uint8)
    confidence = rng.integers(0, 256, (height, width), dtype=np.uint8)
    colors = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    depth = Frame(Sensor.DEPTH, 0, 0, image, "", 0.001 if kind is np.uint16 else 1.0)
    assert depth.size == shape
    points = cloud_fields(CloudBuilder().build(depth, camera, colors, label, confidence))
    np.testing.assert_allclose(points["z"], metres[::scale, ::scale], rtol=1e-3)
    local = camera.resized(width, height)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    np.testing.assert_allclose(points["x"] / points["z"] * local.fx + local.cx, columns, atol=1e-3)
    np.testing.assert_allclose(points["y"] / points["z"] * local.fy + local.cy, rows, atol=1e-3)
    np.testing.assert_array_equal(points["label"], label)
    np.testing.assert_array_equal(points["confidence"], confidence)
    packed = np.ascontiguousarray(points["rgb"]).view(np.uint32)
    np.testing.assert_array_equal(np.stack([packed >> 16, packed >> 8 & 255, packed & 255], -1), colors)


@pytest.mark.parametrize(
    "image",
    [
        np.array([[0, 65535, 1500]], np.uint16),
        np.array([[0.0, np.inf, 1500.0]], np.float32),
        np.array([[np.nan, -3.0, 1500.0]], np.float32),
    ],
)
def test_pixels_without_depth_become_nan_points(image: np.ndarray) -> None:
    depth = Frame(Sensor.DEPTH, 0, 0, image, "", 0.001)
    blank = np.zeros((1, 3), np.uint8)
    colors = np.zeros((1, 3, 3), np.uint8)
    cloud = CloudBuilder().build(depth, Intrinsics(3, 1, 1.0, 1.0, 1.0, 0.0), colors, blank, blank)
    points = cloud_fields(stamped(cloud, 5, "optical"))
    np.testing.assert_array_equal(np.isnan(points["z"]), [[True, True, False]])
    np.testing.assert_array_equal(np.isnan(points["x"]), [[True, True, False]])
    assert (cloud.header.stamp.nanosec, cloud.header.frame_id, cloud.is_dense) == (5, "optical", False)


def test_sensor_msgs_py_reads_the_cloud_field_by_field() -> None:
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2", reason="sensor_msgs_py comes with apt ROS alone")
    metres = np.array([[1.0, 2.0, np.nan], [0.5, 3.0, 4.0]], np.float32)
    depth = Frame(Sensor.DEPTH, 0, 0, metres, "", 1.0)
    label = np.arange(6, dtype=np.uint8).reshape(2, 3)
    colors = np.full((2, 3, 3), (1, 2, 3), np.uint8)
    cloud = CloudBuilder().build(depth, Intrinsics(3, 2, 2.0, 2.0, 1.0, 0.5), colors, label, label + 10)
    points = point_cloud2.read_points(cloud, reshape_organized_cloud=True)
    assert points.dtype.names == ("x", "y", "z", "rgb", "label", "confidence")
    np.testing.assert_array_equal(points["z"].reshape(2, 3), metres)
    np.testing.assert_array_equal(points["label"].reshape(2, 3), label)
    np.testing.assert_array_equal(points["confidence"].reshape(2, 3), label + 10)
    assert set(points["rgb"].ravel().view(np.uint32)) == {0x010203}
    assert len(point_cloud2.read_points_list(cloud, ["x", "y", "z"], skip_nans=True)) == 5


def test_a_cloud_builder_follows_a_change_of_size() -> None:
    builder = CloudBuilder()
    for height, width in ((3, 5), (2, 4)):
        plane = np.zeros((height, width), np.uint8)
        depth = Frame(Sensor.DEPTH, 0, 0, np.full((height, width), 900, np.uint16), "", 0.001)
        camera = Intrinsics(width, height, 5.0, 5.0, 1.0, 1.0)
        cloud = builder.build(depth, camera, np.zeros((height, width, 3), np.uint8), plane, plane)
        assert cloud_fields(cloud).shape == (height, width)


def test_an_overlay_mixes_class_colors_and_picture_by_its_opacity() -> None:
    colors = palette(LABEL_SETS["nyu13"])
    label = np.array([[0, 4, UNLABELLED]], np.uint8)
    base = np.full((1, 3, 3), 100, np.uint8)
    np.testing.assert_array_equal(overlay(base, label, colors, 0.0), base)
    np.testing.assert_array_equal(overlay(base, label, colors, 1.0)[0], colors[[0, 4, 255]])
    assert (colors[UNLABELLED] == 0).all()


def test_depth_is_painted_brighter_the_nearer_it_is_and_black_where_missing() -> None:
    image = np.array([[500, 1000, 4000, 0]], np.uint16)
    shades = base_image(Frame(Sensor.DEPTH, 0, 0, image, "", 0.001))[0, :, 0].tolist()
    assert shades == sorted(shades, reverse=True)
    assert shades[-1] == 0
    broken = np.array([[np.nan, np.inf, -1.0]], np.float32)
    assert not base_image(Frame(Sensor.DEPTH, 0, 0, broken, "", 1.0)).any()


def status(**changes) -> dict[str, str]:
    facts = {
        "mode": Mode.FUSION, "reason": "well", "stamps_ns": {Sensor.RGB: 11, Sensor.DEPTH: 12}, "label_stamp_ns": 11,
        "snapshot": SNAPSHOT, "times": OutputTimes(), "dropped": 0, "drops": [], "switches": [],
    }  # fmt: skip
    return OutputStatus(**(facts | changes)).values()


def test_times_that_are_not_known_yet_are_not_zero() -> None:
    assert {status()[f"{name}_ms"] for name in ("wait", "queue", "inference", "latency", "publish")} == {"n/a"}
    assert status(times=OutputTimes(latency=1.25))["latency_ms"] == "1.250"


def test_drops_and_switches_travel_as_json() -> None:
    values = status(
        drops=[Drop(Sensor.DEPTH, 5, DropReason.BLANK), Drop(Sensor.RGB, None, DropReason.INVALID)],
        switches=[ModeSwitch(9, Mode.FUSION, Mode.RGB, 'depth "stale"')],
    )
    assert json.loads(values["drops"]) == [["depth", 5, "blank"], ["rgb", None, "invalid"]]
    assert json.loads(values["switches"]) == [[9, "fusion", "rgb", 'depth "stale"']]


def test_the_level_of_a_status_follows_its_mode() -> None:
    def level(mode: Mode) -> bytes:
        return OutputStatus(mode, "", {}, 0, SNAPSHOT, OutputTimes(), 0, [], []).message().status[0].level

    assert [level(m) for m in (Mode.FUSION, Mode.RGB, Mode.DEPTH, Mode.NONE)] == [b"\x00", b"\x01", b"\x01", b"\x02"]


@pytest.mark.parametrize(
    ("facts", "state", "says", "level"),
    [
        (InputFacts("/d", 1), SensorState.OK, "ok", b"\x00"),
        (InputFacts("/d", 1), SensorState.SLOW, "slow: why", b"\x01"),
        (InputFacts("/d", 1), SensorState.STALE, "stale: why", b"\x02"),
        (InputFacts("/d", 0), SensorState.STALE, "nobody publishes /d", b"\x02"),
        (InputFacts("/d", 1, "RELIABILITY"), SensorState.WAITING, "incompatible QoS (RELIABILITY)", b"\x02"),
        (InputFacts("/d", 1, "RELIABILITY"), SensorState.FROZEN, "frozen: why", b"\x02"),
    ],
)
def test_diagnostics_name_the_most_specific_cause(
    facts: InputFacts, state: SensorState, says: str, level: bytes
) -> None:
    health = SensorReport(state, "" if state is SensorState.OK else "why", None, None, None, 0)
    message = input_status("node", Sensor.DEPTH, facts, health)
    assert says in message.message
    assert message.level == level


def test_a_failure_is_told_before_anything_else() -> None:
    message = node_status("node", NodeReport("unconfigured", "the bundle is damaged"), 0)
    assert (message.level, message.message) == (b"\x02", "the bundle is damaged")


def test_a_worker_that_does_not_come_back_is_told() -> None:
    report = NodeReport("active", worker=WorkerReport(at_ns=0, snapshot=SNAPSHOT))
    assert node_status("node", report, 10**9).level == b"\x00"
    hung = node_status("node", report, 7 * 10**9)
    assert (hung.level, hung.message) == (b"\x02", "one inference or reload has taken 7 s so far")


def test_the_oldest_frame_gives_way_and_is_counted_when_the_worker_is_busy() -> None:
    inbox = Inbox(limit=2)
    for stamp in (1, 2, 3):
        inbox.post(frame(Sensor.RGB, stamp))
    items = inbox.take(0.0)
    assert [type(i) for i in items] == [Rejection, Frame, Frame]
    assert (items[0].stamp_ns, items[0].reason) == (1, DropReason.OVERLOAD)
    assert inbox.take(0.0) == []


def test_the_inbox_hands_over_in_order_of_arrival() -> None:
    inbox = Inbox()
    for stamp in (3, 1, 2):
        inbox.post(frame(Sensor.RGB, stamp))
    assert [i.stamp_ns for i in inbox.take(0.0)] == [1, 2, 3]


def test_a_closed_inbox_keeps_nobody_waiting() -> None:
    inbox = Inbox()
    threading.Timer(0.05, inbox.close).start()
    assert inbox.take(30.0) == []
    assert inbox.closed


def test_all_that_dds_held_waits_for_a_decoder_that_gets_no_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = threading.Event()

    def decode_later(*arguments: Any) -> Frame:
        turn.wait()
        return frame_from_message(*arguments)

    monkeypatch.setattr("rgbd_seg_ros.nodes.intake.frame_from_message", decode_later)
    inbox = Inbox()
    intake = Intake(Sensor.DEPTH, inbox)
    held = range(sensor_input().depth)
    for stamp in held:
        intake.store(image_message(np.full((4, 6), 900, np.uint16), "16UC1", stamp, ""))
    turn.set()
    intake.close()
    items = inbox.take(0.0)
    assert [(type(i), i.stamp_ns) for i in items] == [(Frame, stamp) for stamp in held]


def test_every_stored_message_reaches_the_inbox_as_a_frame_or_a_rejection() -> None:
    inbox = Inbox(limit=1000)
    intake = Intake(Sensor.DEPTH, inbox)
    depth = np.full((4, 6), 900, np.uint16)
    for stamp in range(10 * STORED_MESSAGES):
        message = image_message(depth, "16UC1", stamp, "")
        message.encoding = "16UC1" if stamp % 3 else "rgb8"
        intake.store(message)
    intake.close()
    items = inbox.take(0.0)
    assert sorted(i.stamp_ns for i in items) == list(range(10 * STORED_MESSAGES))
    rejected = {i.stamp_ns for i in items if isinstance(i, Rejection) and i.reason is DropReason.INVALID}
    assert rejected <= set(range(0, 10 * STORED_MESSAGES, 3))
    assert all(i.stamp_ns % 3 for i in items if isinstance(i, Frame))

"""The node between camera and segmenter does over ROS what the scenario says."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.nodes.fault_injector import record_of_message
from rgbd_seg_ros.nodes.messages import color_array, depth_array
from rgbd_seg_ros.nodes.wire import image_bytes
from rgbd_seg_ros.replay.domain import joined, private_domain
from rgbd_seg_ros.replay.record import Record

pytestmark = [pytest.mark.ros, pytest.mark.slow]

SCENARIO = """
duration: 100.0
faults:
  - {fault: blank, stream: depth, start: 0.0}
  - {fault: wrong_encoding, stream: rgb, start: 0.0}
  - {fault: duplicate, stream: rgb, start: 0.0}
"""
RGB = np.random.default_rng(0).integers(1, 255, (12, 16, 3), np.uint8)
DEPTH = np.random.default_rng(0).integers(1, 9000, (12, 16), np.uint16)


class Bench(Node):
    """Camera before the injector, listener behind it."""

    def __init__(self, context: Context) -> None:
        super().__init__("bench", context=context)
        self.cameras = {s: self.create_publisher(Image, f"{s.value}/image_raw", 10) for s in Sensor}
        self.heard: dict[Sensor, list[Image]] = {s: [] for s in Sensor}
        for sensor in Sensor:
            self.create_subscription(
                Image, f"faulty/{sensor.value}/image_raw", self.heard[sensor].append, QoSProfile(depth=50)
            )
        self.restart = self.create_client(Trigger, "fault_injector/restart")
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)

    def wait(self, condition: object, seconds: float = 20.0) -> bool:
        """Spin until it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor_.spin_once(timeout_sec=0.05)
            if condition():  # type: ignore[operator]
                return True
        return False

    def send(self) -> None:
        """One image of each camera."""
        for sensor, image in ((Sensor.RGB, RGB), (Sensor.DEPTH, DEPTH)):
            self.cameras[sensor].publish(image_bytes(Record.of_image(sensor, 0, 0, 5_000_000_007, image), "optical"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "s.yaml").write_text(SCENARIO)
    with private_domain() as env, joined(env):
        command = [sys.executable, "-m", "rgbd_seg_ros.nodes.fault_injector"]
        arguments = ["--ros-args", "-p", f"scenario:={tmp_path / 's.yaml'}"]
        process = subprocess.Popen([*command, *arguments], env=env)
        context = Context()
        rclpy.init(context=context, domain_id=int(env["ROS_DOMAIN_ID"]))
        node = Bench(context)
        try:
            matched = [*node.cameras.values()]
            assert node.wait(lambda: all(c.get_subscription_count() for c in matched))
            assert node.wait(lambda: all(node.count_publishers(f"faulty/{s.value}/image_raw") for s in Sensor))
            yield node
        finally:
            node.destroy_node()
            context.try_shutdown()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0


def test_the_injector_changes_what_passes_through_and_nothing_else(bench: Bench) -> None:
    def both_heard() -> bool:
        bench.send()
        return len(bench.heard[Sensor.RGB]) >= 2 and len(bench.heard[Sensor.DEPTH]) >= 1

    assert bench.wait(both_heard)
    first, second = bench.heard[Sensor.RGB][:2]
    depth = bench.heard[Sensor.DEPTH][0]
    assert first.encoding == second.encoding == "not_an_encoding"
    assert bytes(first.data) == bytes(second.data) == RGB.tobytes()
    assert (depth.encoding, depth.height, depth.width, depth.step) == ("16UC1", 12, 16, 32)
    assert not np.frombuffer(depth.data, np.uint8).any()
    assert (depth.header.stamp.sec, depth.header.stamp.nanosec, depth.header.frame_id) == (5, 7, "optical")
    answer = bench.restart.call_async(Trigger.Request())
    assert bench.wait(answer.done)
    assert answer.result().success


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "rgb8"])
def test_a_big_endian_image_is_published_with_the_same_pixels(encoding: str, padding: int) -> None:
    pixels = {"16UC1": DEPTH, "32FC1": DEPTH.astype(np.float32) / 1000, "rgb8": RGB}[encoding]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    message = Image(height=12, width=16, encoding=encoding, step=rows.shape[1], is_bigendian=1)
    message.data.frombytes(rows.tobytes())
    again = deserialize_message(image_bytes(record_of_message(message, Sensor.DEPTH, 0, 0), "optical"), Image)
    if encoding == "rgb8":
        assert np.array_equal(color_array(again), pixels)
    else:
        assert np.array_equal(depth_array(again)[0], pixels)


def test_a_message_that_is_no_image_passes_as_it_came() -> None:
    broken = Image(height=5, width=7, encoding="rgb8", step=21)
    broken.data.frombytes(b"abc")
    record = record_of_message(broken, Sensor.RGB, 0, 0)
    assert (record.height, record.width, record.step, record.encoding) == (5, 7, 21, "rgb8")
    assert bytes(record.payload) == b"abc"
    empty = record_of_message(Image(encoding="rgb8"), Sensor.RGB, 0, 0)
    assert bytes(empty.payload) == b""

"""Broken messages over real DDS into the running node: it lives, no label image has a wrong size, and it recovers.

A few hundred messages here; `RGBD_SEG_FUZZ=20000` sends more.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated_calibration, mutated_image, stamp_of_image
from node_harness import CAMERA, HEIGHT, PATIENT, WIDTH, NodeProcess, Station, private_ros
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.nodes.calibration import camera_info_message
from rgbd_seg_ros.nodes.messages import ns_from_stamp

pytestmark = [pytest.mark.ros, pytest.mark.slow]

MESSAGES = int(os.environ.get("RGBD_SEG_FUZZ", "400"))
PAIRS_PER_S = 60.0
CLASSES = 4


class Fuzz:
    """A node of its own, what was sent to it, and what it published."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.sizes: dict[int, set[tuple[int, int]]] = defaultdict(set)
        self.pictures: list[tuple[int, int, int, int]] = []
        self.clouds = 0
        self.wrong: list[str] = []
        many = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
        for topic in ("label_image", "confidence", "overlay"):
            station.node.create_subscription(
                Image, f"rgbd_segmenter/{topic}", lambda m, t=topic: self._judge(m, t), many
            )
        station.node.create_subscription(PointCloud2, "rgbd_segmenter/labeled_points", self._count, many)

    def _count(self, message: PointCloud2) -> None:
        self.clouds += 1

    def _judge(self, message: Image, topic: str) -> None:
        size, stamp_ns = (message.height, message.width), ns_from_stamp(message.header.stamp)
        channels = 3 if topic == "overlay" else 1
        if len(message.data) != size[0] * size[1] * channels or size not in self.sizes[stamp_ns]:
            self.wrong.append(f"{topic} of {size} with {len(message.data)} bytes for {self.sizes[stamp_ns]}")
        values = np.frombuffer(message.data, np.uint8)
        if topic == "label_image" and not np.isin(values, [*range(CLASSES), 255]).all():
            self.wrong.append("label image with values that are no class")

    def send(self, messages: int, seed: int) -> int:
        """Sends so many mutated images, and a calibration with every fifth pair; gives the number of all."""
        rng = np.random.default_rng(seed)
        cameras, info = self.station._cameras, self.station._camera_info
        started, first_ns, sent = time.monotonic(), time.time_ns(), 0
        for number in range(messages // 2):
            time.sleep(max(0.0, started + number / PAIRS_PER_S - time.monotonic()))
            if number % 5 == 0:
                info.publish(mutated_calibration(rng) if number % 10 else camera_info_message(CAMERA, 0, "optical"))
                sent += 1
            # Every other ten pairs come whole more often, so that there is something to fall from.
            spoilt = 0.2 if number // 10 % 2 else 0.02
            for sensor in Sensor:
                message = mutated_image(rng, sensor, first_ns + round(number * 1e9 / 30.0), (HEIGHT, WIDTH), spoilt)
                self.sizes[stamp_of_image(message)].add((message.height, message.width))
                cameras[sensor].publish(message)
                sent += 1
        return sent


@pytest.fixture
def fuzz(bundle: Path, tmp_path: Path) -> Iterator[tuple[Fuzz, NodeProcess]]:
    log = tmp_path / "node.log"
    with private_ros() as env:  # a domain of its own: the node that other tests share has the same name
        process = NodeProcess(env, log, {"bundle": str(bundle), **PATIENT})
        station = Station(int(env["ROS_DOMAIN_ID"]))
        try:
            station.wait_connected()
            station.wait("active", lambda: station.state() == "active", 30.0)
            yield Fuzz(station), process
        finally:
            station.close()
            status = process.stop()
    assert status == 0, log.read_text()


def test_a_running_node_survives_broken_messages_and_labels_the_next_good_ones(
    fuzz: tuple[Fuzz, NodeProcess], record_property: Callable[[str, object], None]
) -> None:
    fuzzer, process = fuzz
    station = fuzzer.station
    assert fuzzer.send(MESSAGES, seed=9) >= MESSAGES
    station.wait("the last messages handled", lambda: station.wait_diagnostic("node", ""), 10.0)
    assert process.process.poll() is None, process.log.read_text()[-2000:]
    assert station.state() == "active", process.log.read_text()[-2000:]
    assert fuzzer.wrong == []
    labels = len(station.labels)
    assert labels > MESSAGES // 20
    time.sleep(1.0)
    station.forget()
    fuzzer.sizes = defaultdict(lambda: {(HEIGHT, WIDTH)})
    station.play(90)
    station.assert_settled("fusion")
    assert fuzzer.wrong == []
    assert {(m.height, m.width) for m in station.labels} == {(HEIGHT, WIDTH)}
    record_property("label images, clouds, MiB", [labels, fuzzer.clouds, round(process.rss_mib())])
    record_property("received", {s.value: station.values()[-1][f"received_{s.value}"] for s in Sensor})

"""When a play begins: not before the segmenter itself says that it hears and is heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from node_harness import private_ros
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import SensorReport, SensorState, StreamSnapshot
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.nodes import qos
from rgbd_seg_ros.nodes.diagnostics import InputFacts, NodeReport, input_status, node_status
from rgbd_seg_ros.nodes.replay_readiness import Readiness
from rgbd_seg_ros.nodes.worker import WorkerReport

pytestmark = pytest.mark.ros

WELL = SensorReport(SensorState.OK, "", 2_000_000, 30.0, 30.0, 7)
SNAPSHOT = StreamSnapshot(Mode.FUSION, "both sensors are well", dict.fromkeys(Sensor, WELL))


def diagnostics(
    name: str = "rgbd_segmenter", state: str = "active", publishers: int = 1, failure: str = "", **subscribers: int
):
    """What a segmenter of that name says."""
    worker = WorkerReport(at_ns=0, snapshot=SNAPSHOT) if state == "active" else None
    report = NodeReport(state, failure, worker=worker, subscribers=subscribers)
    inputs = [input_status(name, s, InputFacts(f"/{s.value}/image_raw", publishers), WELL) for s in Sensor]
    return DiagnosticArray(status=[node_status(name, report, 0), *(inputs if worker else [])])


@pytest.fixture
def node() -> Iterator[Node]:
    with private_ros() as env:
        context = Context()
        rclpy.init(context=context, domain_id=int(env["ROS_DOMAIN_ID"]))
        node = Node("player", context=context, enable_rosout=False)
        yield node
        node.destroy_node()
        context.try_shutdown()


@pytest.fixture
def spin(node: Node) -> Iterator[Callable[[float], None]]:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    yield lambda seconds: executor.spin_once(timeout_sec=seconds)
    executor.shutdown()


def test_a_play_waits_for_what_the_segmenter_itself_has_matched(node: Node, spin: Callable[[float], None]) -> None:
    cameras = {s: node.create_publisher(Image, f"{s.value}/image_raw", 5) for s in Sensor}
    readiness = Readiness(node, "/rgbd_segmenter", cameras, spin)
    publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.status_output())

    def told(message: DiagnosticArray, expected: str) -> None:
        deadline = time.monotonic() + 10.0
        while readiness.missing() != expected and time.monotonic() < deadline:
            publisher.publish(message)
            spin(0.02)
        assert readiness.missing() == expected

    told(diagnostics("somebody_else"), "/rgbd_segmenter does not answer")
    told(diagnostics(state="unconfigured"), "/rgbd_segmenter is not active: unconfigured")
    told(diagnostics(state="unconfigured", failure="no bundle"), "/rgbd_segmenter is not active: no bundle")
    with pytest.raises(UserError, match="the play cannot begin: /rgbd_segmenter is not active: no bundle"):
        readiness.wait(60.0)
    told(diagnostics(label_image=1, status=1), "/rgbd_segmenter does not hear rgb")
    for topic in ("rgb", "depth"):
        node.create_subscription(Image, f"{topic}/image_raw", lambda _: None, 5)
    told(diagnostics(publishers=0, label_image=1, status=1), "/rgbd_segmenter does not hear rgb")
    told(diagnostics(label_image=1, status=0), "nobody records status")
    with pytest.raises(UserError, match="cannot begin after 0 s: nobody records status"):
        readiness.wait(0.2)
    told(diagnostics(label_image=1, status=1), "")
    readiness.wait(0.0)

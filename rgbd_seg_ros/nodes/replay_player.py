"""Process that plays a source through a fault scenario: `python -m rgbd_seg_ros.nodes.replay_player --help`.

It waits until the segmenter is active and everybody is connected, publishes at the true rate or as fast as the
segmenter answers, logs what it sent, and deactivates the segmenter at the end so that its last drops are reported.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.nodes.replay_pace import Lockstep, Pace, RealTime
from rgbd_seg_ros.nodes.replay_readiness import Readiness
from rgbd_seg_ros.nodes.replay_recorder import ACKNOWLEDGEMENTS, RECORDED_TOPIC
from rgbd_seg_ros.nodes.wire import NS, camera_info_bytes, camera_info_template, image_bytes
from rgbd_seg_ros.replay.record import Record
from rgbd_seg_ros.replay.recording import SentFrame, write_player_log
from rgbd_seg_ros.replay.scenario import Scenario
from rgbd_seg_ros.replay.schedule import FaultInjector, healthy_records, scheduled
from rgbd_seg_ros.replay.sequence import Sequence
from rgbd_seg_ros.replay.source import Source, open_source
from rgbd_seg_ros.scenes.camera import Camera

FRAME_ID = "camera_optical_frame"
SETTLE_S = 1.0
"""Time for the last frames to be labelled before the node is deactivated."""


class Player(Node):
    """Publishes records on `rgb/image_raw`, `depth/image_raw` and `rgb/camera_info`.

    Attributes:
        readiness: tells when the play can begin.
    """

    def __init__(self, target: str, camera: Camera, with_clock: bool) -> None:
        super().__init__("replay_player", enable_rosout=False, start_parameter_services=False)
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._images = {s: self.create_publisher(Image, f"{s.value}/image_raw", qos) for s in Sensor}
        self._info = self.create_publisher(CameraInfo, "rgb/camera_info", qos)
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10) if with_clock else None
        self._info_template = camera_info_template(camera, FRAME_ID)
        self.readiness = Readiness(
            self, target, self._images, lambda seconds: rclpy.spin_once(self, timeout_sec=seconds)
        )
        self._change_state: Client = self.create_client(ChangeState, f"{target}/change_state")

    def lockstep(self, timeout_s: float) -> Lockstep:
        """The pace of the node's answers, as the recorder acknowledges them."""
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        pace = Lockstep(lambda seconds: executor.spin_once(timeout_sec=seconds), timeout_s)
        self.create_subscription(DiagnosticArray, RECORDED_TOPIC, pace.on_status, ACKNOWLEDGEMENTS)
        deadline = time.monotonic() + timeout_s
        while not self.count_publishers(RECORDED_TOPIC):
            if time.monotonic() > deadline:
                raise UserError(f"nobody publishes {RECORDED_TOPIC}: the recorder must acknowledge")
            time.sleep(0.05)
        return pace

    def play(self, records: Iterable[Record], pace: Pace) -> list[SentFrame]:
        """Publishes each record when the pace lets it; gives the log."""
        sent: list[SentFrame] = []
        for record in records:
            pace.wait(record)
            # before the publication: its label image may be there before publish() returns
            sent_ns = time.monotonic_ns()
            self._send(record)
            pace.sent(record, sent_ns)
            sent.append(SentFrame(record.sensor, record.index, record.time_ns, record.stamp_ns, sent_ns, record.faults))
        return sent

    def _send(self, record: Record) -> None:
        if self._clock_publisher is not None:
            tick = Clock()
            tick.clock.sec, tick.clock.nanosec = record.stamp_ns // NS, record.stamp_ns % NS
            self._clock_publisher.publish(tick)
        self._images[record.sensor].publish(image_bytes(record, FRAME_ID))
        if record.sensor is Sensor.RGB:
            self._info.publish(camera_info_bytes(self._info_template, record.stamp_ns))

    def deactivate_target(self) -> None:
        """Deactivates the segmenter, which makes it report what it still holds."""
        request = ChangeState.Request()
        request.transition.id = Transition.TRANSITION_DEACTIVATE
        self._change_state.wait_for_service(timeout_sec=5.0)
        rclpy.spin_until_future_complete(self, self._change_state.call_async(request), timeout_sec=5.0)


def _frames(source: Source, duration_ns: int) -> Iterable:
    """A packed sequence is bounced until the play is full; anything else is played once."""
    return source.bounced(duration_ns) if isinstance(source, Sequence) else source


def _play(args: argparse.Namespace, node_of: Callable[[Camera], Player]) -> None:
    source = open_source(args.source)
    scenario = Scenario.load(args.scenario)
    duration_ns = round(scenario.duration * NS)
    injector = FaultInjector(scenario, source.rate_hz, args.seed)
    records = scheduled(healthy_records(_frames(source, duration_ns), args.epoch_ns, duration_ns), injector)
    player = node_of(source.camera)
    player.readiness.wait(args.timeout)
    gc.collect()
    gc.disable()  # a collection in the middle of the play would show up as jitter of the camera
    pace: Pace
    if args.lockstep:
        started_ns, pace = time.monotonic_ns(), player.lockstep(args.answer_timeout)
    else:
        started_ns = time.monotonic_ns() + NS // 10
        pace = RealTime(started_ns, args.scale)
    sent = player.play(records, pace)
    gc.enable()
    time.sleep(SETTLE_S)
    player.deactivate_target()
    scale = 1.0 if args.lockstep else args.scale
    write_player_log(args.log, started_ns, duration_ns, sent, args.lockstep, scale)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Plays RGB-D frames with faults into a segmenter.")
    parser.add_argument("--source", type=Path, required=True, help="packed sequence, bag or folder of frames")
    parser.add_argument("--scenario", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True, help="JSON file that lists what was sent")
    parser.add_argument("--target", default="/rgbd_segmenter", help="full name of the segmenter node")
    parser.add_argument("--scale", type=float, default=1.0, help="speed: 2 plays twice as fast")
    parser.add_argument("--lockstep", action="store_true", help="send the next frame when the last one is answered")
    parser.add_argument("--answer-timeout", type=float, default=10.0, help="seconds to wait for an answer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epoch-ns", type=int, default=time.time_ns(), help="stamp of the first frame")
    parser.add_argument("--clock", action="store_true", help="publish /clock")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the segmenter")
    args = parser.parse_args()
    rclpy.init(args=[])
    try:
        _play(args, lambda camera: Player(args.target, camera, args.clock))
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201  the parent shows it
        return 2
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

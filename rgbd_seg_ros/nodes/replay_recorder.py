"""Process that records a segmenter's output: `python -m rgbd_seg_ros.nodes.replay_recorder --help`.

While the play runs it only appends serialized messages to a spool file; they are decoded after SIGINT or
SIGTERM, so that recording costs the machine next to nothing.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from rgbd_seg_ros.nodes.wire import NS, stamp_of
from rgbd_seg_ros.replay.recording import LABEL_FILE, RECORDER_FILE, write_recorder_log

RECORDED_TOPIC = "replay_recorder/recorded"
ACKNOWLEDGEMENTS = QoSProfile(
    depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
"""Kept for a player that is matched a moment after the first one was sent."""
QUIET_S = 0.5
"""Silence after which everything that was sent is taken to have arrived."""


class Recorder(Node):
    """Spools `label_image` and `status` of one segmenter into a folder.

    Where it acknowledges, it repeats each status on `replay_recorder/recorded` when the label image is recorded too.
    """

    def __init__(self, target: str, folder: Path, keep_labels: bool, acknowledge: bool) -> None:
        super().__init__("replay_recorder", enable_rosout=False, start_parameter_services=False)
        self._folder, self._keep = folder, keep_labels
        self._spool_path = folder / "labels.spool"
        self._spool = self._spool_path.open("wb")
        self._labels: list[tuple[int, int, int]] = []
        self._statuses: list[tuple[int, bytes]] = []
        qos = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE)
        self._recorded = (
            self.create_publisher(DiagnosticArray, RECORDED_TOPIC, ACKNOWLEDGEMENTS) if acknowledge else None
        )
        self._unmatched_labels: Counter[int] = Counter()
        self._unmatched_statuses: dict[int, list[bytes]] = defaultdict(list)
        self.create_subscription(Image, f"{target}/label_image", self._on_label, qos, raw=True)
        self.create_subscription(DiagnosticArray, f"{target}/status", self._on_status, qos, raw=True)

    def _acknowledgements(self) -> Publisher:
        return self.create_publisher(DiagnosticArray, RECORDED_TOPIC, ACKNOWLEDGEMENTS)

    def _on_label(self, serialized: bytes) -> None:
        self._labels.append((time.monotonic_ns(), stamp_of(serialized), len(serialized)))
        if self._keep:
            self._spool.write(serialized)
        if self._recorded is not None:
            self._unmatched_labels[stamp_of(serialized)] += 1
            self._acknowledge(stamp_of(serialized))

    def _on_status(self, serialized: bytes) -> None:
        self._statuses.append((time.monotonic_ns(), serialized))
        stamp_ns = stamp_of(serialized)
        if self._recorded is None:
            return
        if stamp_ns == 0:  # it came with no label image
            self._recorded.publish(serialized)
            return
        self._unmatched_statuses[stamp_ns].append(serialized)
        self._acknowledge(stamp_ns)

    def _acknowledge(self, stamp_ns: int) -> None:
        """Repeats a status once its label image is here too."""
        assert self._recorded is not None
        statuses = self._unmatched_statuses.get(stamp_ns)
        if statuses and self._unmatched_labels[stamp_ns]:
            self._unmatched_labels[stamp_ns] -= 1
            self._recorded.publish(statuses.pop(0))

    @property
    def heard(self) -> int:
        """Messages so far."""
        return len(self._labels) + len(self._statuses)

    def finish(self) -> None:
        """Decodes the spool and writes the logs."""
        self._spool.close()
        rows = []
        with self._spool_path.open("rb") as spool, (self._folder / LABEL_FILE).open("wb") as out:
            for received_ns, stamp_ns, size in self._labels:
                if not self._keep:
                    rows.append([received_ns, stamp_ns, 0, 0, -1])
                    continue
                message = deserialize_message(spool.read(size), Image)
                rows.append([received_ns, stamp_ns, message.height, message.width, out.tell()])
                out.write(message.data)
        self._spool_path.unlink()
        write_recorder_log(self._folder / RECORDER_FILE, rows, (_status_row(*status) for status in self._statuses))


def _status_row(received_ns: int, serialized: bytes) -> list[Any]:
    message = deserialize_message(serialized, DiagnosticArray)
    stamp = message.header.stamp
    values = {pair.key: pair.value for pair in message.status[0].values}
    return [received_ns, stamp.sec * NS + stamp.nanosec, values]


def drain(executor: SingleThreadedExecutor, recorder: Recorder) -> None:
    """Takes what has arrived but was not taken yet, until `QUIET_S` pass without a message."""
    last_ns = time.monotonic_ns()
    while time.monotonic_ns() - last_ns < QUIET_S * NS:
        before = recorder.heard
        executor.spin_once(timeout_sec=0.1)
        if recorder.heard != before:
            last_ns = time.monotonic_ns()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Records label images and statuses until it is told to stop.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the logs")
    parser.add_argument("--target", default="/rgbd_segmenter", help="full name of the segmenter node")
    parser.add_argument("--acknowledge", action="store_true", help=f"repeat what is recorded on {RECORDED_TOPIC}")
    parser.add_argument("--no-labels", action="store_true", help="keep stamps only, no label images")
    args = parser.parse_args()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    recorder = Recorder(args.target, args.out, not args.no_labels, args.acknowledge)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(1))
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    try:
        while not stopped:
            executor.spin_once(timeout_sec=0.2)
        drain(executor, recorder)
    except ExternalShutdownException:
        pass  # the context went down first; what was heard is still worth keeping
    recorder.finish()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

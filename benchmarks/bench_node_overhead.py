"""Cost of the node itself, stage by stage: real node in its own process, real DDS, arrival to publication.

    python benchmarks/bench_node_overhead.py [--bundle FOLDER] [--size 640x480] [--rate 30] [--seconds 10]

Without a bundle it takes the two-threshold test bundle with a network time of about 8 ms. Overhead is what remains of
the latency (arrival of the newer frame at the node to publication of its label image) without network time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.inference.testing import write_test_bundle
from rgbd_seg_ros.nodes.messages import image_message, ns_from_stamp
from rgbd_seg_ros.nodes.wire import STAMP_AT
from rgbd_seg_ros.replay.domain import joined, private_domain

NODE = "rgbd_segmenter"
STAGES = ("queue", "preprocess", "postprocess", "publish", "inference", "latency")
SETTLE_FRAMES = 30
PICTURES = 8


class Bench(Node):
    """Cameras and recorder in one process."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__("bench")
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self._cameras = {s: self.create_publisher(Image, f"{s.value}/image_raw", qos) for s in Sensor}
        rng = np.random.default_rng(0)
        rgb = [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(PICTURES)]
        depth = [rng.integers(500, 5000, (height, width), dtype=np.uint16) for _ in range(PICTURES)]
        self._wires = {
            Sensor.RGB: [bytearray(serialize_message(image_message(i, "rgb8", 0, "optical"))) for i in rgb],
            Sensor.DEPTH: [bytearray(serialize_message(image_message(i, "16UC1", 0, "optical"))) for i in depth],
        }
        self._sent_ns: dict[int, int] = {}
        self.values: list[dict[str, str]] = []
        self.end_to_end_ms: list[float] = []
        many = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self.create_subscription(DiagnosticArray, f"{NODE}/status", self._on_status, many)
        self.create_subscription(Image, f"{NODE}/label_image", self._on_label, many)

    def ready(self) -> bool:
        return all(p.get_subscription_count() for p in self._cameras.values()) and bool(
            self.count_publishers(f"{NODE}/status")
        )

    def play(self, sensors: tuple[Sensor, ...], frames: int, rate_hz: float) -> None:
        start, first_stamp_ns = time.monotonic(), time.time_ns()
        for number in range(frames):
            time.sleep(max(0.0, start + number / rate_hz - time.monotonic()))
            # Stamps keep the rate of a camera even where a busy machine holds this loop up.
            stamp_ns = first_stamp_ns + round(number * 1e9 / rate_hz)
            self._sent_ns[stamp_ns] = time.monotonic_ns()
            for sensor in sensors:
                wire = self._wires[sensor][number % PICTURES]
                struct.pack_into("<iI", wire, STAMP_AT, *divmod(stamp_ns, 10**9))
                self._cameras[sensor].publish(bytes(wire))
        time.sleep(0.5)

    def _on_status(self, message: DiagnosticArray) -> None:
        self.values.append({v.key: v.value for v in message.status[0].values})

    def _on_label(self, message: Image) -> None:
        self.end_to_end_ms.append((time.monotonic_ns() - self._sent_ns[ns_from_stamp(message.header.stamp)]) / 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    with tempfile.TemporaryDirectory() as scratch, private_domain() as env, joined(env):
        bundle = args.bundle or write_test_bundle(Path(scratch) / "test", 240, 320, delay=0.008).folder
        rates = [w for s in Sensor for w in ("-p", f"{s.value}_expected_rate_hz:={args.rate}")]
        command = [sys.executable, "-m", "rgbd_seg_ros.nodes.segmenter_node", "--ros-args", "-p", f"bundle:={bundle}"]
        command += rates
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        try:
            figures = run(int(env["ROS_DOMAIN_ID"]), width, height, args)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)
    show(figures, args)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))
    return 0


def run(domain: int, width: int, height: int, args: argparse.Namespace) -> dict[str, dict]:
    rclpy.init(domain_id=domain)
    node = Bench(width, height)
    spinner = threading.Thread(target=spin, args=(node,), daemon=True)
    spinner.start()
    deadline = time.monotonic() + 30
    while not node.ready():
        if time.monotonic() > deadline:
            raise SystemExit("the node did not become active within 30 s")
        time.sleep(0.05)
    figures = {}
    for mode in (Mode.FUSION, Mode.RGB, Mode.DEPTH):
        node.values.clear()
        node.end_to_end_ms.clear()
        frames = int(args.seconds * args.rate)
        node.play(mode.sensors, SETTLE_FRAMES + frames, args.rate)
        figures[mode.value] = summary(mode, frames, node)
    rclpy.shutdown()
    spinner.join()
    return figures


def spin(node: Node) -> None:
    try:
        rclpy.spin(node)
    except ExternalShutdownException:
        return


def summary(mode: Mode, frames: int, node: Bench) -> dict:
    outputs = [v for v in node.values if v["mode"] == mode.value][-frames:]
    table = {s: np.array([float(v[f"{s}_ms"]) for v in outputs if v[f"{s}_ms"] != "n/a"]) for s in STAGES}
    table["overhead"] = table["latency"] - table["inference"]
    table["end to end"] = np.array(node.end_to_end_ms[-frames:])
    figures = {name: {"p50": float(np.median(v)), "p95": float(np.percentile(v, 95))} for name, v in table.items()}
    return {"frames": frames, "labelled": len(outputs), "stages_ms": figures}


def show(figures: dict[str, dict], args: argparse.Namespace) -> None:
    print(f"{args.size} at {args.rate:g} Hz, {os.cpu_count()} cores, Python {platform.python_version()}")
    modes = list(figures)
    print(f"{'ms, p50 / p95':16}" + "".join(f"{mode:>16}" for mode in modes))
    for stage in (*STAGES, "overhead", "end to end"):
        cells = (figures[mode]["stages_ms"][stage] for mode in modes)
        print(f"{stage:16}" + "".join(f"{c['p50']:8.2f} /{c['p95']:6.2f}" for c in cells))
    print(f"{'labelled':16}" + "".join(f"{figures[m]['labelled']:>9} of {figures[m]['frames']}" for m in modes))


if __name__ == "__main__":
    sys.exit(main())

"""Real nodes in processes of their own, and a station in the test process that plays, listens and commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, ListParameters, SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.nodes.calibration import camera_info_message
from rgbd_seg_ros.nodes.messages import image_message, ns_from_stamp
from rgbd_seg_ros.replay.domain import joined, private_domain

NODE = "rgbd_segmenter"
HEIGHT, WIDTH = 120, 160
RATE_HZ = 30.0
PATIENT = {
    "backend": "onnxruntime",
    "rgb_expected_rate_hz": RATE_HZ,
    "depth_expected_rate_hz": RATE_HZ,
    "stale_periods": 6.0,
    "pairing_timeout_ms": 60.0,
    "queue_size": 20,
    "max_queue_age_ms": 2000.0,
}
"""Parameters with which a machine that is busy with other tests looks like no broken camera; the backend loads fast."""
CAMERA = Intrinsics(WIDTH, HEIGHT, 140.0, 140.0, 79.5, 59.5)
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}
Change = Callable[[Image, Sensor, int], "Image | None"]


def picture(sensor: Sensor, index: int) -> np.ndarray:
    """A picture with known labels in the test bundle: left half bright, upper half near; never twice the same."""
    noise = np.random.default_rng(index).integers(0, 20, (HEIGHT, WIDTH))
    if sensor is Sensor.RGB:
        rgb = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        rgb[:, : WIDTH // 2, 0] = 200
        return (rgb + noise[..., None]).astype(np.uint8)
    depth = np.full((HEIGHT, WIDTH), 4000, np.uint16)
    depth[: HEIGHT // 2] = 1000
    return (depth + noise).astype(np.uint16)


def expected_label(rgb: bool = True, depth: bool = True) -> np.ndarray:
    """What the test bundle makes of `picture` in a mode that reads these sensors."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    if rgb:
        label[:, : WIDTH // 2] |= 1
    if depth:
        label[: HEIGHT // 2] |= 2
    return label


@contextmanager
def private_ros() -> Iterator[dict[str, str]]:
    """The environment of a ROS domain that only this test and its processes see, on this machine only."""
    with private_domain() as domain, joined(domain):
        yield domain | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


class NodeProcess:
    """The segmenter node as its users start it."""

    def __init__(self, env: dict[str, str], log: Path, parameters: dict[str, Any], *arguments: str) -> None:
        self.log = log
        words = [w for name, value in parameters.items() for w in ("-p", f"{name}:={_yaml(value)}")]
        command = [sys.executable, "-m", "rgbd_seg_ros.nodes.segmenter_node", "--ros-args", *arguments, *words]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(command, env=env, stdout=stream, stderr=subprocess.STDOUT)

    def rss_mib(self) -> float:
        """Resident memory."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def threads(self) -> int:
        """Threads of the process."""
        return psutil.Process(self.process.pid).num_threads()

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it as ^C does; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class Station:
    """The test's own ROS node: cameras, recorder and operator of the node under test."""

    def __init__(self, domain: int, reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = Node("station", context=self._context, enable_rosout=False)
        cameras = QoSProfile(depth=10, reliability=reliability)
        self._cameras = {s: self.node.create_publisher(Image, f"{s.value}/image_raw", cameras) for s in Sensor}
        self._camera_info = self.node.create_publisher(CameraInfo, "rgb/camera_info", cameras)
        self.labels: list[Image] = []
        self.confidences: list[Image] = []
        self.statuses: list[DiagnosticArray] = []
        self.diagnostics: list[DiagnosticArray] = []
        self.sent: list[tuple[Sensor, int]] = []
        self._index = 0
        many = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
        listen = self.node.create_subscription
        listen(Image, f"{NODE}/label_image", self.labels.append, many)
        listen(Image, f"{NODE}/confidence", self.confidences.append, many)
        listen(DiagnosticArray, f"{NODE}/status", self.statuses.append, many)
        listen(DiagnosticArray, "/diagnostics", self.diagnostics.append, many)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the ROS graph."""
        self._context.try_shutdown()
        self._thread.join()
        self.node.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def wait(self, what: str, condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
        """Poll until `condition` is true; its value is returned."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.01)
        raise AssertionError(f"{what}: not within {timeout_s} s")

    def call(self, service_type: type, name: str, request: Any) -> Any:
        """Call a service of the node under test."""
        client = self.node.create_client(service_type, f"{NODE}/{name}")
        try:
            self.wait(f"service {name}", client.service_is_ready)
            future = client.call_async(request)
            self.wait(f"answer of {name}", future.done, 20.0)
            return future.result()
        finally:
            self.node.destroy_client(client)

    def change_state(self, *transitions: str) -> bool:
        """Run lifecycle transitions in order; False as soon as one fails."""
        for transition in transitions:
            request = ChangeState.Request(transition=Transition(id=TRANSITIONS[transition]))
            if not self.call(ChangeState, "change_state", request).success:
                return False
        if transitions[-1] == "activate":
            self.wait_connected()
        return True

    def state(self) -> str:
        """Label of the lifecycle state."""
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def set_parameter(self, name: str, value: Any) -> tuple[bool, str]:
        """Whether the node takes the value, and why not."""
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        result = self.call(SetParameters, "set_parameters", request).results[0]
        return result.successful, result.reason

    def parameter_descriptors(self) -> dict[str, Any]:
        """Descriptor of every declared parameter."""
        names = self.call(ListParameters, "list_parameters", ListParameters.Request()).result.names
        answer = self.call(DescribeParameters, "describe_parameters", DescribeParameters.Request(names=names))
        return {d.name: d for d in answer.descriptors}

    def wait_connected(self) -> None:
        """Until the node hears the cameras and the recorder hears the node."""
        self.wait("cameras heard", lambda: all(p.get_subscription_count() for p in self._cameras.values()))
        self.wait("labels heard", lambda: self.node.count_publishers(f"{NODE}/status") > 0)
        time.sleep(0.1)  # both ends have matched; the reader's side of the match may lag a little

    def forget(self) -> None:
        """Start a new record."""
        for record in (self.labels, self.confidences, self.statuses, self.sent):
            record.clear()

    def play(
        self,
        frames: int,
        sensors: Iterable[Sensor] = tuple(Sensor),
        change: Change | None = None,
        rate_hz: float = RATE_HZ,
        settle: bool = True,
    ) -> list[tuple[Sensor, int]]:
        """Publish `frames` frames of each of `sensors` in real time.

        Args:
            change: alters a message before it goes out; None from it leaves the frame out.
            settle: wait until every frame is accounted for in status messages.

        Returns:
            (sensor, stamp) of every message sent.
        """
        sent: list[tuple[Sensor, int]] = []
        start, first_stamp_ns = time.monotonic(), time.time_ns()
        for number in range(frames):
            time.sleep(max(0.0, start + number / rate_hz - time.monotonic()))
            # Stamps keep the rate of a camera even where a busy machine holds this loop up.
            sent += self._send(number, first_stamp_ns + round(number * 1e9 / rate_hz), sensors, change)
        self.sent += sent
        if settle:
            self.wait("every frame accounted for", lambda: self.accounted() >= set(self.sent))
        return sent

    def _send(
        self, number: int, stamp_ns: int, sensors: Iterable[Sensor], change: Change | None
    ) -> list[tuple[Sensor, int]]:
        self._index += 1
        sent = []
        self._camera_info.publish(camera_info_message(CAMERA, stamp_ns, "optical"))
        for sensor in sensors:
            encoding = "rgb8" if sensor is Sensor.RGB else "16UC1"
            message: Image | None = image_message(picture(sensor, self._index), encoding, stamp_ns, "optical")
            message = change(message, sensor, number) if change is not None else message
            if message is not None:
                self._cameras[sensor].publish(message)
                sent.append((sensor, ns_from_stamp(message.header.stamp)))
        return sent

    def values(self) -> list[dict[str, str]]:
        """The key-value pairs of every status so far."""
        return [{v.key: v.value for v in s.status[0].values} for s in list(self.statuses)]

    def outputs(self) -> list[dict[str, str]]:
        """The key-value pairs of every status that came with a label image."""
        return [value for value in self.values() if value["mode"] != "none"]

    def covered(self) -> set[tuple[Sensor, int]]:
        """Frames that a label image covers, by the status messages."""
        return {
            (sensor, int(value[f"{sensor.value}_stamp_ns"]))
            for value in self.values()
            for sensor in Sensor
            if value[f"{sensor.value}_stamp_ns"]
        }

    def drops(self) -> list[tuple[Sensor, int, str]]:
        """(sensor, stamp, reason) of every drop reported."""
        return [(Sensor(s), stamp, why) for v in self.values() for s, stamp, why in json.loads(v["drops"])]

    def assert_labelled(self, frames: Iterable[tuple[Sensor, int]]) -> None:
        """Fail with the fate of every frame of `frames` that no label image covers."""
        fates = {(sensor, stamp): why for sensor, stamp, why in self.drops()}
        lost = sorted(set(frames) - self.covered(), key=lambda frame: frame[1])
        assert not lost, f"without a label: {[(s.value, t, fates.get((s, t), 'no word of it')) for s, t in lost]}"

    def accounted(self) -> set[tuple[Sensor, int]]:
        """Frames that were labelled or reported as dropped."""
        return self.covered() | {(sensor, stamp) for sensor, stamp, _ in self.drops()}

    def modes(self) -> list[str]:
        """Mode of every output, in order, without the reports that belong to none."""
        return [v["mode"] for v in self.outputs()]

    def assert_settled(self, mode: str) -> None:
        """Fail unless the last ten outputs show one mode again; a busy machine may delay a frame among them."""
        last = self.modes()[-10:]
        assert last.count(mode) >= 3, f"modes of the last outputs: {last}"

    def diagnostic(self, name: str) -> DiagnosticStatus | None:
        """The newest status of `/diagnostics` called `rgbd_segmenter: <name>`."""
        for array in reversed(self.diagnostics):
            for status in array.status:
                if status.name == f"{NODE}: {name}":
                    return status
        return None

    def wait_diagnostic(self, name: str, says: str, timeout_s: float = 5.0) -> DiagnosticStatus:
        """Until a fresh diagnostic status contains a phrase."""
        self.diagnostics.clear()

        def found() -> DiagnosticStatus | None:
            status = self.diagnostic(name)
            return status if status is not None and says in status.message else None

        try:
            return self.wait(f"{name} says '{says}'", found, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says: {getattr(self.diagnostic(name), 'message', None)}") from None

    def listen_once(self, message_type: type, topic: str, play_frames: int) -> list[Any]:
        """Subscribe `topic` while `play_frames` pairs are played; what came."""
        got: list[Any] = []
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        subscription = self.node.create_subscription(message_type, f"{NODE}/{topic}", got.append, qos)
        try:
            self.wait(f"{topic} matched", lambda: self.node.count_subscribers(f"{NODE}/{topic}") > 0)
            time.sleep(0.2)
            self.play(play_frames)
            self.wait(f"something on {topic}", lambda: got)
        finally:
            self.node.destroy_subscription(subscription)
        return got


def rows(message: Image | PointCloud2) -> np.ndarray:
    """A mono8 image message as an array."""
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)

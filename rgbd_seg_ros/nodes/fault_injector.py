"""The node `fault_injector`: between a camera and the segmenter, it does to the images what a scenario says.

Subscribes `rgb/image_raw` and `depth/image_raw`, publishes `faulty/rgb/image_raw` and `faulty/depth/image_raw`. The
scenario's clock starts with the first message and again with every call of `~/restart`.
"""

from __future__ import annotations

import heapq
import re
import sys
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.nodes.messages import ns_from_stamp
from rgbd_seg_ros.nodes.parameters import ParameterSpec
from rgbd_seg_ros.nodes.qos import image_output, sensor_input
from rgbd_seg_ros.nodes.wire import image_bytes
from rgbd_seg_ros.replay.named_scenarios import load_scenario
from rgbd_seg_ros.replay.record import Record
from rgbd_seg_ros.replay.schedule import FaultInjector

NS = 1_000_000_000
IDLE_S = 0.1
SPECS = (
    ParameterSpec(
        "scenario",
        "healthy",
        "file, name in config/faults, demo, random:SEED, only:SENSOR",
        read_only=True,
    ),
    ParameterSpec("seed", 0, "of the faults that draw random numbers", 0, 2**31 - 1, read_only=True),
    ParameterSpec(
        "rate_hz", 30.0, "frame rate of the cameras, for faults that count in periods", 0.1, 1000.0, read_only=True
    ),
    ParameterSpec("repeat", False, "start the scenario again when it is over", read_only=True),
)
LAYOUTS = {"rgb8": (np.uint8, 3), "bgr8": (np.uint8, 3), "16UC1": (np.uint16, 1), "mono16": (np.uint16, 1),
           "32FC1": (np.float32, 1)}  # fmt: skip
"""Encodings whose pixels the faults of content understand; of others they see one plane of bytes."""


class FaultInjectorNode(Node):
    """Holds back, changes or drops images on their way."""

    def __init__(self) -> None:
        super().__init__("fault_injector")
        for spec in SPECS:
            self.declare_parameter(spec.name, spec.default, spec.descriptor())
        self._scenario = load_scenario(self.get_parameter("scenario").value)
        self._repeat = bool(self.get_parameter("repeat").value)
        self._waiting: list[tuple[int, int, Record, str]] = []
        self._serial = 0
        self._restart()
        self._outputs = {s: self.create_publisher(Image, f"faulty/{s.value}/image_raw", image_output()) for s in Sensor}
        for sensor in Sensor:
            self.create_subscription(
                Image, f"{sensor.value}/image_raw", lambda m, s=sensor: self._on_image(m, s), sensor_input()
            )
        self.create_service(Trigger, "~/restart", self._on_restart)
        self.get_logger().info(f"scenario {self._scenario.name}: {self._scenario.description}")

    def _restart(self) -> None:
        seed, rate_hz = self.get_parameter("seed").value, self.get_parameter("rate_hz").value
        self._injector = FaultInjector(self._scenario, rate_hz, seed)
        self._started_ns: int | None = None
        self._counts = dict.fromkeys(Sensor, 0)

    def _on_restart(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._restart()
        response.success, response.message = True, f"scenario {self._scenario.name} starts with the next image"
        return response

    def _on_image(self, message: Image, sensor: Sensor) -> None:
        now_ns = time.monotonic_ns()
        if self._started_ns is not None and self._repeat and now_ns - self._started_ns > self._scenario.duration * NS:
            self._restart()
        if self._started_ns is None:
            self._started_ns = now_ns
        record = record_of_message(message, sensor, self._counts[sensor], now_ns - self._started_ns)
        self._counts[sensor] += 1
        for out in self._injector.feed(record):
            due_ns = self._started_ns + out.time_ns
            heapq.heappush(self._waiting, (due_ns, self._serial, out, message.header.frame_id))
            self._serial += 1
        self.send_due()

    def send_due(self) -> float:
        """Publishes what is due; gives the seconds until the next record is, `IDLE_S` at most."""
        while self._waiting and self._waiting[0][0] <= time.monotonic_ns():
            _, _, record, frame_id = heapq.heappop(self._waiting)
            self._outputs[record.sensor].publish(image_bytes(record, frame_id))
        if not self._waiting:
            return IDLE_S
        return min(IDLE_S, max(0.0, (self._waiting[0][0] - time.monotonic_ns()) / NS))


def record_of_message(message: Image, sensor: Sensor, index: int, time_ns: int) -> Record:
    """An image message as a record; views of the message's bytes, or copies where these are big-endian.

    A message that is no proper image already (truncated, unknown encoding) becomes one plane of its bytes, header kept.
    """
    data = _little_endian(message)
    dtype, channels = LAYOUTS.get(message.encoding, (np.uint8, 1))
    tight = message.width * channels * np.dtype(dtype).itemsize
    if message.encoding in LAYOUTS and message.step == tight and data.size == tight * message.height:
        shape = (message.height, message.width, channels)[: 3 if channels > 1 else 2]
        image = data.view(dtype).reshape(shape)
    else:
        whole = message.step > 0 and data.size == message.step * message.height
        image = data.reshape((message.height, message.step) if whole else (1, data.size))
    return Record(
        sensor, index, time_ns, ns_from_stamp(message.header.stamp), message.encoding, message.height, message.width,
        message.step, image,
    )  # fmt: skip


def _little_endian(message: Image) -> npt.NDArray[np.uint8]:
    """The bytes of an image, flat and in the order in which records are published (`is_bigendian` = 0)."""
    data = np.frombuffer(message.data, np.uint8)
    bits = re.search(r"(?:16|32|64)(?=[USF]C|$)", message.encoding)
    if not message.is_bigendian or bits is None:
        return data
    size = int(bits[0]) // 8
    swapped = data.copy()
    row = message.step if message.step >= size else max(1, data.size)
    for start in range(0, data.size, row):
        # the padding of a row, or the end of a truncated message, may hold a part of a pixel, which is left as it is
        end = start + min(row, data.size - start) // size * size
        swapped[start:end] = data[start:end].reshape(-1, size)[:, ::-1].reshape(-1)
    return swapped


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    rclpy.init(args=None if argv is None else list(argv))
    try:
        node = FaultInjectorNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok():
            executor.spin_once(timeout_sec=node.send_due())
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201  the node that would log it does not exist
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

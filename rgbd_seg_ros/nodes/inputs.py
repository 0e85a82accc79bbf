"""The subscriptions of the segmenter node; they exist only while it is active."""

from __future__ import annotations

import functools
from collections.abc import Callable

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.nodes import qos
from rgbd_seg_ros.nodes.calibration import intrinsics_of
from rgbd_seg_ros.nodes.diagnostics import InputFacts
from rgbd_seg_ros.nodes.intake import Inbox, Intake

CAMERA_INFO = "rgb/camera_info"
RAW = "raw"


def image_topic(node: Node, sensor: Sensor, transport: str) -> str:
    """The full topic name of a stream: the base topic, remapped, and the transport's suffix (as image_transport)."""
    base = node.resolve_topic_name(f"{sensor.value}/image_raw")
    return base if transport == RAW else f"{base}/{transport}"


class Inputs:
    """Subscribes both image streams and the camera_info; every callback only stores.

    Args:
        node: owner of the subscriptions.
        transports: `raw`, `compressed` or `compressedDepth` by sensor.
        inbox: where decoded frames go.
        on_camera: takes the intrinsics of each camera_info; None for an uncalibrated camera. One that makes
            no sense is ignored with a warning: the last good one stays.
    """

    def __init__(
        self,
        node: Node,
        transports: dict[Sensor, str],
        inbox: Inbox,
        on_camera: Callable[[Intrinsics | None, CameraInfo], None],
    ) -> None:
        self._node = node
        self._unheard = dict.fromkeys(Sensor, "")
        self._topics = {s: image_topic(node, s, transports[s]) for s in Sensor}
        self._intakes = {s: Intake(s, inbox) for s in Sensor}
        self._subscriptions: list[Subscription] = []
        try:
            for sensor in Sensor:
                self._subscribe_images(sensor, Image if transports[sensor] == RAW else CompressedImage)
            self._subscribe_camera_info(on_camera)
        except BaseException:
            self.close()  # an unusable QoS override must leave no thread behind
            raise

    def facts(self) -> dict[Sensor, InputFacts]:
        """What ROS knows of each image stream at present."""
        facts = {}
        for sensor, topic in self._topics.items():
            publishers = self._node.count_publishers(topic)
            if publishers == 0:  # the one that could not be heard is gone
                self._unheard[sensor] = ""
            facts[sensor] = InputFacts(topic, publishers, self._unheard[sensor])
        return facts

    def close(self) -> None:
        """Remove the subscriptions and end the threads."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for intake in self._intakes.values():
            intake.close()

    def _subscribe_images(self, sensor: Sensor, message_type: type) -> None:
        subscription = self._node.create_subscription(
            message_type,
            self._topics[sensor],
            self._intakes[sensor].store,
            qos.sensor_input(),
            event_callbacks=qos.incompatible_qos_callbacks(functools.partial(self._not_heard, sensor)),
            qos_overriding_options=qos.overridable(),
        )
        self._subscriptions.append(subscription)

    def _subscribe_camera_info(self, on_camera: Callable[[Intrinsics | None, CameraInfo], None]) -> None:
        def on_message(message: CameraInfo) -> None:
            try:
                on_camera(intrinsics_of(message), message)
            except ValueError as error:
                self._node.get_logger().warning(
                    f"a message on {CAMERA_INFO} is ignored: {error}", throttle_duration_sec=10.0
                )

        profile, overrides = qos.sensor_input(), qos.overridable()
        subscription = self._node.create_subscription(
            CameraInfo, CAMERA_INFO, on_message, profile, qos_overriding_options=overrides
        )
        self._subscriptions.append(subscription)

    def _not_heard(self, sensor: Sensor, policy: str) -> None:
        self._unheard[sensor] = policy
        self._node.get_logger().warning(
            f"a publisher of {self._topics[sensor]} cannot be heard: its QoS is incompatible ({policy}); "
            f"change it, or set qos_overrides.{self._topics[sensor]}.subscription.*"
        )

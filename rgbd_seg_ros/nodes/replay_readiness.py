"""Whether a play can begin: the segmenter is active, connected to both cameras, and heard by the recorder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.publisher import Publisher

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.nodes import qos


class Readiness:
    """Reads from `/diagnostics` what the segmenter itself says of its connections.

    Whether somebody subscribes to a topic is known to every process, but a process may know it a second before the
    publisher does when the machine is busy, and what is published in between reaches nobody.
    """

    def __init__(
        self, node: Node, target: str, cameras: Mapping[Sensor, Publisher], spin: Callable[[float], None]
    ) -> None:
        self._node, self._target, self._cameras, self._spin = node, target, cameras, spin
        self._said: dict[str, dict[str, str]] = {}
        self._subscription = node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.status_output()
        )

    def wait(self, timeout_s: float) -> None:
        """Call `spin` (seconds) until everything is connected, then stop listening.

        Raises:
            UserError: when that takes longer than `timeout_s`, or the segmenter says that it cannot become active.
        """
        deadline = time.monotonic() + timeout_s
        while missing := self.missing():
            if self._gave_up:
                raise UserError(f"the play cannot begin: {missing}")
            if time.monotonic() > deadline:
                raise UserError(f"the play cannot begin after {timeout_s:.0f} s: {missing}")
            self._spin(0.1)
        self._node.destroy_subscription(self._subscription)

    def missing(self) -> str:
        """What keeps the play from beginning, as a sentence; empty when nothing does."""
        if "node" not in self._said:
            return f"{self._target} does not answer"
        node = self._said["node"]
        if node["state"] != "active":
            return f"{self._target} is not active: {node['message']}"
        for sensor, camera in self._cameras.items():
            heard = int(self._said.get(sensor.value, {}).get("publishers", 0))
            if not heard or not camera.get_subscription_count():
                return f"{self._target} does not hear {sensor.value}"
        unheard = [topic for topic in ("label_image", "status") if not int(node[f"{topic}_subscribers"])]
        return f"nobody records {' and '.join(unheard)}" if unheard else ""

    @property
    def _gave_up(self) -> bool:
        node = self._said.get("node", {})
        return node.get("level") == "error" and node["state"] != "active"

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        own = f"{self._target.lstrip('/')}: "
        said = {
            status.name.removeprefix(own): {
                "message": status.message,
                "level": "error" if status.level == DiagnosticStatus.ERROR else "",
                **{v.key: v.value for v in status.values},
            }
            for status in message.status
            if status.name.startswith(own)
        }
        if said:  # /diagnostics is shared with every node of the robot
            self._said = said

"""QoS profiles by purpose, and the report of publishers that cannot be heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

SENSOR_DEPTH = 10
"""Images of one topic that wait in DDS while the executor does not take them: a third of a second at 30 Hz."""


def sensor_input() -> QoSProfile:
    """Subscriptions of images and camera_info: best effort hears every camera, reliable or not (REP 2003)."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=SENSOR_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)


def image_output() -> QoSProfile:
    """Publishers of images: reliable, so that every subscriber fits (REP 2003)."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)


def status_output() -> QoSProfile:
    """Publishers of small messages that a recorder must not miss."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE)


def latched_output() -> QoSProfile:
    """Publishers of facts that a late subscriber must get too."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def overridable() -> QoSOverridingOptions:
    """Lets parameters `qos_overrides.<topic>.subscription.{history,depth,reliability}` change a profile."""
    return QoSOverridingOptions.with_default_policies()


def incompatible_qos_callbacks(report: Callable[[str], None]) -> SubscriptionEventCallbacks:
    """Event callbacks that give `report` the name of the policy for which a publisher is not heard."""

    def on_event(event: Any) -> None:
        report(qos_policy_name_from_kind(event.last_policy_kind))

    return SubscriptionEventCallbacks(incompatible_qos=on_event)

"""The publishers of the segmenter node and what goes out on them."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.core.records import WorkOrder
from rgbd_seg_ros.inference.segmenter import Segmentation
from rgbd_seg_ros.nodes import qos
from rgbd_seg_ros.nodes.calibration import camera_info_for
from rgbd_seg_ros.nodes.clouds import CloudBuilder, stamped
from rgbd_seg_ros.nodes.extras import LABEL_INFO_TYPE, label_info_message
from rgbd_seg_ros.nodes.messages import image_message
from rgbd_seg_ros.nodes.pictures import base_image, overlay, palette

LAST_WORDS = Duration(nanoseconds=500_000_000)
"""How long a reader may take to confirm the last status before its publisher goes away."""


def header_frame(order: WorkOrder, stamp_source: str) -> Frame:
    """The frame whose stamp and frame_id the label image carries.

    It is the frame that was labelled; where a pair was, `stamp_source` (rgb, depth or later) chooses.
    """
    labelled = [f for f in order.frames if f.sensor in order.mode.sensors]
    if len(labelled) == 1:
        return labelled[0]
    if stamp_source == "later":
        return max(labelled, key=lambda f: f.stamp_ns)
    return next(f for f in labelled if f.sensor.value == stamp_source)


class Outputs:
    """Everything that the node publishes while it is configured.

    Attributes:
        intrinsics: of the colour camera, for the labelled points; None until a camera_info has come.
        camera_info: the newest message, for the one beside the labels.
    """

    def __init__(self, node: Node, label_set: LabelSet, stamp_source: str, overlay_opacity: float) -> None:
        self.intrinsics: Intrinsics | None = None
        self.camera_info: CameraInfo | None = None
        self._node = node
        self._stamp_source = stamp_source
        self._opacity = overlay_opacity
        self._palette = palette(label_set)
        self._clouds = CloudBuilder()
        images = qos.image_output()
        self._label = node.create_publisher(Image, "~/label_image", images)
        self._confidence = node.create_publisher(Image, "~/confidence", images)
        self._camera_info = node.create_publisher(CameraInfo, "~/camera_info", images)
        self._overlay = node.create_publisher(Image, "~/overlay", images)
        self._points = node.create_publisher(PointCloud2, "~/labeled_points", images)
        self._status = node.create_publisher(DiagnosticArray, "~/status", qos.status_output())
        self._label_info = self._publish_label_info(label_set)

    def publish(self, order: WorkOrder, result: Segmentation) -> int:
        """Publish label image and confidence, and overlay and points where somebody listens.

        Returns:
            The stamp that all of them carry, nanoseconds.
        """
        head = header_frame(order, self._stamp_source)
        self._label.publish(image_message(result.label, "mono8", head.stamp_ns, head.frame_id))
        self._confidence.publish(image_message(result.confidence, "mono8", head.stamp_ns, head.frame_id))
        camera = self.camera_info  # read once: the executor's thread replaces it
        if camera is not None and self._camera_info.get_subscription_count():
            size = (result.label.shape[0], result.label.shape[1])
            self._camera_info.publish(camera_info_for(camera, size, head.stamp_ns, head.frame_id))
        if self._overlay.get_subscription_count():
            self._publish_overlay(order, result, head)
        if self._points.get_subscription_count():
            self._publish_points(order, result, head)
        return head.stamp_ns

    def publish_status(self, message: DiagnosticArray) -> None:
        """Publish one status message."""
        self._status.publish(message)

    def subscribers(self) -> dict[str, int]:
        """How many subscriptions this node's publishers of labels and statuses have been matched with, by topic."""
        publishers = {"label_image": self._label, "status": self._status}
        return {topic: publisher.get_subscription_count() for topic, publisher in publishers.items()}

    def destroy(self) -> None:
        """Remove every publisher from the ROS graph, once the last status has reached its readers."""
        self._status.wait_for_all_acked(LAST_WORDS)
        images = [self._label, self._confidence, self._camera_info, self._overlay, self._points]
        publishers = [*images, self._status, self._label_info]
        for publisher in publishers:
            if publisher is not None:
                self._node.destroy_publisher(publisher)

    def _publish_label_info(self, label_set: LabelSet) -> Publisher | None:
        if LABEL_INFO_TYPE is None:
            self._node.get_logger().warning(
                "vision_msgs is not installed: ~/label_info is not published; /diagnostics lists the class names."
            )
            return None
        publisher = self._node.create_publisher(LABEL_INFO_TYPE, "~/label_info", qos.latched_output())
        publisher.publish(label_info_message(label_set.classes, self._node.get_clock().now().to_msg(), ""))
        return publisher

    def _publish_overlay(self, order: WorkOrder, result: Segmentation, head: Frame) -> None:
        base = order.rgb if Sensor.RGB in order.mode.sensors else order.depth
        assert base is not None  # the mode reads this sensor
        picture = overlay(base_image(base), result.label, self._palette, self._opacity)
        self._overlay.publish(image_message(picture, "rgb8", head.stamp_ns, head.frame_id))

    def _publish_points(self, order: WorkOrder, result: Segmentation, head: Frame) -> None:
        if order.mode is Mode.RGB or order.depth is None:
            return  # no trustworthy depth: no cloud
        camera = self.intrinsics  # read once: the executor's thread replaces it with every camera_info
        if camera is None:
            self._node.get_logger().warning(
                "~/labeled_points needs rgb/camera_info, and no valid one has come.", throttle_duration_sec=10.0
            )
            return
        fused = order.mode is Mode.FUSION and order.rgb is not None
        colors = base_image(order.rgb) if fused and order.rgb is not None else self._palette[result.label]
        cloud = self._clouds.build(order.depth, camera, colors, result.label, result.confidence)
        self._points.publish(stamped(cloud, head.stamp_ns, head.frame_id))

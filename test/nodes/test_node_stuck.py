"""A node that waits: for an inference that never came back, and for models that take long to load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import Station
from rclpy.lifecycle import TransitionCallbackReturn

from rgbd_seg_ros.inference.testing import write_test_bundle
from rgbd_seg_ros.nodes import segmenter_node
from rgbd_seg_ros.nodes.segmenter_node import STUCK, SegmenterNode

pytestmark = pytest.mark.ros

DOMAIN = 87


class HangingWorker:
    """Stands for a worker whose inference hangs until it is told to return."""

    hangs = True

    def close(self, timeout_s: float = 10.0) -> bool:
        return not self.hangs


class Held:
    """Stands for the engine and the outputs that the hanging thread uses."""

    freed = False

    def close(self) -> None:
        self.freed = True

    destroy = close


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SegmenterNode]:
    bundle = write_test_bundle(tmp_path / "bundle", 24, 32)
    rclpy.init(args=["--ros-args", "-p", f"bundle:={bundle.folder}", "-p", "autostart:=false"], domain_id=DOMAIN)
    node = SegmenterNode()
    yield node
    node.release()
    node.destroy_node()
    rclpy.try_shutdown()


def test_models_in_the_hands_of_a_hanging_inference_are_neither_freed_nor_loaded_again(node: SegmenterNode) -> None:
    worker, engine, outputs = HangingWorker(), Held(), Held()
    node._worker, node._engine, node._outputs = worker, engine, outputs  # type: ignore[assignment]
    node._stop()
    node._unload()
    assert node.stuck
    assert not engine.freed
    assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert node.report().failure == STUCK
    worker.hangs = False  # it has come back
    assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
    assert engine.freed
    assert outputs.freed
    assert not node.stuck


def test_diagnostics_go_on_while_models_are_loaded(node: SegmenterNode, monkeypatch: pytest.MonkeyPatch) -> None:
    load = segmenter_node._load_segmenter

    def slowly(*args: Any) -> Any:
        time.sleep(2.5)
        return load(*args)

    monkeypatch.setattr(segmenter_node, "_load_segmenter", slowly)
    station = Station(DOMAIN)
    try:
        station.wait("the node in the graph", lambda: station.node.count_publishers("/diagnostics"))
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        loading = "loading the models, "
        heard = station.wait(
            "two reports", lambda: sum(d.status[0].message.startswith(loading) for d in station.diagnostics) >= 2
        )
    finally:
        station.close()
    assert heard
    while_loading = [d.status[0] for d in station.diagnostics if d.status[0].message.startswith(loading)]
    assert {status.level for status in while_loading} == {DiagnosticStatus.WARN}
    assert node.report().state == "inactive"

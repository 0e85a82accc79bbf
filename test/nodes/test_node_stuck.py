"""A node whose last inference never came back: what it refuses, and what it does once the inference returns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn

from rgbd_seg_ros.inference.testing import write_test_bundle
from rgbd_seg_ros.nodes.segmenter_node import STUCK, SegmenterNode

pytestmark = pytest.mark.ros


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
    rclpy.init(args=["--ros-args", "-p", f"bundle:={bundle.folder}", "-p", "autostart:=false"], domain_id=87)
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

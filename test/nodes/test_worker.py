"""The worker thread alone, with a scripted engine: slow networks, engines that break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.health import HealthConfig
from rgbd_seg_ros.core.records import DropReason, WorkOrder
from rgbd_seg_ros.core.stream import StreamConfig
from rgbd_seg_ros.inference.segmenter import Segmentation
from rgbd_seg_ros.nodes.diagnostics import NodeReport, node_status
from rgbd_seg_ros.nodes.intake import Inbox
from rgbd_seg_ros.nodes.pulse import Pulse
from rgbd_seg_ros.nodes.worker import TOO_SLOW, Worker

RATE_HZ = 10.0
PERIOD_NS = round(1e9 / RATE_HZ)


@dataclass
class Settings:
    """What the worker reads of the node's settings."""

    stream: StreamConfig = field(
        default_factory=lambda: StreamConfig(health={s: HealthConfig(expected_rate_hz=RATE_HZ) for s in Sensor})
    )
    queue_size: int = 4
    max_queue_age_ns: int = 450_000_000


class ScriptedEngine:
    """Does as it is told with each order."""

    modes = frozenset({Mode.FUSION, Mode.RGB, Mode.DEPTH})
    incidents, errors, last_error, backend = "", 0, "", "script"

    def __init__(self, act: Callable[[WorkOrder], None]) -> None:
        self._act = act
        self.served: list[WorkOrder] = []

    def segment(self, order: WorkOrder) -> Segmentation:
        self.served.append(order)
        self._act(order)
        return Segmentation(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), {})


class Listener:
    """Takes what the node would publish."""

    def __init__(self) -> None:
        self.statuses: list[DiagnosticArray] = []

    def publish(self, order: WorkOrder, result: Segmentation) -> int:
        return order.frames[0].stamp_ns

    def publish_status(self, status: DiagnosticArray) -> None:
        self.statuses.append(status)


@dataclass
class Bench:
    """A worker at work."""

    engine: ScriptedEngine
    inbox: Inbox = field(default_factory=Inbox)
    outputs: Listener = field(default_factory=Listener)
    failures: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.worker = Worker(
            Settings(),  # type: ignore[arg-type]
            self.engine,  # type: ignore[arg-type]
            self.outputs,  # type: ignore[arg-type]
            self.inbox,
            Pulse(),
            self.lines.append,
            lambda: self.failures.append(self.worker.failure),
        )

    def play(self, pairs: int, look: Callable[[], None] = lambda: None) -> None:
        """Two healthy cameras in real time; `look` is called before each pair."""
        rng, start = np.random.default_rng(0), time.monotonic()
        for index in range(pairs):
            time.sleep(max(0.0, start + index / RATE_HZ - time.monotonic()))
            look()
            now, stamp = time.monotonic_ns(), 10**18 + index * PERIOD_NS
            self.inbox.post(Frame(Sensor.RGB, stamp, now, rng.integers(20, 200, (24, 32, 3), dtype=np.uint8)))
            depth = rng.integers(500, 3000, (24, 32)).astype(np.uint16)
            self.inbox.post(Frame(Sensor.DEPTH, stamp, now + 1, depth))


def test_a_network_slower_than_the_stale_limit_does_not_make_healthy_cameras_look_silent() -> None:
    """0.4 s an image at 10 Hz: frames are lost for want of time, but those that are labelled are pairs."""
    bench = Bench(ScriptedEngine(lambda order: time.sleep(0.4)))
    bench.play(30)
    bench.worker.close()
    served = [order.mode for order in bench.engine.served]
    assert Mode.FUSION in served
    assert set(served[served.index(Mode.FUSION) :]) == {Mode.FUSION}
    assert set(bench.worker.report.dropped) <= {DropReason.OVERLOAD, DropReason.SHUTDOWN}


def test_an_overload_is_told_with_its_remedy_until_inference_keeps_up_again() -> None:
    slow = 10
    bench = Bench(ScriptedEngine(lambda order: time.sleep(0.25 if len(bench.engine.served) < slow else 0.0)))
    told: list[DiagnosticStatus] = []

    def look() -> None:
        report = NodeReport("active", worker=bench.worker.report)
        told.append(node_status("segmenter", report, time.monotonic_ns()))

    bench.play(90, look)
    bench.worker.close()
    too_slow = [TOO_SLOW in status.message for status in told]
    assert any(too_slow)
    assert not too_slow[0]
    assert not too_slow[-1]
    assert all(status.level >= DiagnosticStatus.WARN for status, slow in zip(told, too_slow, strict=True) if slow)
    assert told[-1].level == DiagnosticStatus.OK
    lines = [line for line in bench.lines if line.startswith("inference ")]
    assert lines == [TOO_SLOW, "inference keeps up with the cameras again"]


def test_an_inference_that_hangs_does_not_keep_whoever_closes_the_worker() -> None:
    go_on = threading.Event()
    bench = Bench(ScriptedEngine(lambda order: go_on.wait(60) and None))
    bench.play(3)
    started = time.monotonic()
    assert not bench.worker.close(timeout_s=0.2)
    assert time.monotonic() - started < 5
    go_on.set()
    assert bench.worker.close()


def test_a_worker_that_breaks_unexpectedly_still_counts_every_frame_and_says_so() -> None:
    def act(order: WorkOrder) -> None:
        if len(bench.engine.served) == 8:
            raise KeyError("a mistake in the code")

    bench = Bench(ScriptedEngine(act))
    bench.play(20)
    while not bench.failures:
        time.sleep(0.01)
    bench.worker.close()
    report = bench.worker.report
    assert "KeyError" in bench.failures[0]
    received = sum(sensor.received for sensor in report.snapshot.sensors.values())
    labelled = sum(len(order.frames) for order in bench.engine.served[:-1])
    assert received == labelled + sum(report.dropped.values())
    assert report.dropped[DropReason.INFERENCE_ERROR] == len(bench.engine.served[-1].frames)
    assert "KeyError" in bench.outputs.statuses[-1].status[0].message

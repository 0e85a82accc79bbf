"""`/diagnostics` once a second on a steady clock: the node and its two inputs, the most specific cause first."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import SensorReport, SensorState
from rgbd_seg_ros.nodes import qos
from rgbd_seg_ros.nodes.status import LEVELS, NOT_KNOWN, key_values, milliseconds
from rgbd_seg_ros.nodes.worker import TOO_SLOW, WorkerReport

PERIOD_S = 1.0
HUNG_NS = 2_000_000_000
"""The worker reports at least four times a second unless an inference or a reload of the models takes its time."""


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What only ROS knows of an input.

    Attributes:
        topic: the name it is subscribed by.
        publishers: how many there are at present.
        unheard_policy: the QoS policy for which a publisher is not heard; empty when none is.
    """

    topic: str
    publishers: int
    unheard_policy: str = ""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """State of the node at one moment; worker and inputs are empty while it is not active.

    Attributes:
        state: label of the lifecycle state.
        failure: why the node gave up or could not be configured; empty otherwise.
        facts: bundle, backend, label set, class names: what helps a person.
        worker: report of the worker.
        inputs: by sensor.
        subscribers: of the outputs, by topic; empty while it is not configured.
        busy: what keeps the node from anything else at present; empty otherwise.
    """

    state: str
    failure: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    worker: WorkerReport | None = None
    inputs: dict[Sensor, InputFacts] = field(default_factory=dict)
    subscribers: dict[str, int] = field(default_factory=dict)
    busy: str = ""


class Diagnostics:
    """Publishes a report once a second for as long as the node exists.

    The timer runs on a steady clock: dead cameras, a paused simulation or an absent /clock do not silence it.
    """

    def __init__(self, node: Node, report: Callable[[], NodeReport]) -> None:
        self._node = node
        self._report = report
        self._busy = ""
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.status_output())
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @contextlib.contextmanager
    def while_busy(self, what: str) -> Iterator[None]:
        """Publish on from a thread while the caller does `what`, which keeps the executor from its timers."""
        done, started = threading.Event(), time.monotonic()

        def tell() -> None:
            while not done.is_set():
                self._busy = f"{what}, {time.monotonic() - started:.0f} s so far"
                self.publish()
                done.wait(PERIOD_S)

        thread = threading.Thread(target=tell, name="diagnostics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._busy = ""

    def publish(self) -> None:
        """Publish the present state."""
        report = dataclasses.replace(self._report(), busy=self._busy)
        name = self._node.get_fully_qualified_name().lstrip("/")  # two nodes of one name live in two namespaces
        array = DiagnosticArray(status=[node_status(name, report, time.monotonic_ns())])
        array.header.stamp = self._node.get_clock().now().to_msg()
        if report.worker is not None:
            for sensor, facts in report.inputs.items():
                health = report.worker.snapshot.sensors[sensor]
                array.status.append(input_status(name, sensor, facts, health))
        self._publisher.publish(array)

    def destroy(self) -> None:
        """Stop publishing."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)


def node_status(name: str, report: NodeReport, now_ns: int) -> DiagnosticStatus:
    """One status for the node itself: lifecycle state, mode, failures, drops."""
    values = {"state": report.state, **report.facts}
    values |= {f"{topic}_subscribers": str(count) for topic, count in report.subscribers.items()}
    level, message = DiagnosticStatus.OK, report.state
    if report.failure:
        level, message = DiagnosticStatus.ERROR, report.failure
    elif report.busy:
        level, message = DiagnosticStatus.WARN, report.busy
    elif report.worker is not None and now_ns - report.worker.at_ns > HUNG_NS:
        seconds = (now_ns - report.worker.at_ns) / 1e9
        level, message = DiagnosticStatus.ERROR, f"one inference or reload has taken {seconds:.0f} s so far"
    elif report.worker is not None:
        mode = report.worker.snapshot.mode
        level, message = LEVELS[mode], f"mode {mode.value}: {report.worker.snapshot.reason}"
        if report.worker.overloaded:
            level, message = max(level, DiagnosticStatus.WARN), f"{message}; {TOO_SLOW}"
    if report.worker is not None:
        values |= _worker_values(report.worker)
    return DiagnosticStatus(level=level, name=f"{name}: node", message=message, values=key_values(values))


def input_status(name: str, sensor: Sensor, facts: InputFacts, health: SensorReport) -> DiagnosticStatus:
    """One status for an input: what is wrong with it, from the wire upward."""
    cause = _cause(facts, health)
    level = DiagnosticStatus.OK
    if health.state is not SensorState.OK:
        level = DiagnosticStatus.WARN if health.state.usable else DiagnosticStatus.ERROR
    values = {
        "topic": facts.topic,
        "publishers": str(facts.publishers),
        "state": health.state.value,
        "age_ms": milliseconds(health.age_ns),
        "rate_hz": _hertz(health.rate_hz),
        "expected_rate_hz": _hertz(health.expected_rate_hz),
        "received": str(health.received),
    }
    return DiagnosticStatus(
        level=level, name=f"{name}: {sensor.value}", message=cause, hardware_id=facts.topic, values=key_values(values)
    )


def _cause(facts: InputFacts, health: SensorReport) -> str:
    silent = health.state in (SensorState.WAITING, SensorState.STALE)
    if silent and facts.unheard_policy:
        return f"a publisher of {facts.topic} is not heard: incompatible QoS ({facts.unheard_policy})"
    if silent and facts.publishers == 0:
        return f"nobody publishes {facts.topic}"
    return f"{health.state.value}: {health.cause}" if health.cause else health.state.value


def _worker_values(worker: WorkerReport) -> dict[str, str]:
    values = {f"labelled_{mode.value}": str(worker.labelled.get(mode, 0)) for mode in Mode if mode is not Mode.NONE}
    values |= {f"dropped_{reason.value}": str(count) for reason, count in sorted(worker.dropped.items())}
    values["inference_errors"] = str(worker.errors)
    if worker.pauses:  # a machine without time for the node is a machine with too much else to do
        values |= {"pauses": str(worker.pauses), "paused_ms": f"{worker.paused_ms:.0f}"}
    if worker.backend:  # it may have changed since the node was configured
        values["backend"] = worker.backend
    if worker.incidents:
        values["backend_incidents"] = worker.incidents
    if worker.last_error:
        values["last_error"] = worker.last_error
    for name in ("inference", "latency"):
        value = getattr(worker.times, name)
        values[f"{name}_ms"] = NOT_KNOWN if value is None else f"{value:.3f}"
    return values


def _hertz(rate: float | None) -> str:
    return NOT_KNOWN if rate is None else f"{rate:.1f}"

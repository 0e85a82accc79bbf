"""The worker thread: owner of the stream, the queue of work orders and the segmenter. Nothing else touches them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rgbd_seg_ros.core.backlog import Backlog
from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.records import Drop, DropReason, ModeSwitch, StreamSnapshot, WorkOrder
from rgbd_seg_ros.core.stream import RgbdStream
from rgbd_seg_ros.nodes.engine import Engine, EngineError
from rgbd_seg_ros.nodes.intake import Inbox, Rejection
from rgbd_seg_ros.nodes.outputs import Outputs
from rgbd_seg_ros.nodes.parameters import NodeSettings
from rgbd_seg_ros.nodes.pulse import Pulse
from rgbd_seg_ros.nodes.status import OutputStatus, OutputTimes

IDLE_S = 0.25
"""The worker looks at its streams at least this often."""
CLOSE_S = 10.0
"""An inference that takes longer than this hangs."""
TOO_SLOW = (
    "inference is slower than the cameras, only the newest images are labelled; give a smaller network_size, a faster "
    "backend or more threads"
)
PENDING_S = 0.5
"""Drops and switches wait this long for an output that would carry them, then go out in a status of their own."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What diagnostics may know of the worker; immutable, replaced as a whole.

    Attributes:
        at_ns: steady time of the report.
        snapshot: of the stream.
        labelled: label images by mode since activation.
        dropped: frames without a label by reason since activation.
        errors: failed inferences since activation.
        last_error: text of the newest failure.
        times: of the newest output.
        backend: runtime in use, and why.
        incidents: failures of the runtime that cost no label, see `Engine.incidents`.
        pauses: how often the process stood still since activation.
        paused_ms: for how long, all together.
        overloaded: inference does not keep up with the cameras, and not only for a moment.
    """

    at_ns: int
    snapshot: StreamSnapshot
    labelled: dict[Mode, int] = field(default_factory=dict)
    dropped: dict[DropReason, int] = field(default_factory=dict)
    errors: int = 0
    last_error: str = ""
    times: OutputTimes = field(default_factory=OutputTimes)
    backend: str = ""
    incidents: str = ""
    pauses: int = 0
    paused_ms: float = 0.0
    overloaded: bool = False


class Worker:
    """Runs from construction until `close`.

    Args:
        settings: of the node.
        engine: the models; lent to the worker until `close` returns.
        outputs: where labels go.
        inbox: where frames come from.
        pulse: tells when the process stood still.
        log: takes one line for each change of mode, each failed inference, begin and end of an overload.
        on_failure: called once, from the worker's thread, when it gives up; the thread then ends.

    Attributes:
        report: state for diagnostics.
        failure: why the worker gave up; empty while it works.
    """

    def __init__(
        self,
        settings: NodeSettings,
        engine: Engine,
        outputs: Outputs,
        inbox: Inbox,
        pulse: Pulse,
        log: Callable[[str], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._stream = RgbdStream(settings.stream, engine.modes)
        self._backlog = Backlog(settings.queue_size, settings.max_queue_age_ns)
        self._engine = engine
        self._outputs = outputs
        self._inbox = inbox
        self._pulse = pulse
        self._log = log
        self._on_failure = on_failure
        self._fed_ns = time.monotonic_ns()
        self._drops: list[Drop] = []
        self._in_hand: WorkOrder | None = None
        self._switches: list[ModeSwitch] = []
        self._pending_since_ns: int | None = None
        self._dropped: Counter[DropReason] = Counter()
        self._labelled: Counter[Mode] = Counter()
        self._times = OutputTimes()
        self._publish_ms: float | None = None
        self._incidents = engine.incidents
        self.failure = ""
        self.report = WorkerReport(self._fed_ns, self._stream.snapshot(self._fed_ns))
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Drop what waits, say so in a last status, and end the thread.

        Returns:
            Whether it has ended; an inference that hangs keeps it, and then engine and outputs are still in its hands.
        """
        self._inbox.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._inbox.closed and not self.failure:
                self._step()
            self._finish(self.failure or "the node was deactivated")
        except Exception as error:  # a worker that ended unseen would be silence without a reason
            self.failure = f"the worker failed: {type(error).__name__}: {error}"
            self._account(self.failure)
        if self.failure:
            self._on_failure()

    def _account(self, failure: str) -> None:
        """After an unexpected failure: count the order in hand and all that waits, as far as that is possible."""
        if self._in_hand is not None:
            self._lose(self._in_hand, failure)
        try:
            self._finish(failure)
        except Exception as error:  # most likely what failed before: a publisher that is gone
            self._log(f"no last status: {type(error).__name__}: {error}")

    def _step(self) -> None:
        self._take(self._inbox.take(self._patience_s()))
        order = self._backlog.pop(time.monotonic_ns())
        if order is not None:
            self._serve(order)
        self._collect()
        self._send_pending()
        self._write_report()

    def _serve(self, order: WorkOrder) -> None:
        """Label and publish one order, or count its frames as dropped."""
        self._in_hand = order
        try:
            self._label(order)
        except EngineError as failure:
            self._lose(order, str(failure))
            self._log(f"no labels in mode {order.mode.value}: {failure}")
            if failure.final:
                self.failure = str(failure)
        self._in_hand = None

    def _lose(self, order: WorkOrder, why: str) -> None:
        self._drops += [Drop(f.sensor, f.stamp_ns, DropReason.INFERENCE_ERROR, why) for f in order.frames]
        self._dropped[DropReason.INFERENCE_ERROR] += len(order.frames)

    def _patience_s(self) -> float:
        if len(self._backlog):
            return 0.0
        deadline = self._stream.deadline_ns()
        if deadline is None:
            return IDLE_S
        return min(IDLE_S, max(0.0005, (deadline - time.monotonic_ns()) / 1e9))

    def _fed(self, moment_ns: int) -> int:
        """The clock of the stream, moved on to `moment_ns` unless it is further already.

        It is apart from the real one: while an inference runs the real time goes on, and the frames that come
        meanwhile are fed at their own times afterwards.
        """
        self._fed_ns = max(self._fed_ns, moment_ns)
        return self._fed_ns

    def _take(self, items: list[Frame | Rejection]) -> None:
        """Feed the stream as if each item had been taken when it was there, decoded.

        After a long inference several frames wait here. Were they all taken at the present moment, a stream whose
        frames are only queued behind the other's would look silent.
        """
        for begin_ns, end_ns in self._pulse.take(time.monotonic_ns()):
            self._stream.paused(begin_ns, end_ns)
        for item in items:
            now = self._fed(item.available_ns)
            if isinstance(item, Frame):
                self._stream.accept(item, now)
            else:
                self._stream.reject(item.sensor, item.stamp_ns, item.reason, item.detail, now)
        for order in self._stream.orders(self._fed(time.monotonic_ns())):
            self._backlog.push(order)

    def _label(self, order: WorkOrder) -> None:
        started = time.monotonic_ns()
        result = self._engine.segment(order)
        if (incidents := self._engine.incidents) != self._incidents:
            self._incidents = incidents
            self._log(f"labelled by backend {self._engine.backend} after {incidents}")
        labelled = time.monotonic_ns()
        stamp_ns = self._outputs.publish(order, result)
        published = time.monotonic_ns()
        self._labelled[order.mode] += 1
        self._in_hand = None
        self._times = OutputTimes(
            wait=order.waited_ns / 1e6,
            queue=(started - order.created_ns) / 1e6,
            publish=self._publish_ms,
            latency=(published - order.arrival_ns) / 1e6,
            **result.stage_ms,
        )
        self._collect()
        stamps = {f.sensor: f.stamp_ns for f in order.frames}
        self._send_status(order.mode, order.reason, stamps, stamp_ns, self._times)
        self._publish_ms = (time.monotonic_ns() - labelled) / 1e6

    def _collect(self) -> None:
        """Gather drops and switches of stream and queue for the next status."""
        drops = self._stream.take_drops() + self._backlog.take_drops()
        switches = self._stream.take_switches()
        self._dropped.update(drop.reason for drop in drops)
        self._drops += drops
        self._switches += switches
        for switch in switches:
            self._log(f"mode {switch.before.value} -> {switch.after.value}: {switch.cause}")
        if not self._drops and not self._switches:
            self._pending_since_ns = None
        elif self._pending_since_ns is None:
            self._pending_since_ns = time.monotonic_ns()

    def _send_pending(self) -> None:
        if self._pending_since_ns is not None and time.monotonic_ns() - self._pending_since_ns > PENDING_S * 1e9:
            self._send_status(Mode.NONE, self._stream.snapshot(time.monotonic_ns()).reason, {}, 0, OutputTimes())

    def _send_status(
        self, mode: Mode, reason: str, stamps_ns: dict[Sensor, int], label_stamp_ns: int, times: OutputTimes
    ) -> None:
        snapshot = self._stream.snapshot(time.monotonic_ns())
        dropped = sum(self._dropped.values())
        status = OutputStatus(
            mode, reason, stamps_ns, label_stamp_ns, snapshot, times, dropped, self._drops, self._switches
        )
        self._outputs.publish_status(status.message())
        self._drops, self._switches, self._pending_since_ns = [], [], None

    def _finish(self, reason: str) -> None:
        """Count everything that still waits as dropped, and say that no label image follows."""
        self._take(self._inbox.take(0.0))
        self._backlog.clear()
        self._stream.flush(time.monotonic_ns())
        self._collect()
        self._send_status(Mode.NONE, reason, {}, 0, OutputTimes())
        self._write_report()

    def _write_report(self) -> None:
        now = time.monotonic_ns()
        if self._backlog.overloaded != self.report.overloaded:
            self._log(TOO_SLOW if self._backlog.overloaded else "inference keeps up with the cameras again")
        self.report = WorkerReport(
            now,
            self._stream.snapshot(now),
            dict(self._labelled),
            dict(self._dropped),
            self._engine.errors,
            self._engine.last_error,
            self._times,
            self._engine.backend,
            self._incidents,
            self._pulse.pauses,
            self._pulse.paused_ns / 1e6,
            self._backlog.overloaded,
        )

"""The short queue between the stream and the one worker that runs inference."""

from __future__ import annotations

from collections import deque

from rgbd_seg_ros.core.records import Drop, DropReason, WorkOrder

RECOVERED_AFTER = 30
"""Orders in a row that found the queue empty before an overload is over: a second at 30 Hz."""


class Backlog:
    """A bounded queue of work orders that drops the oldest.

    Strictly keeping the newest order alone would lose a frame at every scheduling hiccup of one frame period; a few
    places absorb it, while the age limit bounds the latency. `max_orders = 1` gives the strict behaviour.

    Where the worker never catches up, a full queue only makes every label old. So when orders are still shed after as
    many served ones as the queue holds, and it was never empty since, the newest order alone is kept until the worker
    has kept up for `RECOVERED_AFTER` orders.
    """

    def __init__(self, max_orders: int = 4, max_age_ns: int = 150_000_000) -> None:
        if max_orders < 1:
            raise ValueError("a backlog needs at least one place")
        self._orders: deque[WorkOrder] = deque()
        self._max_orders = max_orders
        self._max_age_ns = max_age_ns
        self._drops: list[Drop] = []
        self._served: int | None = None
        """Orders served since one was shed for the first time; None once the queue was empty."""
        self._kept_up: int | None = None
        """Orders in a row that found the queue empty, during an overload; None while there is none."""

    @property
    def overloaded(self) -> bool:
        """Whether only the newest order is kept, because the worker does not catch up."""
        return self._kept_up is not None

    def __len__(self) -> int:
        return len(self._orders)

    def push(self, order: WorkOrder) -> None:
        """Queue an order; the oldest ones are dropped where there is no room."""
        if self._kept_up is not None and not self._orders:
            self._kept_up = self._kept_up + 1 if self._kept_up + 1 < RECOVERED_AFTER else None
        while len(self._orders) >= (1 if self.overloaded else self._max_orders):
            self._shed(self._orders.popleft(), "inference is slower than the camera")
        self._orders.append(order)

    def pop(self, now_ns: int) -> WorkOrder | None:
        """The oldest order that is young enough to be worth labelling; the newest one always is."""
        while self._orders:
            order = self._orders.popleft()
            if not self._orders or now_ns - order.arrival_ns <= self._max_age_ns:
                if self._served is not None:
                    self._served = self._served + 1 if self._orders else None
                return order
            self._shed(order, f"waited more than {self._max_age_ns / 1e6:.0f} ms")
        return None

    def _shed(self, order: WorkOrder, why: str) -> None:
        """Drop an order for want of time, and see whether that is for good."""
        self._drop(order, DropReason.OVERLOAD, why)
        if self._served is None:
            self._served = 0
        if self.overloaded or self._served >= self._max_orders:
            self._kept_up = 0

    def clear(self) -> None:
        """Drop everything that is queued (shutdown)."""
        while self._orders:
            self._drop(self._orders.popleft(), DropReason.SHUTDOWN, "the node was deactivated")

    def take_drops(self) -> list[Drop]:
        """Frames dropped since the last call."""
        drops, self._drops = self._drops, []
        return drops

    def _drop(self, order: WorkOrder, reason: DropReason, detail: str) -> None:
        self._drops += [Drop(f.sensor, f.stamp_ns, reason, detail) for f in order.frames]

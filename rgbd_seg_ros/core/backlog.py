"""The short queue between the stream and the one worker that runs inference."""

from __future__ import annotations

from collections import deque

from rgbd_seg_ros.core.records import Drop, DropReason, WorkOrder


class Backlog:
    """A bounded queue of work orders that drops the oldest.

    Strictly keeping the newest order alone would lose a frame at every scheduling hiccup of one frame period; a few
    places absorb it, while the age limit bounds the latency. `max_orders = 1` gives the strict behaviour.
    """

    def __init__(self, max_orders: int = 4, max_age_ns: int = 150_000_000) -> None:
        if max_orders < 1:
            raise ValueError("a backlog needs at least one place")
        self._orders: deque[WorkOrder] = deque()
        self._max_orders = max_orders
        self._max_age_ns = max_age_ns
        self._drops: list[Drop] = []

    def __len__(self) -> int:
        return len(self._orders)

    def push(self, order: WorkOrder) -> None:
        """Queue an order; the oldest one is dropped where there is no room."""
        if len(self._orders) >= self._max_orders:
            self._drop(self._orders.popleft(), DropReason.OVERLOAD, "inference is slower than the camera")
        self._orders.append(order)

    def pop(self, now_ns: int) -> WorkOrder | None:
        """The oldest order that is young enough to be worth labelling; the newest one always is."""
        while self._orders:
            order = self._orders.popleft()
            if not self._orders or now_ns - order.arrival_ns <= self._max_age_ns:
                return order
            self._drop(order, DropReason.OVERLOAD, f"waited more than {self._max_age_ns / 1e6:.0f} ms")
        return None

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

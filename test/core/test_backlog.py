from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import EPOCH, MS, frame

from rgbd_seg_ros.core.backlog import Backlog
from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import DropReason, WorkOrder


def order(at_ms: int) -> WorkOrder:
    return WorkOrder(Mode.RGB, frame(Sensor.RGB, EPOCH + at_ms * MS, at_ms * MS), None, "", at_ms * MS, 0)


def test_orders_leave_in_order():
    backlog = Backlog()
    first, second = order(0), order(33)
    backlog.push(first)
    backlog.push(second)
    assert [backlog.pop(40 * MS), backlog.pop(41 * MS), backlog.pop(42 * MS)] == [first, second, None]


def test_the_oldest_order_is_dropped_when_the_queue_is_full():
    backlog = Backlog(max_orders=2)
    for at in (0, 33, 66):
        backlog.push(order(at))
    assert [(d.stamp_ns, d.reason) for d in backlog.take_drops()] == [(EPOCH, DropReason.OVERLOAD)]
    assert len(backlog) == 2


def test_orders_that_waited_too_long_are_dropped_but_never_the_newest():
    backlog = Backlog(max_age_ns=100 * MS)
    newest = order(33)
    backlog.push(order(0))
    backlog.push(newest)
    assert backlog.pop(500 * MS) is newest
    assert len(backlog.take_drops()) == 1


def serve(backlog: Backlog, pace_ms: int, frames: int, start_ms: int = 0) -> list[int]:
    """A 30 Hz camera beside a worker that takes `pace_ms` an order: age in ms of each order when it is labelled."""
    ages, free = [], start_ms
    for index in range(frames):
        now = start_ms + index * 33
        while len(backlog) and free <= now:
            begin = max(free, start_ms)
            taken = backlog.pop(begin * MS)
            free = begin + pace_ms
            ages.append(free - taken.created_ns // MS)
        backlog.push(order(now))
        free = max(free, now) if len(backlog) == 1 else free
    return ages


@pytest.mark.parametrize("pace_ms", [37, 45, 90])
def test_a_worker_that_never_catches_up_labels_the_newest_order_instead_of_old_ones(pace_ms):
    backlog = Backlog()
    ages = serve(backlog, pace_ms, 400)
    late = ages[len(ages) // 4 :]
    assert backlog.overloaded
    assert max(late) <= 2 * pace_ms + 33
    assert len(ages) >= 0.9 * 400 * 33 / pace_ms


def test_a_worker_that_catches_up_again_gets_the_whole_queue_back():
    backlog = Backlog()
    serve(backlog, 45, 200)
    assert backlog.overloaded
    serve(backlog, 10, 60, start_ms=200 * 33)
    assert not backlog.overloaded
    backlog.take_drops()
    for at in range(3):
        backlog.push(order(20_000 + at))
    assert not backlog.take_drops()


def test_one_stall_is_no_overload():
    backlog = Backlog()
    serve(backlog, 15, 30)
    for at in range(8):
        backlog.push(order(2_000 + at))
    assert len(backlog.take_drops()) <= 5
    serve(backlog, 15, 30, start_ms=2_050)
    assert not backlog.overloaded


def test_a_queue_without_places_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Backlog(max_orders=0)


@given(st.lists(st.sampled_from(["push", "pop"]), max_size=60), st.integers(1, 5))
def test_every_order_is_popped_or_dropped_once(actions, places):
    backlog, now, pushed, popped = Backlog(places, 60 * MS), 0, 0, 0
    for action in actions:
        now += 20
        if action == "push":
            backlog.push(order(now))
            pushed += 1
        elif backlog.pop(now * MS) is not None:
            popped += 1
    backlog.clear()
    assert popped + len(backlog.take_drops()) == pushed

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

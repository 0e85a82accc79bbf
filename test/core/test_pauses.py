"""Time in which the node itself stood still is no silence of a sensor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from streams import EPOCH, MS, PERIOD, Rig, frame, steady

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.pauses import Pauses

spans = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 100)), max_size=8)


@given(spans, st.integers(0, 1200))
def test_every_moment_of_a_pause_counts_once(steps, moment):
    pauses, covered, begin = Pauses(), set(), 0
    for distance, length in steps:
        begin += distance // 10
        pauses.add(begin, begin + length)
        covered.update(range(begin, begin + length))
    assert pauses.since_ns(moment) == sum(t >= moment for t in covered)


def late(rig: Rig, index: int, pause: int, told: bool) -> list[Mode]:
    """The node stands still for `pause` while the cameras go on; what it missed arrives afterwards all at once."""
    begin = index * PERIOD - 5 * MS
    if told:
        rig.stream.paused(begin, begin + pause)
    missed = pause // PERIOD + 1
    before = len(rig.modes_out)
    for i in range(index, index + missed):
        arrival = max(begin + pause + i * MS // 10, i * PERIOD)
        rig.give(frame(Sensor.RGB, EPOCH + i * PERIOD, arrival))
        rig.give(frame(Sensor.DEPTH, EPOCH + i * PERIOD, arrival + MS))
    rig.play(index + missed, 30)
    return rig.modes_out[before:]


def test_fusion_outlasts_a_pause_of_the_node():
    rig, index = steady()
    assert set(late(rig, index, 300 * MS, told=True)) == {Mode.FUSION}
    assert not rig.drops


def test_the_same_silence_without_a_pause_is_a_fault():
    rig, index = steady()
    assert set(late(rig, index, 300 * MS, told=False)) != {Mode.FUSION}


def test_a_frame_waits_for_its_partner_through_a_pause_that_hits_between_the_two():
    rig, index = steady()
    begin = index * PERIOD
    rig.give(frame(Sensor.RGB, EPOCH + index * PERIOD, begin))
    rig.stream.paused(begin + MS, begin + 80 * MS)
    rig.give(frame(Sensor.DEPTH, EPOCH + index * PERIOD, begin + 81 * MS))
    when, order = rig.orders[-1]
    assert order.mode is Mode.FUSION
    assert len(order.frames) == 2
    assert when == begin + 81 * MS


def test_a_sensor_that_stops_in_a_pause_is_noticed_as_soon_after_it_as_ever():
    rig, index = steady()
    begin = index * PERIOD - 5 * MS
    rig.stream.paused(begin, begin + 200 * MS)
    first = index + 7
    rig.play(first, 10, skip=lambda s, i: s is Sensor.DEPTH)
    assert rig.stream.mode is Mode.RGB
    noticed = next(s.at_ns for s in rig.switches if s.after is Mode.RGB)
    assert noticed <= begin + 200 * MS + 3 * PERIOD + PERIOD

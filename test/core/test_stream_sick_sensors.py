"""What the stream makes of sick sensors: too slow, blank, frozen, wrong stamps, undecodable, late."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from streams import EPOCH, MS, PERIOD, Rig, covered, frame, image, steady

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import DropReason, SensorState

RGB, DEPTH = Sensor.RGB, Sensor.DEPTH


def test_half_rate_depth_is_slow_and_soon_fused_where_it_comes():
    rig, index = steady()
    before = len(rig.switches)
    rig.play(index, 200, skip=lambda s, i: s is DEPTH and i % 2 == 1)
    assert rig.stream.snapshot(rig.now).sensors[DEPTH].state is SensorState.SLOW
    assert [s.after for s in rig.switches[before:]] == [Mode.RGB, Mode.FUSION]
    tail = [o for _, o in rig.orders[-60:]]
    assert {o.mode for o in tail if o.depth is not None} == {Mode.FUSION}


def test_a_camera_with_half_the_rate_from_the_start_is_fused_where_it_has_a_partner():
    rig = Rig()
    rig.play(0, 200, skip=lambda s, i: s is DEPTH and i % 2 == 1)
    tail = [o for _, o in rig.orders[-60:]]
    assert {o.mode for o in tail if o.depth is not None} == {Mode.FUSION}
    assert {o.mode for o in tail if o.depth is None} == {Mode.RGB}
    assert rig.stream.snapshot(rig.now).sensors[DEPTH].state is SensorState.OK


def blank(item, index):
    if item.sensor is DEPTH:
        return replace(item, image=np.zeros_like(item.image))
    return item


def test_blank_depth_is_dropped_with_its_reason_and_colour_goes_on_alone():
    rig, index = steady()
    before = len(rig.orders)
    rig.play(index, 20, alter=blank)
    assert rig.stream.snapshot(rig.now).sensors[DEPTH].state is SensorState.BLANK
    assert [o.mode for _, o in rig.orders[before:]] == [Mode.RGB] * 20
    assert {d.reason for d in rig.drops} == {DropReason.BLANK}
    assert len(rig.drops) == 20


def test_frozen_depth_is_found_within_its_stated_number_of_frames():
    rig, index = steady()
    still = image(DEPTH, 7)
    before = len(rig.orders)
    rig.play(index, 30, alter=lambda f, i: replace(f, image=still) if f.sensor is DEPTH else f)
    assert rig.stream.snapshot(rig.now).sensors[DEPTH].state is SensorState.FROZEN
    fused = [o for _, o in rig.orders[before:] if o.mode is Mode.FUSION]
    assert len(fused) <= 6


def test_a_still_scene_without_noise_is_not_frozen():
    rig, index = steady()
    rig.play(index, 60, alter=lambda f, i: replace(f, image=image(f.sensor, 7)))
    assert rig.stream.mode is Mode.FUSION
    assert not rig.drops


@pytest.mark.parametrize("lost", [RGB, DEPTH])
def test_a_robot_that_stands_still_in_a_noise_free_simulator_keeps_labels_when_a_stream_stops(lost):
    rig, index = steady()
    index = rig.play(index, 30, alter=lambda f, i: replace(f, image=image(f.sensor, 7)))
    before = len(rig.orders)
    rig.play(index, 60, alter=lambda f, i: replace(f, image=image(f.sensor, 7)), skip=lambda s, i: s is lost)
    assert not rig.drops
    assert [o.mode for _, o in rig.orders[before:]] == [Mode.DEPTH if lost is RGB else Mode.RGB] * 60


def test_a_camera_that_repeats_itself_when_its_partner_stops_is_frozen_if_it_never_stood_still_before():
    rig, index = steady()
    still = image(RGB, 7)
    rig.play(index, 60, alter=lambda f, i: replace(f, image=still), skip=lambda s, i: s is DEPTH)
    assert rig.stream.snapshot(rig.now).sensors[RGB].state is SensorState.FROZEN
    assert {d.reason for d in rig.drops} == {DropReason.FROZEN}
    assert len(rig.drops) == 60 - 5


def test_two_cameras_that_were_dark_together_have_not_been_a_still_scene():
    rig, index = steady()
    index = rig.play(index, 30, alter=lambda f, i: replace(f, image=np.zeros_like(f.image)))
    index = rig.play(index, 30)
    rig.play(index, 60, alter=lambda f, i: replace(f, image=image(RGB, 7)), skip=lambda s, i: s is DEPTH)
    assert rig.stream.snapshot(rig.now).sensors[RGB].state is SensorState.FROZEN


def shifted(offset: int, sensors=(RGB, DEPTH)):
    def alter(item, index):
        return replace(item, stamp_ns=item.stamp_ns + offset) if item.sensor in sensors else item

    return alter


@pytest.mark.parametrize("offset", [-20_000_000_000, 20_000_000_000, -700_000_000])
def test_a_loop_or_clock_reset_of_both_recovers_within_a_second(offset):
    rig, index = steady()
    rig.play(index, 30, alter=shifted(offset))
    last = [o for when, o in rig.orders if when >= (index + 20) * PERIOD]
    assert {o.mode for o in last} == {Mode.FUSION}
    assert len(rig.drops) <= 6


@pytest.mark.parametrize("offset", [-20_000_000_000, 20_000_000_000])
def test_one_sensor_on_another_time_base_is_named_and_the_other_goes_on(offset):
    rig, index = steady()
    index = rig.play(index, 60, alter=shifted(offset, (DEPTH,)))
    assert rig.stream.snapshot(rig.now).sensors[DEPTH].state is SensorState.STAMPS
    assert rig.stream.mode is Mode.RGB
    rgb = {stamp for sensor, stamp in covered(rig) if sensor is RGB}
    assert len(rgb) == 90
    rig.play(index, 40)
    assert rig.stream.mode is Mode.FUSION


def test_one_wild_stamp_costs_that_frame_alone():
    rig, index = steady()
    rig.play(index, 30, alter=lambda f, i: replace(f, stamp_ns=0) if i == index + 3 and f.sensor is RGB else f)
    assert len(rig.drops) == 1
    assert rig.stream.mode is Mode.FUSION


def test_frozen_stamps_are_named():
    rig, index = steady()
    rig.play(index, 20, alter=lambda f, i: replace(f, stamp_ns=EPOCH + 29 * PERIOD) if f.sensor is RGB else f)
    assert rig.stream.snapshot(rig.now).sensors[RGB].state is SensorState.STAMPS
    assert rig.stream.mode is Mode.DEPTH


def test_undecodable_messages_make_the_sensor_invalid_not_stale():
    rig, index = steady()
    for i in range(index, index + 20):
        rig.give(frame(RGB, EPOCH + i * PERIOD, i * PERIOD))
        rig.reject(DEPTH, i * PERIOD + 2 * MS)
    report = rig.stream.snapshot(rig.now).sensors[DEPTH]
    assert report.state is SensorState.INVALID
    assert report.cause == "truncated"
    assert rig.stream.mode is Mode.RGB


def test_a_new_image_size_is_believed_after_three_frames():
    rig, index = steady()
    large = np.random.default_rng(0).integers(20, 200, (24, 32, 3), dtype=np.uint8)
    rig.play(index, 12, alter=lambda f, i: replace(f, image=large + i % 7) if f.sensor is RGB else f)
    assert Counter(d.reason for d in rig.drops) == {DropReason.SIZE_CHANGE: 2}
    assert rig.stream.mode is Mode.FUSION


def test_depth_that_always_comes_later_than_the_timeout_is_learned_and_paired():
    rig = Rig()
    rig.play(0, 60, lag=28 * MS)
    assert all(len(o.frames) == 2 for _, o in rig.orders[-40:])
    assert rig.modes_out[-40:] == [Mode.FUSION] * 40


def test_depth_delayed_by_a_quarter_second_is_not_labelled_late():
    rig, index = steady()
    before = len(rig.orders)
    for i in range(index, index + 30):
        rig.give(frame(RGB, EPOCH + i * PERIOD, i * PERIOD))
        if i >= index + 8:
            rig.give(frame(DEPTH, EPOCH + (i - 8) * PERIOD, i * PERIOD + MS))
    assert {o.mode for _, o in rig.orders[before:]} == {Mode.RGB}
    assert {d.reason for d in rig.drops} == {DropReason.LATE}


@pytest.mark.parametrize("uptime", [RGB, DEPTH])
def test_cameras_with_different_clocks_from_the_start_are_named_and_colour_goes_on(uptime):
    """One driver stamps with the time since boot, the other with that of the day."""
    rig = Rig()
    rig.play(0, 60, alter=lambda f, i: replace(f, stamp_ns=f.stamp_ns - EPOCH + 10**12) if f.sensor is uptime else f)
    reports = rig.stream.snapshot(rig.now).sensors
    assert (reports[RGB].state, reports[DEPTH].state) == (SensorState.OK, SensorState.STAMPS)
    assert "off those of rgb" in reports[DEPTH].cause
    assert rig.modes_out[-30:] == [Mode.RGB] * 30
    assert {d.reason for d in rig.drops[-30:]} == {DropReason.STAMP_JUMP}

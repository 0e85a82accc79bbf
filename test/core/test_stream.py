from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import ALL, EPOCH, MS, PERIOD, Rig, covered, frame, image, steady

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.modes import ModeConfig
from rgbd_seg_ros.core.records import DropReason, SensorState
from rgbd_seg_ros.core.stream import StreamConfig

RGB, DEPTH = Sensor.RGB, Sensor.DEPTH


def test_steady_stream_is_labelled_pair_by_pair():
    rig, _ = steady()
    pairs = [o for _, o in rig.orders if len(o.frames) == 2]
    assert len(pairs) >= 29
    assert all(o.rgb.stamp_ns == o.depth.stamp_ns for o in pairs)
    assert rig.modes_out[-20:] == [Mode.FUSION] * 20
    assert not rig.drops


@pytest.mark.parametrize("lost", [RGB, DEPTH])
def test_a_dropped_stream_is_replaced_at_once_and_no_later_frame_waits(lost):
    rig, index = steady()
    before = len(rig.orders)
    rig.play(index, 30, skip=lambda s, i: s is lost)
    after = rig.orders[before:]
    assert [o.mode for _, o in after] == [lost.other.mode] * 30
    waits = [when - o.arrival_ns for when, o in after]
    assert waits[0] <= PERIOD / 2 + 5 * MS
    assert max(waits[1:]) == 0


@pytest.mark.parametrize("lost", [RGB, DEPTH])
def test_fusion_returns_after_five_good_pairs(lost):
    rig, index = steady()
    index = rig.play(index, 30, skip=lambda s, i: s is lost)
    before = len(rig.orders)
    rig.play(index, 20)
    pairs = [o for _, o in rig.orders[before:] if len(o.frames) == 2]
    assert [o.mode for o in pairs[:4]] == [lost.other.mode] * 4
    assert all(o.mode is Mode.FUSION for o in pairs[4:])
    assert all(n == 1 for n in covered(rig).values())
    assert not rig.drops


def test_every_frame_of_the_surviving_stream_is_labelled_through_an_outage():
    rig, index = steady()
    index = rig.play(index, 45, skip=lambda s, i: s is DEPTH)
    rig.play(index, 45)
    stamps = {stamp for sensor, stamp in covered(rig) if sensor is RGB}
    assert len(stamps) == 120


def test_both_gone_is_mode_none_and_the_first_frame_back_is_labelled():
    rig, index = steady()
    rig.run_until((index + 30) * PERIOD)
    assert rig.stream.mode is Mode.NONE
    assert "rgb stale" in rig.stream.snapshot(rig.now).reason
    before = len(rig.orders)
    rig.play(index + 30, 1, skip=lambda s, i: s is DEPTH)
    assert [o.mode for _, o in rig.orders[before:]] == [Mode.RGB]


def test_a_stream_that_comes_and_goes_at_1_hz_does_not_make_the_mode_flap():
    rig, index = steady()
    rig.play(index, 30 * 30, skip=lambda s, i: s is DEPTH and (i // 15) % 2 == 0)
    into_fusion = [s for s in rig.switches if s.after is Mode.FUSION]
    assert len(into_fusion) <= 4
    assert rig.switches[-1].at_ns < 10 * 30 * PERIOD
    stamps = {stamp for sensor, stamp in covered(rig) if sensor is RGB}
    assert len(stamps) == 30 + 900


def test_fusion_returns_after_the_flapping_ends():
    rig, index = steady()
    index = rig.play(index, 600, skip=lambda s, i: s is DEPTH and (i // 15) % 2 == 0)
    rig.play(index, 120)
    assert rig.stream.mode is Mode.FUSION


def test_now_and_then_a_lost_frame_does_not_raise_the_requirement():
    rig, index = steady()
    rig.play(index, 900, skip=lambda s, i: s is DEPTH and i % 50 == 0)
    share = sum(m is Mode.FUSION for m in rig.modes_out) / 900
    assert share > 0.85


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ({Mode.FUSION}, Mode.FUSION),
        ({Mode.RGB}, Mode.RGB),
        ({Mode.DEPTH}, Mode.DEPTH),
        ({Mode.RGB, Mode.DEPTH}, Mode.RGB),
    ],
)
def test_a_bundle_without_some_modes_uses_what_it_has(modes, expected):
    rig = Rig(modes=frozenset(modes))
    rig.play(0, 30)
    assert set(rig.modes_out[3:]) == {expected}


def test_a_missing_model_is_said_so():
    rig = Rig(modes=frozenset({Mode.FUSION}))
    index = rig.play(0, 30)
    rig.play(index, 10, skip=lambda s, i: s is DEPTH)
    assert rig.stream.mode is Mode.NONE
    assert "no model for rgb alone" in rig.stream.snapshot(rig.now).reason
    assert {d.reason for d in rig.drops} == {DropReason.NO_MODEL}


def test_restore_pairs_is_configurable():
    rig = Rig(StreamConfig(mode=ModeConfig(restore_pairs=12)))
    rig.play(0, 12)
    assert Mode.FUSION not in rig.modes_out
    rig.play(12, 5)
    assert rig.stream.mode is Mode.FUSION


def test_flush_accounts_for_waiting_frames():
    rig, index = steady()
    rig.give(frame(RGB, EPOCH + index * PERIOD, index * PERIOD))
    rig.stream.flush(rig.now)
    assert [d.reason for d in rig.stream.take_drops()] == [DropReason.SHUTDOWN]


event = st.tuples(
    st.sampled_from([RGB, DEPTH]),
    st.integers(0, 80),  # arrival gap, ms
    st.sampled_from(["good", "good", "good", "good", "late", "wild", "same", "blank", "still", "resized", "reject"]),
)


@given(st.lists(event, max_size=80), st.sets(st.sampled_from(sorted(ALL)), min_size=1))
@settings(max_examples=150, deadline=None)
def test_every_frame_leaves_exactly_once(events, modes):
    rig = Rig(modes=frozenset(modes))
    now, given_frames = 0, Counter()
    for sensor, gap, kind in events:
        now += gap * MS
        stamp = EPOCH + now - now % PERIOD
        if kind == "reject":
            rig.reject(sensor, now)
            continue
        stamp += {"late": -120 * MS, "wild": 40_000 * MS}.get(kind, 0)
        pixels = image(sensor, 1 if kind == "still" else now % 99991)
        if kind == "blank":
            pixels = np.zeros_like(pixels)
        if kind == "resized":
            pixels = np.repeat(pixels, 2, axis=0)
        rig.give(frame(sensor, stamp, now, image=pixels))
        given_frames[(sensor, stamp)] += 1
    rig.run_until(now + 500 * MS)
    rig.stream.flush(rig.now)
    rig.drops += rig.stream.take_drops()
    dropped = Counter((d.sensor, d.stamp_ns) for d in rig.drops if d.stamp_ns is not None)
    assert covered(rig) + dropped == given_frames
    for _, order in rig.orders:
        assert order.mode in modes
        assert {s.value for s in order.mode.sensors} <= {f.sensor.value for f in order.frames}


@given(st.lists(event, max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_frame_waits_longer_than_the_timeout_and_the_learned_lag(events):
    rig, now = Rig(), 0
    for sensor, gap, kind in events:
        now += gap * MS
        if kind != "reject":
            rig.give(frame(sensor, EPOCH + now, now, content=now % 99991))
    rig.run_until(now + 500 * MS)
    for when, order in rig.orders:
        assert when - min(f.arrival_ns for f in order.frames) <= 0.5 * 100 * MS + 2 * 100 * MS


def test_a_burst_at_the_start_is_not_learned_as_a_fast_camera():
    """A machine that stalls while the node starts delivers the first frames 3 ms apart."""
    rig = Rig()
    for i in range(12):
        late = 12 * PERIOD + i * 3 * MS
        rig.give(frame(RGB, EPOCH + i * PERIOD, late))
        rig.give(frame(DEPTH, EPOCH + i * PERIOD, late + MS))
    rig.play(14, 90)
    assert rig.stream.snapshot(rig.now).sensors[RGB].expected_rate_hz == pytest.approx(30, rel=0.1)
    assert rig.modes_out[-40:] == [Mode.FUSION] * 40


def test_frames_whose_stamps_bunch_up_are_still_paired():
    rig, index = steady()
    before = len(rig.orders)
    for i in range(index, index + 20):
        stamp = EPOCH + (i - i % 2) * PERIOD + (i % 2) * 3 * MS
        arrival = stamp - EPOCH + PERIOD
        rig.give(frame(RGB, stamp, arrival))
        rig.give(frame(DEPTH, stamp, arrival + MS))
    assert {o.mode for _, o in rig.orders[before:]} == {Mode.FUSION}
    assert all(len(o.frames) == 2 for _, o in rig.orders[before:])


def test_a_rate_that_stays_lower_for_half_a_minute_is_accepted_as_the_new_one():
    rig, index = steady()
    rig.play(index, 30 * 40, skip=lambda s, i: i % 2 == 1)
    assert {r.state for r in rig.stream.snapshot(rig.now).sensors.values()} == {SensorState.OK}
    assert rig.stream.mode is Mode.FUSION


def test_depth_that_is_decoded_for_longer_than_the_timeout_is_learned_and_fused():
    def slowly(item, index):
        return replace(item, ready_ns=item.arrival_ns + 28 * MS) if item.sensor is DEPTH else item

    rig = Rig()
    rig.play(0, 60, lag=1 * MS, alter=slowly)
    assert rig.modes_out[-30:] == [Mode.FUSION] * 30
    assert all(len(o.frames) == 2 for _, o in rig.orders[-30:])


def test_a_late_pair_of_good_frames_is_fused_though_both_sensors_have_failed_meanwhile():
    """The stream has no mode then: the bundle has no other model. An order of no mode would be a failed inference."""
    rig = Rig(modes=frozenset({Mode.FUSION}), config=StreamConfig(pairing_timeout_ns=60 * MS))
    blank = np.zeros((12, 16, 3), np.uint8)
    for index in range(40):
        at = index * PERIOD
        more = {"image": blank} if index % 2 else {}
        rig.give(frame(RGB, EPOCH + at, at, **more))
        if index:
            rig.give(frame(DEPTH, EPOCH + at - PERIOD, at + 12 * MS))
    assert all(o.mode is Mode.FUSION for _, o in rig.orders)
    assert len(rig.orders) >= 10


@pytest.mark.parametrize("rate_hz", [0.8, 2.0, 3.0])
def test_slow_cameras_are_fused_too(rate_hz):
    rig, period = Rig(), round(1e9 / rate_hz)
    for index in range(30):
        rig.give(frame(RGB, EPOCH + index * period, index * period))
        rig.give(frame(DEPTH, EPOCH + index * period, index * period + 2 * MS))
    assert rig.modes_out[-15:] == [Mode.FUSION] * 15

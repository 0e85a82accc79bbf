"""Rates, replay speeds and clocks that are not those of a camera at 30 Hz."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from statistics import median

import pytest
from streams import EPOCH, MS, Rig, frame

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import DropReason, SensorState
from rgbd_seg_ros.core.stream import StreamConfig

RGB, DEPTH = Sensor.RGB, Sensor.DEPTH
SECOND = 1_000_000_000
Event = tuple[int, Sensor, int | None]
"""Arrival, sensor, stamp after `EPOCH`, or None for a message that cannot be decoded."""


def stream(sensor: Sensor, rate_hz: float, seconds: float, phase: int = 0, skip: Iterable[int] = ()) -> list[Event]:
    """A sensor whose frames arrive 3 ms (depth: 4 ms) after their stamps."""
    stamps = [phase + round(i * SECOND / rate_hz) for i in range(int(seconds * rate_hz)) if i not in skip]
    return [(stamp + (3 + (sensor is DEPTH)) * MS, sensor, stamp) for stamp in stamps]


def at_speed(events: list[Event], speed: float) -> list[Event]:
    """The same, replayed at another speed."""
    return [(round(arrival / speed), sensor, stamp) for arrival, sensor, stamp in events]


def play(*streams: list[Event], config: StreamConfig | None = None) -> Rig:
    rig = Rig(config or StreamConfig())
    for arrival, sensor, stamp in sorted((e for events in streams for e in events), key=lambda e: e[0]):
        if stamp is None:
            rig.reject(sensor, arrival)
        else:
            rig.give(frame(sensor, EPOCH + stamp, arrival))
    return rig


def shares(rig: Rig, since: int) -> tuple[int, int]:
    """Pairs labelled by fusion and all orders, from an arrival time on."""
    orders = [o for at, o in rig.orders if at >= since]
    return sum(o.mode is Mode.FUSION for o in orders), len(orders)


@pytest.mark.parametrize("phase_ms", [0, 7])
@pytest.mark.parametrize(
    ("rgb_hz", "depth_hz"), [(30, 27), (30, 24), (30, 20), (30, 15), (30, 10), (30, 5), (60, 20), (60, 15)]
)
def test_cameras_of_any_two_rates_are_fused_wherever_their_stamps_meet(
    rgb_hz: int, depth_hz: int, phase_ms: int
) -> None:
    for first, second in ((RGB, DEPTH), (DEPTH, RGB)):
        fast, slow = stream(first, rgb_hz, 6), stream(second, depth_hz, 6, phase_ms * MS)
        rig = play(fast, slow)
        meet = [min(abs(a[2] - b[2]) for a in fast) < 0.45 * SECOND / rgb_hz for b in slow if b[2] > 3 * SECOND]  # type: ignore[operator]
        fused, _ = shares(rig, 3 * SECOND)
        assert fused >= 0.95 * sum(meet) > 0
        assert not [s for s in rig.switches if s.at_ns > 3 * SECOND]
        assert not rig.drops


@pytest.mark.parametrize("rate_hz", [15.0, 10.0, 6.0])
def test_a_camera_that_falls_to_a_lower_rate_for_good_is_fused_again(rate_hz: float) -> None:
    later = [(at + 5 * SECOND, s, stamp + 5 * SECOND) for at, s, stamp in stream(RGB, rate_hz, 40)]  # type: ignore[operator]
    rig = play(stream(RGB, 30, 5), later, stream(DEPTH, 30, 45))
    fused, _ = shares(rig, 35 * SECOND)
    assert fused > 0.8 * 10 * rate_hz


@pytest.mark.parametrize("speed", [0.25, 0.45, 2.0])
@pytest.mark.parametrize("lost", [(150,), tuple(range(150, 170))])
def test_a_lost_frame_or_outage_ends_at_any_speed_of_a_simulation(speed: float, lost: tuple[int, ...]) -> None:
    rig = play(at_speed(stream(RGB, 30, 10), speed), at_speed(stream(DEPTH, 30, 10, skip=lost), speed))
    fused, orders = shares(rig, round(8.5 * SECOND / speed))
    assert fused == orders > 40


@pytest.mark.parametrize("tolerance_ms", [20, 50, 100])
@pytest.mark.parametrize("lost", [(150,), (150, 151, 152, 153)])
def test_fusion_returns_after_an_outage_whatever_the_tolerance(tolerance_ms: int, lost: tuple[int, ...]) -> None:
    config = StreamConfig(pairing_tolerance_ns=tolerance_ms * MS)
    rig = play(stream(RGB, 30, 9), stream(DEPTH, 30, 9, skip=lost), config=config)
    fused, orders = shares(rig, 7 * SECOND)
    assert fused == orders > 50


@pytest.mark.parametrize("rate_hz", [5, 10, 15, 30])
@pytest.mark.parametrize("early", [0.3, 0.9])
def test_equal_stamps_that_bunch_up_are_paired_at_any_rate(rate_hz: int, early: float) -> None:
    shift = round(early * SECOND / rate_hz)
    bunched = [(at, s, stamp - shift * (i % 2)) for i, (at, s, stamp) in enumerate(stream(RGB, rate_hz, 90 / rate_hz))]  # type: ignore[operator]
    depth = [(at + MS, DEPTH, stamp) for at, _, stamp in bunched]
    rig = play(bunched, depth)
    fused, orders = shares(rig, round(45 * SECOND / rate_hz))
    assert fused == orders >= 40


@pytest.mark.parametrize("wild", [lambda stamp: 0, lambda stamp: stamp + 9 * SECOND // 10])
def test_wild_stamps_now_and_then_cost_their_own_frames_and_no_others(wild: Callable[[int], int]) -> None:
    depth = [(at, s, wild(stamp) if i % 10 == 5 else stamp) for i, (at, s, stamp) in enumerate(stream(DEPTH, 30, 9))]  # type: ignore[arg-type]
    rig = play(stream(RGB, 30, 9), depth)
    pairs = sum(len(o.frames) == 2 for at, o in rig.orders if at >= 5 * SECOND)
    assert pairs >= 60  # of 120; the frames around a wild stamp are judged by it


@pytest.mark.parametrize(("rgb_hz", "depth_hz", "least"), [(30, 30, 0.9), (30, 15, 0.6)])
def test_jitter_of_a_third_of_a_period_leaves_most_pairs(rgb_hz: int, depth_hz: int, least: float) -> None:
    rng = random.Random(0)
    streams = [
        [(at + j, s, stamp + j) for at, s, stamp in stream(s, hz, 10) for j in [rng.randint(0, 10) * MS]]  # type: ignore[operator]
        for s, hz in ((RGB, rgb_hz), (DEPTH, depth_hz))
    ]
    rig = play(*streams)
    pairs = sum(len(o.frames) == 2 for at, o in rig.orders if at >= 4 * SECOND)
    assert pairs > least * 6 * depth_hz


def undecodable(events: list[Event], since: int) -> list[Event]:
    return [(at, s, None if stamp is not None and stamp > since else stamp) for at, s, stamp in events]


def frozen(events: list[Event], since: int) -> list[Event]:
    return [(at, s, stamp if stamp is None else min(stamp, since)) for at, s, stamp in events]


@pytest.mark.parametrize("sick", [RGB, DEPTH])
@pytest.mark.parametrize("fault", [undecodable, frozen])
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_garbage_from_one_sensor_never_silences_the_other_whatever_the_speed(
    sick: Sensor, fault: Callable[[list[Event], int], list[Event]], speed: float
) -> None:
    rig = play(at_speed(fault(stream(sick, 30, 9), 4 * SECOND), speed), at_speed(stream(sick.other, 30, 9), speed))
    assert {d.sensor for d in rig.drops} == {sick}
    assert rig.stream.mode is sick.other.mode


@pytest.mark.parametrize("sick", [RGB, DEPTH])
@pytest.mark.parametrize("step_s", [-60, 60])
def test_a_clock_that_steps_while_one_sensor_is_undecodable_silences_the_other_for_a_tenth_of_a_second(
    sick: Sensor, step_s: int
) -> None:
    well = [
        (at, s, stamp + (step_s * SECOND if stamp > 6 * SECOND else 0))  # type: ignore[operator]
        for at, s, stamp in stream(sick.other, 30, 9)
    ]
    rig = play(undecodable(stream(sick, 30, 9), 4 * SECOND), well)
    assert sum(d.sensor is sick.other for d in rig.drops) <= 3
    assert rig.stream.mode is sick.other.mode


@pytest.mark.parametrize("late", [RGB, DEPTH])
def test_a_sensor_that_starts_to_lag_by_more_than_a_second_is_blamed_and_the_punctual_one_labelled(
    late: Sensor,
) -> None:
    lag = 3 * SECOND // 2
    lagging = [(at if at < 4 * SECOND else at + lag, s, stamp) for at, s, stamp in stream(late, 30, 10)]
    rig = play(lagging, stream(late.other, 30, 10))
    assert all(d.sensor is late for d in rig.drops)
    labelled = {f.stamp_ns for _, o in rig.orders for f in o.frames if f.sensor is late.other}
    assert len(labelled) == 300


def test_depth_that_comes_too_late_for_pairs_makes_no_colour_frame_wait() -> None:
    late = [(at + 200 * MS, s, stamp) for at, s, stamp in stream(DEPTH, 30, 12)]
    rig = play(stream(RGB, 30, 12), late)
    waits = [o.waited_ns for at, o in rig.orders if at > 6 * SECOND and o.mode is Mode.RGB]
    assert len(waits) > 150
    assert median(waits) < MS
    assert {d.reason for d in rig.drops} == {DropReason.LATE}
    assert any("ms after their partners" in o.reason for _, o in rig.orders)


def test_depth_that_is_in_time_again_is_fused_again() -> None:
    depth = [(at + (200 * MS if at < 6 * SECOND else 0), s, stamp) for at, s, stamp in stream(DEPTH, 30, 12)]
    rig = play(stream(RGB, 30, 12), depth)
    fused, orders = shares(rig, 8 * SECOND)
    assert fused == orders > 100


@pytest.mark.parametrize("depth_hz", [30, 5])
def test_a_loop_of_a_bag_costs_a_fast_camera_no_more_than_one_period_of_the_slow_one(depth_hz: int) -> None:
    events = [
        (at, s, stamp - (8 * SECOND if stamp >= 8 * SECOND else 0))  # type: ignore[operator]
        for at, s, stamp in (*stream(RGB, 30, 12), *stream(DEPTH, depth_hz, 12))
    ]
    rig = play(events)
    dropped = sum(d.sensor is RGB for d in rig.drops)
    assert dropped <= 3 + 30 / depth_hz
    assert rig.stream.snapshot(rig.now).sensors[RGB].state is SensorState.OK

"""Every kind of fault does what its name says, and nothing to the records it is not meant for."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.fault_kinds import KINDS, Effect
from rgbd_seg_ros.replay.record import Record
from rgbd_seg_ros.replay.scenario import Fault, Scenario, library
from rgbd_seg_ros.replay.schedule import FaultInjector, scheduled

PERIOD = 33_333_334
EPOCH = 10**18
RNG = np.random.default_rng(1)
IMAGES = {
    Sensor.RGB: RNG.integers(30, 200, (24, 32, 3), np.uint8),
    Sensor.DEPTH: RNG.integers(500, 4000, (24, 32), np.uint16),
}


def stream(seconds: float) -> list[Record]:
    """A healthy stream; frame k has k added to its pixels, so that frames differ."""
    count = round(seconds * 30)
    return [
        Record.of_image(s, i, i * PERIOD, EPOCH + i * PERIOD, IMAGES[s] + IMAGES[s].dtype.type(i % 50))
        for i in range(count)
        for s in Sensor
    ]


def played(*faults: Fault, seconds: float = 3.0, seed: int = 0) -> list[Record]:
    return list(scheduled(stream(seconds), FaultInjector(Scenario("test", seconds, faults), 30.0, seed)))


def during(records: list[Record], sensor: Sensor) -> list[Record]:
    return [r for r in records if r.sensor is sensor and r.faults]


def one(kind: str, sensor: Sensor, strength: float | None = None) -> list[Record]:
    """The records of `sensor` that are sent during the middle second of three."""
    return during(played(Fault(kind, sensor.value, 1.0, 1.0, strength, 3)), sensor)


BOTH = pytest.mark.parametrize("sensor", list(Sensor), ids=lambda s: s.value)


def test_without_a_fault_every_record_is_sent_as_it_was() -> None:
    assert played() == stream(3.0)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_fault_touches_only_its_own_stream_and_time(kind: str) -> None:
    for sensor in KINDS[kind].streams:
        sent = played(Fault(kind, sensor.value, 1.0, 1.0))
        healthy = [r for r in sent if not r.faults]
        expected = [
            r
            for r in stream(3.0)
            if r.sensor is not sensor or not Fault(kind, sensor.value, 1.0, 1.0).blamed(sensor, r.time_ns)
        ]
        assert sorted(healthy, key=lambda r: (r.time_ns, r.sensor)) == sorted(
            expected, key=lambda r: (r.time_ns, r.sensor)
        )
        assert all(
            np.array_equal(a.image, b.image)
            for a, b in zip(
                sorted(healthy, key=lambda r: (r.time_ns, r.sensor)),
                sorted(expected, key=lambda r: (r.time_ns, r.sensor)),
                strict=True,
            )
        )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_fault_does_the_same_again_with_the_same_seed(kind: str) -> None:
    sensor = next(iter(KINDS[kind].streams))
    first, second = (played(Fault(kind, sensor.value, 0.5, 1.0, seed=5)) for _ in range(2))
    assert first == second
    assert all(
        np.array_equal(a.image, b.image, equal_nan=True)
        if a.image.dtype == np.float32
        else np.array_equal(a.image, b.image)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_fault_never_changes_the_images_of_the_source(kind: str) -> None:
    sensor = next(iter(KINDS[kind].streams))
    records = stream(2.0)
    copies = [r.image.copy() for r in records]
    list(scheduled(records, FaultInjector(Scenario("test", 2.0, (Fault(kind, sensor.value, 0.5, 1.0),)), 30.0)))
    assert all(np.array_equal(r.image, c) for r, c in zip(records, copies, strict=True))


@BOTH
def test_drop_sends_nothing(sensor: Sensor) -> None:
    assert one("drop", sensor) == []


@BOTH
def test_intermittent_loses_about_its_share(sensor: Sensor) -> None:
    sent = len(during(played(Fault("intermittent", sensor.value, 0.0, 20.0, 0.3, 1), seconds=20.0), sensor))
    assert 0.6 < sent / 600 < 0.8


@BOTH
def test_half_rate_sends_every_second_frame(sensor: Sensor) -> None:
    assert {r.index % 2 for r in one("half_rate", sensor)} == {0}
    assert len(one("half_rate", sensor)) == 15


@BOTH
def test_flapping_is_off_then_on_in_every_period(sensor: Sensor) -> None:
    assert all(r.time_ns >= 1.5e9 for r in one("flapping", sensor))
    assert len(one("flapping", sensor)) == 15


@BOTH
def test_delay_sends_late_under_the_true_stamp(sensor: Sensor) -> None:
    late = one("delay", sensor, 0.2)
    assert {r.time_ns - (r.stamp_ns - EPOCH) for r in late} == {200_000_000}


@BOTH
def test_jitter_stays_below_its_strength_and_varies(sensor: Sensor) -> None:
    waits = [r.time_ns - (r.stamp_ns - EPOCH) for r in one("jitter", sensor, 0.02)]
    assert all(0 <= wait <= 20_000_000 for wait in waits)
    assert len(set(waits)) > 20


@BOTH
def test_reorder_lets_frames_be_overtaken(sensor: Sensor) -> None:
    stamps = [r.stamp_ns for r in one("reorder", sensor)]
    assert stamps != sorted(stamps)
    assert len(stamps) == 30


@BOTH
def test_duplicate_sends_each_message_twice(sensor: Sensor) -> None:
    sent = one("duplicate", sensor)
    assert len(sent) == 60
    assert sent[::2] == sent[1::2]


@BOTH
def test_frozen_stamps_repeat_the_last_healthy_stamp_while_content_moves(sensor: Sensor) -> None:
    sent = one("frozen_stamps", sensor)
    assert {r.stamp_ns for r in sent} == {EPOCH + 29 * PERIOD}
    assert not np.array_equal(sent[0].image, sent[1].image)


@BOTH
def test_stamp_jump_moves_stamps_by_its_strength(sensor: Sensor) -> None:
    jumped = [r for r in one("stamp_jump", sensor, -2.0) if r.time_ns < 2e9]
    assert {r.stamp_ns - EPOCH - r.time_ns for r in jumped} == {-2_000_000_000}


@BOTH
def test_clock_reset_counts_from_its_strength(sensor: Sensor) -> None:
    assert one("clock_reset", sensor, 7.0)[0].stamp_ns == pytest.approx(7_000_000_000, abs=PERIOD)


@BOTH
def test_freeze_repeats_the_last_healthy_image_under_new_stamps(sensor: Sensor) -> None:
    sent = one("freeze", sensor)
    assert len({r.stamp_ns for r in sent}) == 30
    assert all(np.array_equal(r.image, IMAGES[sensor] + IMAGES[sensor].dtype.type(29)) for r in sent)


@BOTH
def test_blank_is_all_zero(sensor: Sensor) -> None:
    assert not any(r.image.any() for r in one("blank", sensor))


def test_saturated_is_all_white() -> None:
    assert all((r.image == 255).all() for r in one("saturated", Sensor.RGB))


def test_nan_hits_its_share_and_becomes_metres() -> None:
    record = one("nan", Sensor.DEPTH, 0.5)[0]
    assert record.encoding == "32FC1"
    assert record.step == 32 * 4
    assert 0.4 < np.isnan(record.image).mean() < 0.6
    assert np.nanmax(record.image) < 5.0


@BOTH
def test_salt_hits_its_share(sensor: Sensor) -> None:
    sent = one("salt", sensor, 0.2)[0]
    value = 255 if sensor is Sensor.RGB else 0
    hit = (sent.image == value).reshape(24, 32, -1).all(axis=2).mean()
    assert 0.1 < hit < 0.3


@BOTH
def test_holes_cover_at_least_their_share(sensor: Sensor) -> None:
    missing = (one("holes", sensor, 0.3)[0].image == 0).reshape(24, 32, -1).all(axis=2).mean()
    assert 0.3 <= missing < 0.4


@BOTH
def test_blur_smooths(sensor: Sensor) -> None:
    sent = one("blur", sensor, 3.0)[0]
    assert sent.image.std() < 0.6 * IMAGES[sensor].std()
    assert sent.image.dtype == IMAGES[sensor].dtype


def test_exposure_brightens_and_darkens() -> None:
    assert one("over_exposure", Sensor.RGB)[0].image.mean() > IMAGES[Sensor.RGB].mean() * 1.3
    assert one("under_exposure", Sensor.RGB)[0].image.mean() < IMAGES[Sensor.RGB].mean() * 0.6


@BOTH
@pytest.mark.parametrize("pixels", [5, -5])
def test_shift_moves_and_fills_with_zero(sensor: Sensor, pixels: int) -> None:
    sent = one("shift", sensor, pixels)[0]
    original = IMAGES[sensor] + IMAGES[sensor].dtype.type(30)
    if pixels > 0:
        assert np.array_equal(sent.image[:, 5:], original[:, :-5])
        assert not sent.image[:, :5].any()
    else:
        assert np.array_equal(sent.image[:, :-5], original[:, 5:])
        assert not sent.image[:, -5:].any()


@BOTH
def test_wrong_encoding_keeps_the_bytes(sensor: Sensor) -> None:
    sent = one("wrong_encoding", sensor)[0]
    assert sent.encoding == "not_an_encoding"
    assert sent.payload.nbytes == sent.step * sent.height


@BOTH
def test_wrong_size_gives_consistent_headers_of_changing_size(sensor: Sensor) -> None:
    sent = one("wrong_size", sensor)
    assert all(r.payload.nbytes == r.step * r.height and r.image.shape[:2] == (r.height, r.width) for r in sent)
    assert len({(r.height, r.width) for r in sent}) > 5
    assert (24, 32) not in {(r.height, r.width) for r in sent}


@BOTH
def test_truncated_holds_fewer_bytes_than_its_header_says(sensor: Sensor) -> None:
    assert all(r.payload.nbytes == r.step * r.height // 2 for r in one("truncated", sensor, 0.5))


faults = st.builds(
    Fault,
    fault=st.sampled_from(sorted(k for k, v in KINDS.items() if v.streams == frozenset(Sensor))),
    stream=st.sampled_from(["rgb", "depth", "both"]),
    start=st.floats(0, 2),
    duration=st.one_of(st.none(), st.floats(0.05, 2)),
    seed=st.integers(0, 9),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(faults, max_size=3), st.integers(0, 3))
def test_any_scenario_sends_in_order_of_time_and_blames_what_it_changed(several: list[Fault], seed: int) -> None:
    sent = played(*several, seconds=2.0, seed=seed)
    assert [r.time_ns for r in sent] == sorted(r.time_ns for r in sent)
    untouched = {(r.sensor, r.index): r for r in stream(2.0)}
    for record in sent:
        if not record.faults:
            assert record == untouched[record.sensor, record.index]
            assert np.array_equal(record.image, untouched[record.sensor, record.index].image)


@settings(max_examples=40, deadline=None)
@given(st.lists(faults, max_size=3))
def test_a_scenario_survives_the_way_through_its_file(several: list[Fault]) -> None:
    scenario = Scenario("round", 2.0, tuple(several), "there and back")
    assert Scenario.from_dict(scenario.to_dict()) == scenario


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([1], "not a mapping"),
        ({"faults": []}, "lacks 'duration'"),
        ({"duration": 0}, "more than 0"),
        ({"duration": 1, "extra": 2}, "unknown keys: extra"),
        ({"duration": 1, "faults": [{"fault": "explode", "stream": "rgb", "start": 0}]}, "no fault called 'explode'"),
        ({"duration": 1, "faults": [{"fault": "drop", "stream": "left", "start": 0}]}, "rgb, depth or both"),
        ({"duration": 1, "faults": [{"fault": "nan", "stream": "rgb", "start": 0}]}, "only on depth"),
        ({"duration": 1, "faults": [{"fault": "drop", "stream": "rgb", "start": -1}]}, "0 or later"),
        ({"duration": 1, "faults": [{"fault": "drop", "stream": "rgb"}]}, "cannot be understood"),
        ({"duration": 1, "faults": [{"fault": "drop", "stream": "rgb", "start": "soon"}]}, "cannot be understood"),
        ({"duration": 1, "faults": ["drop"]}, "not a mapping"),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused_with_the_reason(data: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Scenario.from_dict(data)


def test_every_scenario_of_the_library_loads_and_names_itself() -> None:
    names = library()
    assert len(names) > 50
    assert all(Scenario.load(name).name == name for name in names)


def test_the_library_shows_every_kind_of_fault() -> None:
    shown = {fault.fault for name in library() for fault in Scenario.load(name).faults}
    assert shown == set(KINDS)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(UserError, match="no_such_scenario"):
        Scenario.load("no_such_scenario")


def test_the_best_mode_follows_the_streams_that_are_not_lost() -> None:
    scenario = Scenario("s", 9.0, (
        Fault("drop", "depth", 1, 1), Fault("freeze", "rgb", 3, 1), Fault("blank", "both", 5, 1),
        Fault("stamp_jump", "both", 7, 1), Fault("nan", "depth", 8, 0.5, 0.3),
    ))  # fmt: skip
    best = [scenario.best_mode(round(t * 1e9)) for t in (0.5, 1.5, 2.5, 3.5, 5.5, 7.5, 8.2)]
    assert best == [Mode.FUSION, Mode.RGB, Mode.FUSION, Mode.DEPTH, Mode.NONE, Mode.FUSION, Mode.FUSION]


def test_every_lost_kind_says_how_it_is_noticed() -> None:
    assert all(k.expected for k in KINDS.values() if k.effect is not Effect.DEGRADED)


def test_a_random_scenario_is_valid_and_the_same_again_and_never_two_faults_at_once() -> None:
    scenario = Scenario.random(3, 300.0)
    assert scenario == Scenario.random(3, 300.0) != Scenario.random(4, 300.0)
    assert len({fault.fault for fault in scenario.faults}) > 12
    for before, after in itertools.pairwise(scenario.faults):
        assert before.start + before.duration < after.start


def test_the_documentation_lists_every_kind_with_its_default_strength() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "replay.md").read_text()
    for name, kind in KINDS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert kind.unit == "unused" or f"({kind.strength:g})" in row
        assert kind.effect is Effect.DEGRADED or f"{kind.detected_s:g} s" in row

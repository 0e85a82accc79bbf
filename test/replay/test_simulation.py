"""A play in virtual time: the whole library of faults against the core, and the yardsticks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.stream import RgbdStream, StreamConfig
from rgbd_seg_ros.evaluation.joining import join
from rgbd_seg_ros.evaluation.report import build_report
from rgbd_seg_ros.replay.named_scenarios import load_scenario
from rgbd_seg_ros.replay.policies import AlwaysFusion, PerfectSwitch, Synchroniser
from rgbd_seg_ros.replay.record import Record
from rgbd_seg_ros.replay.recording import Recording
from rgbd_seg_ros.replay.scenario import Fault, Scenario, library
from rgbd_seg_ros.replay.schedule import FaultInjector, scheduled
from rgbd_seg_ros.replay.simulate import Policy, SimulatedTimes, simulate

MODES = frozenset({Mode.FUSION, Mode.RGB, Mode.DEPTH})
FRAMES = 20
RNG = np.random.default_rng(0)
RGB = RNG.integers(40, 200, (FRAMES, 24, 32, 3), np.uint8)
DEPTH = RNG.integers(500, 4000, (FRAMES, 24, 32), np.uint16)
EPOCH = 10**18


def healthy(seconds: float) -> list[Record]:
    times = (round(i * 1e9 / 30) for i in itertools.count())
    several = itertools.takewhile(lambda t: t < seconds * 1e9, times)
    return [
        Record.of_image(sensor, i, t, EPOCH + t, images[i % FRAMES])
        for i, t in enumerate(several)
        for sensor, images in ((Sensor.RGB, RGB), (Sensor.DEPTH, DEPTH))
    ]


def play(scenario: Scenario, policy: Policy | None = None, seed: int = 0, inference_ms: float = 15.0) -> Recording:
    records = scheduled(healthy(scenario.duration), FaultInjector(scenario, 30.0, seed))
    times = SimulatedTimes(inference_ns=round(inference_ms * 1e6))
    chosen = policy or RgbdStream(StreamConfig(), MODES)
    return simulate(records, chosen, lambda order: None, round(scenario.duration * 1e9), times)


def report_of(scenario: Scenario, seed: int = 0) -> dict:
    recording = play(scenario, seed=seed)
    return build_report(recording, join(recording), scenario, None, {})


@pytest.mark.parametrize("name", library())
def test_no_surviving_frame_stays_unlabelled_and_every_promise_is_kept(name: str) -> None:
    report = report_of(Scenario.load(name), seed=1)
    assert report["failures"] == []
    assert report["broken_promises"] == []


@pytest.mark.parametrize("name", ["only:rgb", "only:depth"])
def test_a_stream_that_never_comes_is_noticed_in_time(name: str) -> None:
    report = report_of(load_scenario(name, 3.0))
    assert [d["state"] for d in report["detections"]] == ["waiting"]
    assert report["broken_promises"] == []


def test_three_minutes_of_healthy_frames_switch_only_once_at_the_start() -> None:
    recording = play(Scenario("healthy", 180.0))
    after_start = [s for s in recording.switches if 1e9 < s.at_ns < recording.duration_ns]
    assert after_start == []
    assert len(recording.outputs) >= 5400


def test_a_play_is_the_same_again_with_the_same_seed() -> None:
    scenario = Scenario.load("rgb_jitter")
    assert play(scenario, seed=3) == play(scenario, seed=3)


def test_messages_that_are_no_images_are_dropped_as_invalid() -> None:
    recording = play(Scenario("s", 2.0, (Fault("truncated", "rgb", 1.0),)))
    assert {d.reason for d in recording.drops if d.sensor is Sensor.RGB} == {"invalid"}


def test_a_slow_network_drops_frames_by_overload_and_says_so() -> None:
    recording = play(Scenario("s", 3.0), inference_ms=100.0)
    joined = join(recording)
    assert {d.reason for d in recording.drops} >= {"overload"}
    assert joined.unlabelled_surviving
    assert all(f.accounted for f in joined.frames)


def outputs_between(recording: Recording, start_s: float, end_s: float) -> list[Mode]:
    return [o.mode for o in recording.outputs if start_s * 1e9 <= o.at_ns < end_s * 1e9]


DROP = Scenario("s", 4.0, (Fault("drop", "depth", 1.5, 1.0),))


def test_a_synchroniser_goes_silent_when_a_stream_stops() -> None:
    recording = play(DROP, Synchroniser())
    assert outputs_between(recording, 1.6, 2.5) == []
    assert set(outputs_between(recording, 2.6, 4.0)) == {Mode.FUSION}
    assert all(f.accounted for f in join(recording).frames)


def test_always_fusion_labels_every_moment_by_the_fusion_model() -> None:
    recording = play(DROP, AlwaysFusion(RgbdStream(StreamConfig(), MODES)))
    assert set(outputs_between(recording, 0.0, 4.0)) == {Mode.FUSION}
    assert len(outputs_between(recording, 1.6, 2.5)) >= 26


def test_a_perfect_switch_changes_the_model_with_the_first_frame() -> None:
    recording = play(DROP, PerfectSwitch(DROP, SimulatedTimes().transport_ns))
    assert set(outputs_between(recording, 1.53, 2.5)) == {Mode.RGB}
    assert set(outputs_between(recording, 2.53, 4.0)) == {Mode.FUSION}
    assert not join(recording).unlabelled_surviving


def test_ours_loses_no_moment_to_the_perfect_switch() -> None:
    perfect = play(DROP, PerfectSwitch(DROP, SimulatedTimes().transport_ns))
    ours = play(DROP)
    covered = [{f.sent.index for f in join(r).frames if f.output} for r in (ours, perfect)]
    assert covered[0] == covered[1]

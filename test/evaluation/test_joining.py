"""Which frames count as labelled, dropped, lost and unlabelled."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.joining import join
from rgbd_seg_ros.evaluation.page import write_page
from rgbd_seg_ros.evaluation.report import build_report, failures, read_report, write_report
from rgbd_seg_ros.evaluation.robustness import detections
from rgbd_seg_ros.evaluation.switching import switches
from rgbd_seg_ros.evaluation.timing import label_rates, memory
from rgbd_seg_ros.replay.recording import (
    LABEL_FILE,
    PLAYER_FILE,
    RECORDER_FILE,
    DroppedFrame,
    HealthSample,
    LabelOutput,
    Recording,
    SentFrame,
    Switch,
    load_recording,
    write_player_log,
    write_recorder_log,
)
from rgbd_seg_ros.replay.scenario import Fault, Scenario

MS = 1_000_000
R, D = Sensor.RGB, Sensor.DEPTH


def sent(sensor: Sensor, index: int, stamp: int | None = None, faults: tuple[str, ...] = ()) -> SentFrame:
    at = index * 33 * MS
    return SentFrame(sensor, index, at, at if stamp is None else stamp, at, faults)


def label(mode: Mode, index: int, stamps: dict[Sensor, int] | None = None, after_ms: int = 10) -> LabelOutput:
    stamp = index * 33 * MS
    return LabelOutput(stamp + after_ms * MS, stamp, mode, stamps or dict.fromkeys(mode.sensors, stamp), {})


def recording(sent_frames: list[SentFrame], outputs: list[LabelOutput], drops: list[DroppedFrame] | None = None,
              received: dict[Sensor, int] | None = None) -> Recording:  # fmt: skip
    counted = {s: sum(f.sensor is s for f in sent_frames) for s in Sensor}
    return Recording(0, 1000 * MS, sent_frames, outputs, drops or [], received=received or counted)


def test_a_pair_covers_both_of_its_frames() -> None:
    joined = join(recording([sent(R, 0), sent(D, 0)], [label(Mode.FUSION, 0)]))
    assert not joined.unlabelled_surviving


def test_a_pair_labelled_by_one_model_covers_both_frames_too() -> None:
    output = label(Mode.RGB, 0, {R: 0, D: 0})
    assert not join(recording([sent(R, 0), sent(D, 0)], [output])).unlabelled_surviving


def test_a_frame_without_a_label_counts_whatever_the_reason() -> None:
    dropped = DroppedFrame(50 * MS, R, 33 * MS, "overload")
    joined = join(recording([sent(R, 0), sent(R, 1), sent(R, 2)], [label(Mode.RGB, 0)], [dropped]))
    assert [(f.sent.index, f.drop.reason if f.drop else None) for f in joined.unlabelled_surviving] == [
        (1, "overload"),
        (2, None),
    ]


def test_a_frame_of_a_faulted_sensor_does_not_count() -> None:
    assert not join(recording([sent(D, 0, faults=("freeze",))], [])).unlabelled_surviving


def test_a_frame_that_never_arrived_is_lost_in_transport_and_not_the_nodes_fault() -> None:
    joined = join(recording([sent(R, 0), sent(R, 1)], [label(Mode.RGB, 0)], received={R: 1, D: 0}))
    assert [f.lost for f in joined.frames] == [False, True]
    assert not joined.unlabelled_surviving


def test_a_frame_that_arrived_and_vanished_is_not_excused_by_losses_of_the_other_stream() -> None:
    joined = join(recording([sent(R, 0), sent(D, 0)], [], received={R: 1, D: 0}))
    assert [f.sent.sensor for f in joined.unlabelled_surviving] == [R]


def test_stamps_that_come_again_after_a_clock_reset_join_with_the_newest_frame() -> None:
    frames = [sent(R, 0, stamp=5), sent(R, 9, stamp=5)]
    late = LabelOutput(300 * MS, 5, Mode.RGB, {R: 5}, {})
    joined = join(recording(frames, [late]))
    assert [f.output is not None for f in joined.frames] == [False, True]


def test_a_label_cannot_cover_a_frame_that_was_sent_after_it() -> None:
    early = LabelOutput(1, 33 * MS, Mode.RGB, {R: 33 * MS}, {})
    joined = join(recording([sent(R, 1)], [early]))
    assert joined.unmatched_outputs == 1
    assert joined.unlabelled_surviving


def test_both_copies_of_a_repeated_frame_find_their_fate() -> None:
    frames = [sent(R, 0, faults=("duplicate",)), sent(R, 0, faults=("duplicate",))]
    joined = join(recording(frames, [label(Mode.RGB, 0)], [DroppedFrame(20 * MS, R, 0, "duplicate_stamp")]))
    assert all(f.accounted for f in joined.frames)


def test_the_report_fails_when_the_nodes_count_does_not_add_up() -> None:
    played = recording([sent(R, 0), sent(R, 1)], [label(Mode.RGB, 0)])
    report = build_report(played, join(played), Scenario("s", 1.0), None, {})
    assert report["accounting"]["rgb"] == {"received": 2, "labelled": 1, "dropped": 0, "balanced": False}
    assert any("the node counts 2 frames" in text for text in report["failures"])
    assert not report["passed"]


def test_a_report_tells_a_slow_machine_from_a_node_that_failed() -> None:
    for reason, told in (("overload", True), ("decode_error", False)):
        dropped = DroppedFrame(50 * MS, R, 33 * MS, reason)
        played = recording([sent(R, 0), sent(R, 1)], [label(Mode.RGB, 0)], [dropped])
        found = build_report(played, join(played), Scenario("s", 1.0), None, {})["failures"]
        assert found[0] == "1 frames of a surviving stream stayed without a label"
        assert any("this machine cannot run the bundle" in text for text in found) == told


def test_the_report_fails_when_nothing_was_labelled() -> None:
    played = recording([], [])
    report = build_report(played, join(played), Scenario("s", 1.0), None, {})
    assert failures(report) == ["nothing was labelled"]


def test_a_report_is_read_back_and_anything_else_refused(tmp_path: Path) -> None:
    played = recording([sent(R, 0)], [label(Mode.RGB, 0)])
    report = build_report(played, join(played), Scenario("s", 1.0), None, {"seed": 3})
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path) == json.loads(json.dumps(report))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UserError, match="not a report"):
        read_report(tmp_path / "other.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_report(tmp_path / "absent.json")


def test_switch_latency_runs_from_the_fault_to_the_first_label_of_the_new_mode() -> None:
    played = recording([], [label(Mode.FUSION, 0), label(Mode.RGB, 16, after_ms=40)])
    played.switches = [Switch(520 * MS, Mode.FUSION, Mode.RGB, "depth stale")]
    row = switches(played, Scenario("s", 1.0, (Fault("drop", "depth", 0.5),)))[0]
    assert row["trigger"] == "start of depth drop"
    assert row["latency_ms"] == pytest.approx(16 * 33 + 40 - 500)
    assert not row["wrong"]


def test_a_switch_without_a_fault_is_wrong() -> None:
    played = Recording(0, 10_000 * MS, switches=[Switch(5000 * MS, Mode.FUSION, Mode.RGB, "depth stale")])
    assert switches(played, Scenario("s", 10.0))[0]["wrong"]
    assert switches(played, Scenario("s", 10.0, (Fault("drop", "depth", 9.0),)))[0]["wrong"]


def test_giving_up_the_stream_that_is_well_is_wrong() -> None:
    played = Recording(0, 10_000 * MS, switches=[Switch(5000 * MS, Mode.FUSION, Mode.RGB, "depth stale")])
    assert switches(played, Scenario("s", 10.0, (Fault("drop", "rgb", 4.9, 2.0),)))[0]["wrong"]
    assert not switches(played, Scenario("s", 10.0, (Fault("drop", "depth", 4.9, 2.0),)))[0]["wrong"]
    assert not switches(played, Scenario("s", 10.0, (Fault("flapping", "depth", 1.0, 8.0),)))[0]["wrong"]


def test_a_restore_is_put_down_to_the_end_of_the_fault_and_is_wrong_before_it() -> None:
    gave_up = Switch(1100 * MS, Mode.FUSION, Mode.RGB, "depth frozen")
    played = Recording(0, 10_000 * MS, switches=[gave_up, Switch(5000 * MS, Mode.RGB, Mode.FUSION, "well again")])
    over = switches(played, Scenario("s", 10.0, (Fault("freeze", "depth", 1.0, 2.0),)))[1]
    lasting = switches(played, Scenario("s", 10.0, (Fault("freeze", "depth", 1.0, 8.0),)))[1]
    assert (over["trigger"], over["wrong"]) == ("end of depth freeze", False)
    assert (lasting["trigger"], lasting["wrong"]) == (None, True)


def test_the_label_rate_leaves_out_the_time_without_any_stream() -> None:
    outputs = [label(Mode.FUSION, i) for i in (*range(10), *range(20, 30))]
    played = recording([], outputs)
    gone = Scenario("s", 1.0, (Fault("drop", "both", 0.32, 0.33),))
    assert label_rates(played, gone)["fusion"] == pytest.approx(1000 / 33, abs=0.01)
    assert label_rates(played, Scenario("s", 1.0))["fusion"] < 25


def test_a_play_at_another_speed_is_judged_by_its_own_clock() -> None:
    """The times of `depth drop` at 4 s as they are when the play runs twice as fast: halved, latencies as they are."""
    played = Recording(0, 10_000 * MS, scale=2.0)
    played.switches = [Switch(2060 * MS, Mode.FUSION, Mode.RGB, "depth stale: no message for more than 50 ms")]
    played.outputs = [LabelOutput(2090 * MS, 1, Mode.RGB, {R: 1}, {})]
    scenario = Scenario("s", 10.0, (Fault("drop", "depth", 4.0, 3.0),))
    row = switches(played, scenario)[0]
    assert (row["time_s"], row["trigger"], row["wrong"]) == (4.12, "start of depth drop", False)
    assert row["latency_ms"] == pytest.approx(90.0)
    found = detections(played, scenario)[0]
    assert (found.after_s, found.in_time) == (pytest.approx(0.12), True)


def test_the_speed_of_a_play_is_in_its_log_and_logs_without_it_ran_at_real_time(tmp_path: Path) -> None:
    write_player_log(tmp_path / PLAYER_FILE, 100, 1000, [], scale=0.5)
    write_recorder_log(tmp_path / RECORDER_FILE, [], [])
    assert load_recording(tmp_path).play_s(100 + 2_000 * MS) == 1.0
    log = json.loads((tmp_path / PLAYER_FILE).read_text())
    del log["scale"]
    (tmp_path / PLAYER_FILE).write_text(json.dumps(log))
    assert load_recording(tmp_path).play_s(100 + 2_000 * MS) == 2.0


def test_waiting_is_what_tells_of_a_stream_that_never_came_and_of_no_other() -> None:
    scenario = Scenario("s", 1.0, (Fault("drop", "depth", 0.0),))
    played = recording([sent(R, 0), sent(R, 1)], [])
    played.health = [HealthSample(50 * MS, Mode.RGB, {R: "ok", D: "waiting"})]
    assert [(d.state, d.in_time) for d in detections(played, scenario)] == [("waiting", True)]
    later = Scenario("s", 1.0, (Fault("drop", "depth", 0.01),))
    played.sent.insert(0, sent(D, 0))
    assert [(d.state, d.in_time) for d in detections(played, later)] == [(None, False)]


def status(stamp: int, mode: str = "rgb", **values: str) -> dict[str, str]:
    base = {"mode": mode, "rgb_stamp_ns": str(stamp), "depth_stamp_ns": "", "received_rgb": "1", "received_depth": "0",
            "rgb_state": "ok", "depth_state": "waiting", "latency_ms": "12.5", "publish_ms": "n/a"}  # fmt: skip
    return base | values


def test_the_logs_of_player_and_recorder_become_one_recording(tmp_path: Path) -> None:
    write_player_log(tmp_path / PLAYER_FILE, 5, 1000, [sent(R, 0, stamp=7)])
    (tmp_path / LABEL_FILE).write_bytes(bytes(range(6)))
    extra = status(0, "none", rgb_stamp_ns="", drops='[["depth", 9, "frozen"]]', switches='[[8, "none", "rgb", "why"]]')
    write_recorder_log(tmp_path / RECORDER_FILE, [[20, 7, 2, 3, 0]], [[21, 7, status(7)], [30, 0, extra]])
    played = load_recording(tmp_path)
    output = played.outputs[0]
    assert (output.at_ns, output.stamp_ns, output.mode, output.stamps) == (20, 7, Mode.RGB, {R: 7})
    assert output.times_ms == {"latency_ms": 12.5}
    assert np.array_equal(output.label, np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert played.drops == [DroppedFrame(30, D, 9, "frozen")]
    assert played.switches == [Switch(8, Mode.NONE, Mode.RGB, "why")]
    assert (played.received, played.unexplained_labels) == ({R: 1, D: 0}, 0)


def test_a_status_without_its_label_image_covers_nothing(tmp_path: Path) -> None:
    write_player_log(tmp_path / PLAYER_FILE, 0, 1000, [sent(R, 0, stamp=7)])
    (tmp_path / LABEL_FILE).write_bytes(b"")
    write_recorder_log(tmp_path / RECORDER_FILE, [], [[21, 7, status(7)]])
    played = load_recording(tmp_path)
    assert played.outputs == []
    assert played.unexplained_labels == 1
    assert join(played).unlabelled_surviving


def test_logs_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"player\.json"):
        load_recording(tmp_path)


@pytest.mark.parametrize(("seconds", "shown"), [(30, False), (100, True)])
def test_the_page_names_a_slope_of_memory_only_where_there_is_one(tmp_path: Path, seconds: int, shown: bool) -> None:
    played = Recording(0, seconds * 1000 * MS)
    played.memory = [(t * 1000 * MS, 100.0) for t in range(seconds)]
    report = build_report(played, join(played), Scenario("s", float(seconds)), None, {"input": "i", "command": "c"})
    page = write_page(report, tmp_path).read_text()
    assert "100.0 MiB at most" in page
    assert ("slope" in page) == shown
    assert ("MiB an hour" in page) == shown


def test_memory_that_grows_has_a_slope_and_flat_memory_has_none() -> None:
    seconds = 1_000_000_000
    played = Recording(0, 100 * seconds)
    played.memory = [(t * seconds, 100.0 + t / 36) for t in range(100)]
    grown = memory(played)
    assert grown is not None
    assert grown["slope_mib_per_hour"] == pytest.approx(100.0, abs=0.1)
    assert grown["max_mib"] == pytest.approx(102.8, abs=0.1)
    played.memory = [(t * seconds, 100.0 + (50 if t < 10 else 60)) for t in range(100)]
    assert memory(played)["slope_mib_per_hour"] == pytest.approx(0.0, abs=1e-6)
    played.memory = played.memory[:5]
    assert memory(played) is None

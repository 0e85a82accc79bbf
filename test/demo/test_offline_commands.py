"""`evaluate` and `campaign` in virtual time, with the real segmenter and no ROS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rgbd_seg_ros.cli import main as cli
from rgbd_seg_ros.cli._play import Play, evaluate_recording
from rgbd_seg_ros.cli._simulated import MemoLabeller, policies, run_simulated
from rgbd_seg_ros.cli.campaign import CODE, Job, _result_name, play_all
from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.core.records import WorkOrder
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.comparison import policy_row
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_ros.evaluation.joining import join
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.inference.testing import write_test_bundle
from rgbd_seg_ros.replay.named_scenarios import load_scenario
from rgbd_seg_ros.replay.rendering import code_version
from rgbd_seg_ros.replay.scenario import Fault, Scenario
from rgbd_seg_ros.replay.sequence import Sequence, SequenceWriter
from rgbd_seg_ros.replay.simulate import SimulatedTimes
from rgbd_seg_ros.replay.source import SourceFrame
from rgbd_seg_ros.scenes.camera import Camera

HEIGHT, WIDTH, FRAMES = 60, 80, 12
NYU13 = LABEL_SETS["nyu13"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_test_bundle(tmp_path_factory.mktemp("bundle") / "b", height=HEIGHT, width=WIDTH)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    """Frames with the very truth of the test bundle's fusion model: bit 0 is bright, bit 1 is near."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("sequence") / "s"
    camera = Camera.default(WIDTH, HEIGHT)
    writer = SequenceWriter(folder, name="dice", camera=camera, label_set=NYU13, rate_hz=30.0)
    for i in range(FRAMES):
        rgb = rng.integers(40, 220, (HEIGHT, WIDTH, 3), np.uint8)
        depth = rng.integers(800, 4000, (HEIGHT, WIDTH), np.uint16)
        label = ((rgb[..., 0] >= 128) + 2 * (depth < 2000)).astype(np.uint8)
        writer.add(SourceFrame(Sensor.RGB, i * 33_333_333, rgb, label))
        writer.add(SourceFrame(Sensor.DEPTH, i * 33_333_333, depth, label))
    return writer.finish()


def play_of(sequence: Sequence, bundle: Bundle, *faults: Fault, seconds: float = 3.0) -> Play:
    """The test bundle under the name of a label set that has a ground truth."""
    named = Bundle(bundle.folder, replace(bundle.manifest, label_set=NYU13))
    return Play(sequence, Scenario("s", seconds, faults), named, 0)


def test_a_bundle_that_knows_the_truth_scores_one_in_fusion(sequence: Sequence, bundle: Bundle) -> None:
    play = play_of(sequence, bundle)
    report = evaluate_recording(play, run_simulated(play, MemoLabeller(Segmenter(bundle))), {})
    assert report["miou"]["fusion"] == 1.0
    assert report["passed"]


@pytest.mark.parametrize(("lost", "mode"), [("depth", Mode.RGB), ("rgb", Mode.DEPTH)])
def test_a_mode_scores_in_a_play_what_its_model_scores_offline(
    sequence: Sequence, bundle: Bundle, lost: str, mode: Mode
) -> None:
    play = play_of(sequence, bundle, Fault("drop", lost, 0.0), seconds=(FRAMES - 0.5) / 30)
    segmenter = Segmenter(bundle)
    played = evaluate_recording(play, run_simulated(play, MemoLabeller(segmenter)), {})["miou"][mode.value]
    offline = ConfusionMatrix(len(NYU13.classes))
    for i in range(FRAMES):
        rgb, depth = (sequence.frame(sensor, i) for sensor in (Sensor.RGB, Sensor.DEPTH))
        label = segmenter.segment(mode, np.asarray(rgb.image), np.asarray(depth.image)).label
        offline.update(np.asarray(rgb.label), label)
    assert played == pytest.approx(offline.scores().miou, abs=1e-4)


def test_remembered_labels_are_those_of_the_same_frame(sequence: Sequence, bundle: Bundle) -> None:
    play = play_of(sequence, bundle, Fault("salt", "rgb", 1.0, 0.5), Fault("freeze", "depth", 2.0, 0.5))
    segmenter = Segmenter(bundle)
    remembered = run_simulated(play, MemoLabeller(segmenter))

    def forgetful(order: WorkOrder) -> np.ndarray:
        return MemoLabeller(segmenter)(order)

    fresh = run_simulated(play, forgetful)
    for a, b in zip(remembered.outputs, fresh.outputs, strict=True):
        assert np.array_equal(a.label, b.label)


def test_switching_beats_what_others_do_and_the_perfect_switch_is_not_beaten(
    sequence: Sequence, bundle: Bundle
) -> None:
    play = play_of(sequence, bundle, Fault("drop", "depth", 1.0, 1.0))
    label, truth = MemoLabeller(Segmenter(bundle)), play.truth()
    assert truth is not None
    rows = {
        name: policy_row(name, join(run_simulated(play, label, make())), truth, NYU13, NYU13)
        for name, make in policies(play, SimulatedTimes()).items()
    }
    assert rows["synchroniser"]["labelled"] < rows["ours"]["labelled"] == rows["perfect switch"]["labelled"]
    assert rows["synchroniser"]["miou_always"] < rows["ours"]["miou_always"]
    assert rows["ours"]["miou_always"] <= rows["perfect switch"]["miou_always"]


def evaluate(sequence: Sequence, bundle: Bundle, out: Path, *more: str) -> int:
    return cli.main(
        ["evaluate", "--input", str(sequence.folder), "--bundle", str(bundle.folder), "--simulate", "--no-video",
         "--scenario", "rgb_drop", "--out", str(out), *more]
    )  # fmt: skip


def test_parameters_of_the_core_hold_in_virtual_time_too(sequence: Sequence, bundle: Bundle, tmp_path: Path) -> None:
    def labels_out(name: str, *more: str) -> dict[str, int]:
        assert evaluate(sequence, bundle, tmp_path / name, "--duration", "3", *more) == 0
        return json.loads((tmp_path / name / "report.json").read_text())["labels_out"]

    assert labels_out("patient", "--set", "restore_pairs:=30")["fusion"] < labels_out("usual")["fusion"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "queue_size:=9"], "queue_size"),
        (["--set", "nonsense:=9"], "nonsense"),
        (["--set", "restore_pairs:=soon"], "restore_pairs is 'soon'; give a value like 5"),
        (["--set", "restore_pairs:=0"], "restore_pairs is 0; give 1 to 10000"),
        (["--set", "restore_pairs:=90"], "below restore_pairs"),
        (["--set", "preferred:=both"], "choose one of: rgb, depth"),
        (["--clock"], "leave out --clock"),
        (["--speed", "2"], "leave out --clock and --speed"),
    ],
)
def test_what_means_nothing_in_virtual_time_is_refused(
    sequence: Sequence, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str],
    sentence: str,
) -> None:  # fmt: skip
    assert evaluate(sequence, bundle, tmp_path / "out", *words) == 2
    assert sentence in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_virtual_time_needs_no_ros() -> None:
    program = "import sys\nsys.modules.update(rclpy=None, rcl_interfaces=None)\nimport rgbd_seg_ros.cli.evaluate"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


def test_two_reports_can_be_compared(
    sequence: Sequence, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(sequence, bundle, tmp_path / "a") == 0
    assert evaluate(sequence, bundle, tmp_path / "b", "--duration", "3") == 0
    capsys.readouterr()
    assert cli.main(["evaluate", "--compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "unlabelled_surviving_frames" in capsys.readouterr().out


def test_oracles_without_a_comparable_truth_are_refused(
    sequence: Sequence, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(sequence, bundle, tmp_path / "a", "--oracles") == 2
    assert "ground truth in the bundle's classes" in capsys.readouterr().err


def campaign(sequence: Sequence, bundle: Bundle, out: Path) -> int:
    return cli.main(
        ["campaign", "--input", str(sequence.folder), "--bundle", str(bundle.folder), "--out", str(out), "--seeds", "2",
         "--scenarios", "depth_freeze", "rgb_truncated", "random:5", "--duration", "9", "--workers", "1"]
    )  # fmt: skip


def test_a_campaign_plays_everything_once_and_picks_up_where_it_was(
    sequence: Sequence, bundle: Bundle, tmp_path: Path
) -> None:
    assert campaign(sequence, bundle, tmp_path) == 0
    summary = json.loads((tmp_path / "campaign.json").read_text())
    assert (summary["runs"], summary["crashes"], summary["unlabelled"], summary["wrong"]) == (6, 0, 0, 0)
    assert "depth_freeze" in (tmp_path / "campaign.html").read_text()
    assert "| rgb_truncated | 2 |" in (tmp_path / "table.md").read_text()
    runs = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").iterdir()}
    next(iter(runs)).unlink()
    assert campaign(sequence, bundle, tmp_path) == 0
    again = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").iterdir()}
    assert set(again) == set(runs)
    assert sum(again[p] != runs[p] for p in runs) == 1


def test_a_result_counts_only_for_the_pixels_it_was_made_of(sequence: Sequence, bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "sequence"
    shutil.copytree(sequence.folder, folder)
    job = Job(folder, bundle.folder, 0, ("depth_drop",), None, False)
    before = _result_name(job)
    assert _result_name(job) == before
    with (folder / "depth.raw").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    assert _result_name(job) != before


@pytest.mark.parametrize("room", ["nodes", "cli", "scenes"])
def test_a_result_counts_only_for_the_code_it_was_made_by(room: str) -> None:
    assert code_version(f"rgbd_seg_ros.{room}") in CODE


def test_a_misspelt_scenario_ends_a_campaign_before_it_begins(
    sequence: Sequence, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--input", str(sequence.folder), "--bundle", str(bundle.folder), "--out", str(tmp_path / "c")]
    assert cli.main(["campaign", *arguments, "--scenarios", "depth_drop", "dept_drop"]) == 2
    assert "dept_drop" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_random_scenarios_need_a_seed() -> None:
    with pytest.raises(UserError, match="random:SEED"):
        load_scenario("random:x")


def die_of_freeze(job: Job) -> list[dict[str, Any]]:
    """A stand-in for `play_job` whose process ends when it meets one of the scenarios."""
    if "depth_freeze" in job.scenarios:
        os._exit(3)
    return [{"scenario": name, "crash": None} for name in job.scenarios]


def test_a_process_that_dies_is_a_crash_of_the_scenario_it_died_of(
    sequence: Sequence, bundle: Bundle, tmp_path: Path
) -> None:
    job = Job(sequence.folder, bundle.folder, 0, ("depth_drop", "depth_freeze", "rgb_drop"), None, False)
    rows = [row for row, _ in play_all([job], 1, tmp_path, die_of_freeze)]
    assert {row["scenario"]: row["crash"] for row in rows} == {
        "depth_drop": None,
        "depth_freeze": "the process died",
        "rgb_drop": None,
    }


def test_policies_are_compared_room_by_room_and_a_second_call_plays_nothing(
    sequence: Sequence, bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["label_set"] = {"name": "nyu13", "classes": list(NYU13.classes), "colors": [list(c) for c in NYU13.colors]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    arguments = ["oracles", "--input", str(sequence.folder), "--bundle", str(folder), "--out", str(tmp_path / "o"),
                 "--scenarios", "depth_drop", "--seeds", "2", "--workers", "1", "--duration", "6"]  # fmt: skip
    assert cli.main(arguments) == 0
    summary = {e["policy"]: e for e in json.loads((tmp_path / "o" / "oracles.json").read_text())["summary"]}
    assert summary["ours"]["labelled"] == summary["ours"]["moments"] > summary["synchroniser"]["labelled"]
    assert summary["synchroniser"]["ours_minus"][1] > 0
    assert (tmp_path / "o" / "policies.png").is_file()
    runs = {p: p.stat().st_mtime_ns for p in (tmp_path / "o" / "oracle_runs").iterdir()}
    assert cli.main(arguments) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "o" / "oracle_runs").iterdir()} == runs


def test_policies_without_a_truth_are_not_compared(
    sequence: Sequence, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["oracles", "--input", str(sequence.folder), "--bundle", str(bundle.folder), "--out", str(tmp_path)]
    assert cli.main([*arguments, "--seeds", "1", "--workers", "1"]) == 2
    assert "no play came to its end" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "missing"), [("only:rgb", "depth"), ("only:depth", "rgb")])
def test_a_stream_can_be_left_out_from_the_start(name: str, missing: str) -> None:
    scenario = load_scenario(name, 3.0)
    assert [(f.fault, f.stream, f.start, f.duration) for f in scenario.faults] == [("drop", missing, 0.0, None)]
    with pytest.raises(UserError, match="only:rgb or only:depth"):
        load_scenario("only:both")


def test_an_input_can_be_played_once(sequence: Sequence, bundle: Bundle, tmp_path: Path) -> None:
    assert evaluate(sequence, bundle, tmp_path, "--once") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames_in"]["rgb"]["sent"] == FRAMES

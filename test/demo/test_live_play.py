"""The demo over real ROS 2 in four processes, in small: what it leaves behind agrees with what was played."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from rgbd_seg_ros.cli import main as cli
from rgbd_seg_ros.inference.testing import write_test_bundle

pytestmark = [pytest.mark.ros, pytest.mark.slow]

SCENARIO = """
name: small
duration: 4.99
faults:
  - {fault: drop, stream: depth, start: 1.01, duration: 1.0}
  - {fault: drop, stream: rgb, start: 3.01, duration: 1.0}
"""
# A machine that is busy with other tests is slower than any camera: the node gets room for it.
PATIENT = ("queue_size:=50", "max_queue_age_ms:=5000.0", "stale_periods:=9.0", "pairing_timeout_ms:=60.0")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inputs")
    (root / "scenario.yaml").write_text(SCENARIO)
    write_test_bundle(root / "bundle", height=60, width=80)
    (root / "frames").mkdir()
    rng = np.random.default_rng(0)
    for i in range(20):
        cv2.imwrite(str(root / "frames" / f"{i:03d}_rgb.png"), rng.integers(40, 220, (120, 160, 3), np.uint8))
        cv2.imwrite(str(root / "frames" / f"{i:03d}_depth.png"), rng.integers(800, 4000, (120, 160), np.uint16))
    return root


@pytest.fixture(scope="module")
def demo(inputs: Path) -> Iterator[tuple[int, Path]]:
    out = inputs / "out"
    settings = [word for text in PATIENT for word in ("--set", text)]
    status = cli.main(
        ["demo", "--input", str(inputs / "frames"), "--scenario", str(inputs / "scenario.yaml"),
         "--bundle", str(inputs / "bundle"), "--out", str(out), *settings]
    )  # fmt: skip
    yield status, out


def test_every_surviving_frame_is_labelled_and_the_command_says_so(demo: tuple[int, Path]) -> None:
    status, out = demo
    report = json.loads((out / "report.json").read_text())
    assert report["failures"] == []
    assert report["unlabelled_surviving_frames"] == 0
    assert status == 0


def test_the_books_of_player_node_and_recorder_agree(demo: tuple[int, Path]) -> None:
    report = json.loads((demo[1] / "report.json").read_text())
    for stream in ("rgb", "depth"):
        account, frames = report["accounting"][stream], report["frames_in"][stream]
        assert account["received"] == account["labelled"] + account["dropped"], report["accounting"]
        assert frames["sent"] == 120
        assert frames["sent"] == frames["received"] + report["lost_in_transport"][stream]


def test_each_stream_that_drops_hands_over_to_the_other(demo: tuple[int, Path]) -> None:
    report = json.loads((demo[1] / "report.json").read_text())
    steps = [(s["from"], s["to"], s["trigger"]) for s in report["switches"] if not s["restores"]]
    assert ("fusion", "rgb", "start of depth drop") in steps
    assert ("fusion", "depth", "start of rgb drop") in steps
    assert min(report["labels_out"].values()) >= 25
    assert report["miou"] is None


def test_the_report_says_what_is_needed_to_play_it_again(demo: tuple[int, Path]) -> None:
    report = json.loads((demo[1] / "report.json").read_text())
    assert report["scenario"]["name"] == "small"
    assert report["seed"] == 2
    assert set(report["bundle"]["sha256"]) == {"fusion", "rgb", "depth"}
    assert report["machine"]["cores"] >= 1
    assert "numpy" in report["versions"]


def test_pictures_video_and_page_are_there_and_whole(demo: tuple[int, Path]) -> None:
    out = demo[1]
    assert {p.name for p in out.iterdir()} == {"report.json", "report.html", "timeline.png", "poster.png", "video.mp4"}
    video = cv2.VideoCapture(str(out / "video.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 150
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(30.0)
    assert cv2.imread(str(out / "timeline.png")).shape[1] > 1000
    page = (out / "report.html").read_text()
    assert "data:video/mp4;base64," in page
    assert "start of depth drop" in page


def test_a_missing_bundle_ends_it_with_a_sentence(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["demo", "--input", str(inputs / "frames"), "--bundle", str(inputs / "absent")])
    assert status == 2
    assert "absent" in capsys.readouterr().err


def test_a_node_that_cannot_start_ends_it_with_the_nodes_own_words(
    inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["demo", "--input", str(inputs / "frames"), "--bundle", str(inputs / "bundle"), "--backend", "wrong"]
    assert cli.main([*arguments, "--out", str(inputs / "none")]) == 2
    assert "wrong" in capsys.readouterr().err
    assert not (inputs / "none").exists()

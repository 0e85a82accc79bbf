"""Plays in lockstep over real ROS 2: every frame is answered, and a mode scores what its model scores offline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rgbd_seg_ros.cli import main as cli
from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_ros.inference.bundle import load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.inference.testing import write_test_bundle
from rgbd_seg_ros.replay.sequence import Sequence, SequenceWriter
from rgbd_seg_ros.replay.source import SourceFrame
from rgbd_seg_ros.scenes.camera import Camera

HEIGHT, WIDTH, FRAMES = 60, 80, 60
NYU13 = LABEL_SETS["nyu13"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test bundle under the name of a label set that has a ground truth."""
    folder = write_test_bundle(tmp_path_factory.mktemp("bundle") / "b", height=HEIGHT, width=WIDTH).folder
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["label_set"] = {"name": "nyu13", "classes": list(NYU13.classes), "colors": [list(c) for c in NYU13.colors]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    """Frames of noise whose truth is what the test bundle's fusion model says, but for a tenth of the pixels."""
    rng = np.random.default_rng(0)
    camera = Camera.default(WIDTH, HEIGHT)
    folder = tmp_path_factory.mktemp("sequence") / "s"
    writer = SequenceWriter(folder, name="dice", camera=camera, label_set=NYU13, rate_hz=30.0)
    for i in range(FRAMES):
        rgb = rng.integers(40, 220, (HEIGHT, WIDTH, 3), np.uint8)
        depth = rng.integers(800, 4000, (HEIGHT, WIDTH), np.uint16)
        label = ((rgb[..., 0] >= 128) + 2 * (depth < 2000)).astype(np.uint8)
        label[rng.random(label.shape) < 0.1] = 5
        for sensor, image in ((Sensor.RGB, rgb), (Sensor.DEPTH, depth)):
            writer.add(SourceFrame(sensor, i * 33_333_333, image, label))
    return writer.finish()


def lockstep(sequence: Sequence, bundle: Path, out: Path, *more: str) -> int:
    return cli.main(
        ["evaluate", "--pace", "lockstep", "--once", "--no-video", "--input", str(sequence.folder), "--backend",
         "onnxruntime", "--bundle", str(bundle), "--out", str(out), *more]
    )  # fmt: skip


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "mode"), [("healthy", Mode.FUSION), ("only:rgb", Mode.RGB), ("only:depth", Mode.DEPTH)]
)
def test_every_frame_is_answered_and_a_mode_scores_what_its_model_scores_offline(
    sequence: Sequence, bundle: Path, tmp_path: Path, scenario: str, mode: Mode
) -> None:
    assert lockstep(sequence, bundle, tmp_path, "--scenario", scenario, "--set", "restore_pairs:=1") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["pace"] == "lockstep"
    # Of the very first pair, colour leaves before any depth is known to exist: both are labelled alone.
    first = 1 if mode is Mode.FUSION else 0
    assert report["labels_out"][mode.value] == FRAMES - first
    assert sum(report["labels_out"].values()) == FRAMES + first
    assert sum(report["lost_in_transport"].values()) == 0
    assert report["miou"][mode.value] == pytest.approx(offline(sequence, bundle, mode, first), abs=1e-3)


def offline(sequence: Sequence, bundle: Path, mode: Mode, first: int) -> float:
    """mIoU of the model of a mode over all frames from `first` on, without node or stream."""
    segmenter, matrix = Segmenter(load_bundle(bundle)), ConfusionMatrix(len(NYU13.classes))
    for i in range(first, FRAMES):
        rgb, depth = (sequence.frame(sensor, i) for sensor in (Sensor.RGB, Sensor.DEPTH))
        label = segmenter.segment(mode, np.asarray(rgb.image), np.asarray(depth.image)).label
        matrix.update(np.asarray(rgb.label), label)
    segmenter.close()
    return matrix.scores().miou


@pytest.mark.ros
@pytest.mark.slow
def test_faults_of_content_and_stamps_keep_their_meaning(sequence: Sequence, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "name: s\nduration: 9\nfaults:\n"
        "  - {fault: drop, stream: depth, start: 1, duration: 2}\n"
        "  - {fault: wrong_encoding, stream: rgb, start: 4, duration: 1}\n"
        "  - {fault: frozen_stamps, stream: depth, start: 6, duration: 1}\n"
    )
    arguments = ["evaluate", "--pace", "lockstep", "--no-video", "--input", str(sequence.folder), "--bundle",
                 str(bundle), "--out", str(tmp_path / "o"), "--scenario", str(tmp_path / "s.yaml")]  # fmt: skip
    assert cli.main([*arguments, "--backend", "onnxruntime"]) == 0
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    falls = [(s["to"], s["trigger"]) for s in report["switches"] if not s["restores"]]
    assert falls == [
        ("rgb", "start of depth drop"),
        ("depth", "start of rgb wrong_encoding"),
        ("rgb", "start of depth frozen_stamps"),
    ]
    assert not any(s["wrong"] for s in report["switches"])
    assert report["unlabelled_surviving_frames"] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--scenario", "depth_jitter"], "faults of timing (jitter)"),
        (["--scenario", "healthy", "--speed", "2"], "leave out"),
        (["--scenario", "healthy", "--simulate"], "leave out"),
    ],
)
def test_what_means_nothing_in_lockstep_is_refused(
    sequence: Sequence, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert lockstep(sequence, bundle, tmp_path / "none", *words) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "none").exists()

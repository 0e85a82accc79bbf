"""`rgbd-seg benchmark` and the dispatcher behind `rgbd-seg`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from rgbd_seg_ros.cli.main import find_commands, main
from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.huge_pages import huge_pages
from rgbd_seg_ros.inference.backends.base import BackendError
from rgbd_seg_ros.inference.benchmark import run_benchmark
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.inference.testing import write_test_bundle

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_test_bundle(tmp_path_factory.mktemp("benchmark") / "bundle", 24, 32)


def test_every_usable_backend_and_mode_gets_as_many_frames(bundle: Bundle) -> None:
    result = run_benchmark(bundle, ["onnxruntime", "torch"], rounds=7, threads=1, size=(48, 64))
    assert {(m.backend, m.mode) for m in result.measurements} == {("onnxruntime", mode) for mode in bundle.modes}
    for measurement in result.measurements:
        assert len(measurement.latency_ms) == 7
        assert {len(times) for times in measurement.stages_ms.values()} == {7}
        # The stages are part of the whole.
        for whole, *parts in zip(measurement.latency_ms, *measurement.stages_ms.values(), strict=True):
            assert sum(parts) <= whole
        assert measurement.agreement == 1.0
        assert measurement.reference == "onnxruntime"
    assert "--checkpoint" in result.unusable["torch"]


def test_the_command_writes_json_and_picture(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["--backends", "onnxruntime", "--rounds", "3", "--size", "48x64", "--out", str(tmp_path / "out")]
    assert main(["benchmark", str(bundle.folder), *arguments]) == 0
    report = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    counts = {row["mode"]: row["latency_ms"]["count"] for row in report["results"]}
    assert counts == {"depth": 3, "fusion": 3, "rgb": 3}
    assert report["bundle"]["models"]["rgb"]["sha256"] == bundle.manifest.modes[Mode.RGB].model.sha256
    assert report["image_size"] == [48, 64]
    assert report["machine"]["cores"] >= 1
    assert report["huge_pages"] == huge_pages()
    picture = cv2.imread(str(tmp_path / "out" / "benchmark.png"))
    assert picture is not None
    assert picture.std() > 1
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("fusion", "onnxruntime", "p99"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["benchmark.json", "benchmark.png"]


def test_a_machine_without_a_usable_backend_is_told_why(bundle: Bundle, capsys: pytest.CaptureFixture) -> None:
    assert main(["benchmark", str(bundle.folder), "--backends", "torch", "--rounds", "3"]) == 1
    assert "--checkpoint" in capsys.readouterr().out


def test_a_backend_that_fails_while_it_warms_up_leaves_the_others_measured(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    warm_up = Segmenter.warm_up

    def fail_on_openvino(self: Segmenter) -> None:
        if self.backend == "openvino":
            raise BackendError("out of memory")
        warm_up(self)

    monkeypatch.setattr(Segmenter, "warm_up", fail_on_openvino)
    result = run_benchmark(bundle, ["openvino", "onnxruntime"], rounds=1, threads=1, size=(48, 64))
    assert result.unusable == {"openvino": "out of memory"}
    assert {m.backend for m in result.measurements} == {"onnxruntime"}


def test_settings_of_backends_reach_them(bundle: Bundle) -> None:
    with pytest.raises(UserError, match=r"openvino\.speed"):
        run_benchmark(bundle, ["onnxruntime"], rounds=1, settings={"openvino.speed": "high"})
    assert main(["benchmark", str(bundle.folder), "--setting", "onnxruntime.spin_us=long"]) == 2


def test_mistakes_end_with_one_sentence_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for arguments, words in (
        (["benchmark", str(tmp_path / "nothing")], "not a folder"),
        (["benchmark", str(tmp_path), "--rounds", "0"], "--rounds"),
        (["benchmark", str(tmp_path), "--backends", "abacus"], "abacus"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert words in error
        assert "Traceback" not in error
        assert error.count("\n") == 1
    for arguments in (["no-such-command"], [], ["benchmark", "x", "--size", "big"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


def test_help_lists_all_commands_without_importing_them() -> None:
    code = (
        "import sys\nfrom rgbd_seg_ros.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "loaded = [m for m in sys.modules if m.startswith('rgbd_seg_ros.cli.')]\n"
        "loaded = [m for m in loaded if not m.endswith('.main') and '._' not in m]\n"
        "assert not loaded, loaded\nassert 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "benchmark" in find_commands()
    for name in find_commands():
        assert name in done.stdout

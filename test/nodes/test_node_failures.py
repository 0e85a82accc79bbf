"""What the node does when inference itself fails: one frame lost, a reload, the error state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from node_harness import HEIGHT, NODE, WIDTH, Station, picture
from onnx import checker, parser
from sensor_msgs.msg import Image

from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.records import WorkOrder
from rgbd_seg_ros.core.stream import RgbdStream, StreamConfig
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import write_bundle
from rgbd_seg_ros.inference.manifest import Manifest, ModeEntry, ModelFile
from rgbd_seg_ros.inference.segmenter import Segmentation
from rgbd_seg_ros.inference.testing import TEST_LABEL_SET
from rgbd_seg_ros.nodes.diagnostics import NodeReport, node_status
from rgbd_seg_ros.nodes.engine import Engine, EngineError
from rgbd_seg_ros.nodes.messages import byte_array
from rgbd_seg_ros.nodes.worker import WorkerReport

POISON = 255
"""A colour value that the fragile model cannot stand."""


def write_fragile_bundle(folder: Path) -> Path:
    """A bundle for colour alone whose graph fails while it runs when any value is `POISON`: an impossible reshape.

    The hash, which adds nothing to the label, is an operator that only ONNX Runtime knows: no other runtime takes over.
    """
    image = f"[1,{HEIGHT},{WIDTH}]"
    graph = f"""<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
    fragile (uint8[1,{HEIGHT},{WIDTH},3] rgb) => (uint8{image} label, uint8{image} confidence)
    <int64 first = {{0}}, int64 zero = {{0}}, int64[1] one = {{1}}, int64[1] flat = {{-1}},
     int64[1] poison = {{{POISON}}}, int64[1] pixels = {{{HEIGHT * WIDTH * 3}}}> {{
        wide = Cast<to=7>(rgb)  peak = ReduceMax<keepdims=0>(wide)  peak1 = Reshape(peak, flat)
        times = Div(peak1, poison)  factor = Add(times, one)  size = Mul(pixels, factor)
        line = Reshape(wide, size)  top = ReduceMax<keepdims=0>(line)
        small = Cast<to=6>(top)  hash = com.microsoft.MurmurHash3<positive=0>(small)
        number = Cast<to=7>(hash)  nothing = Mul(number, zero)
        red = Gather<axis=3>(wide, first)  same = Add(red, nothing)
        label = Cast<to=2>(same)  confidence = Identity(label)
    }}"""
    model = parser.parse_model(graph)
    checker.check_model(model)
    entries = {Mode.RGB: ModeEntry(ModelFile("", "", 0), ("rgb",))}
    manifest = Manifest("fragile", TEST_LABEL_SET, HEIGHT, WIDTH, entries)
    return write_bundle(folder, manifest, {Mode.RGB: model.SerializeToString()}).folder


def poisoned(message: Image, sensor: Sensor, number: int) -> Image:
    pixels = np.frombuffer(message.data, np.uint8).copy()
    pixels[0] = POISON
    message.data = byte_array(pixels)
    return message


@pytest.fixture
def fragile(idle: Station, bundle: Path, tmp_path: Path):
    """A station beside the active node, which runs the fragile model."""
    assert idle.set_parameter("bundle", str(write_fragile_bundle(tmp_path / "fragile")))[0]
    assert idle.change_state("configure", "activate")
    yield idle
    if idle.state() == "active":
        assert idle.change_state("deactivate", "cleanup")
    assert idle.set_parameter("bundle", str(bundle))[0]


@pytest.mark.ros
def test_a_failed_inference_costs_its_own_frame_and_no_other(fragile: Station) -> None:
    fragile.play(5, [Sensor.RGB])
    (bad,) = fragile.play(1, [Sensor.RGB], change=poisoned)
    later = fragile.play(20, [Sensor.RGB])
    assert (*bad, "inference_error") in fragile.drops()
    assert set(later) <= fragile.covered()
    values = {v.key: v.value for v in fragile.wait_diagnostic("node", "mode").values}
    assert int(values["inference_errors"]) > 0
    assert fragile.state() == "active"


@pytest.mark.ros
def test_lasting_failures_end_in_the_error_state_from_which_the_node_can_be_configured_again(fragile: Station) -> None:
    fragile.play(5, [Sensor.RGB])
    fragile.play(20, [Sensor.RGB], change=poisoned, settle=False)
    fragile.wait("the error state", lambda: fragile.state() == "unconfigured")
    assert fragile.wait_diagnostic("node", "keeps failing after a reload").level == b"\x02"
    assert fragile.node.count_publishers(f"{NODE}/label_image") == 0
    assert fragile.change_state("configure", "activate")
    fragile.forget()
    sent = fragile.play(10, [Sensor.RGB])
    assert fragile.covered() == set(sent)


def test_a_run_that_was_repeated_is_told_in_diagnostics() -> None:
    segmenter = Script([True])
    engine = Engine(lambda: segmenter, max_errors=1)
    assert engine.incidents == ""
    segmenter.failed_runs, segmenter.diagnostics = 1, ["script: mode rgb failed (device lost) and was loaded again"]
    worker = WorkerReport(0, RgbdStream(StreamConfig(), frozenset(Mode)).snapshot(0), incidents=engine.incidents)
    values = {v.key: v.value for v in node_status("node", NodeReport("active", worker=worker), 0).values}
    assert values["backend_incidents"] == ("1 failed runs; script: mode rgb failed (device lost) and was loaded again")


class Script:
    """A segmenter that follows a script: True labels, False fails."""

    modes = frozenset({Mode.RGB})
    backend, backend_reason, failed_runs = "script", "test", 0

    def __init__(self, outcomes: list[bool]) -> None:
        self._outcomes = outcomes

    def segment(self, mode: Mode, rgb: np.ndarray, depth: None, scale: float) -> Segmentation:
        if not self._outcomes.pop(0):
            raise RuntimeError("scripted")
        return Segmentation(rgb[..., 0], rgb[..., 0], {})

    def close(self) -> None:
        self._outcomes = []


ORDER = WorkOrder(Mode.RGB, Frame(Sensor.RGB, 0, 0, picture(Sensor.RGB, 0)), None, "", 0, 0)


def outcomes(engine: Engine, count: int) -> list[str]:
    """What happens to `count` orders: label, error or final."""
    return [outcome(engine) for _ in range(count)]


def outcome(engine: Engine) -> str:
    try:
        engine.segment(ORDER)
    except EngineError as error:
        return "final" if error.final else "error"
    return "label"


def test_failures_in_a_row_reload_the_models_once() -> None:
    scripts = [[True, False, True, False, False, False], [True, True]]
    engine = Engine(lambda: Script(scripts.pop(0)), max_errors=3)
    assert outcomes(engine, 8) == ["label", "error", "label", "error", "error", "error", "label", "label"]
    assert engine.errors == 4


def test_failures_after_a_reload_are_final() -> None:
    scripts = [[False] * 2, [False] * 2]
    engine = Engine(lambda: Script(scripts.pop(0)), max_errors=2)
    assert outcomes(engine, 4) == ["error", "error", "error", "final"]


def test_a_long_good_run_earns_another_reload() -> None:
    scripts = [[False, False], [True] * 100 + [False, False], [True]]
    engine = Engine(lambda: Script(scripts.pop(0)), max_errors=2)
    assert outcomes(engine, 105)[-3:] == ["error", "error", "label"]


def test_models_that_cannot_be_reloaded_are_final() -> None:
    scripts = [[False]]

    def load() -> Script:
        if not scripts:
            raise UserError("the bundle is gone")
        return Script(scripts.pop())

    assert outcomes(Engine(load, max_errors=1), 1) == ["final"]


def test_models_that_fail_in_their_warm_up_after_a_reload_are_final() -> None:
    """As after the loss of a GPU: the files are there, and every run ends in the runtime's own exception."""
    scripts = [[False]]

    def load() -> Script:
        if not scripts:
            raise RuntimeError("device lost")
        return Script(scripts.pop())

    assert outcomes(Engine(load, max_errors=1), 1) == ["final"]

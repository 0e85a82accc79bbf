"""The running node measured end to end over DDS: highest rate per mode, latency at 30 Hz, time of a switch."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.evaluation.joining import JoinedFrame, join
from rgbd_seg_ros.evaluation.switching import switches
from rgbd_seg_ros.evaluation.timing import latencies
from rgbd_seg_ros.inference.benchmark import camera_images
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.replay.live import LiveOptions, play_live
from rgbd_seg_ros.replay.recording import Recording
from rgbd_seg_ros.replay.scenario import Fault, Scenario
from rgbd_seg_ros.replay.sequence import Sequence, SequenceWriter
from rgbd_seg_ros.replay.source import SourceFrame
from rgbd_seg_ros.scenes import Camera

RATES_HZ = (15.0, 30.0, 45.0, 60.0, 90.0, 120.0)
LATENCY_RATE_HZ = 30.0
MAX_UNLABELLED = 0.05
"""A rate counts as reached when fewer than this share of the frames stay without a label."""
_PLAY_S = 6.0
_SETTLE_S = 1.0  # discovery and the first switches belong to the start, not to the rate
_PICTURES = 30


def measure_node(
    bundle: Bundle,
    *,
    parameters: dict[str, Any],
    size: tuple[int, int] = (480, 640),
    rates_hz: tuple[float, ...] = RATES_HZ,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Plays made-up streams into the node, each rate of `rates_hz` in turn until two are too high, for every mode.

    Args:
        bundle: for the node.
        parameters: further parameters of the node, e.g. its backend.
        size: (height, width) of the images.
        rates_hz: rising.
        progress: gets a line of text per play.

    Returns:
        JSON data: `modes` with the highest rate reached, latency at 30 Hz and every rate tried (`unlabelled`: share of
        frames that no label image covers, with `reasons`; `in_mode`: share of the covered ones that this mode
        labelled); `switches`.
    """
    report: dict[str, Any] = {"max_unlabelled": MAX_UNLABELLED, "modes": {}, "switches": []}
    with tempfile.TemporaryDirectory(prefix="rgbd_seg_") as temporary:
        work = Path(temporary)
        for mode in sorted(bundle.modes, key=lambda m: m.value):
            tried: dict[str, Any] = {}
            for rate in rates_hz:
                # One rate may fail by a hiccup of the machine; two in a row are a limit.
                if [facts["unlabelled"] >= MAX_UNLABELLED for facts in tried.values()][-2:] == [True, True]:
                    break
                sequence = _sequence(work / f"{mode.value}_{rate:g}", mode, rate, size)
                recording = _play(sequence, Scenario("healthy", _PLAY_S), bundle, parameters)
                tried[f"{rate:g}"] = _at_rate(recording, mode)
                progress(f"{mode.value} at {rate:g} Hz: {100 * tried[f'{rate:g}']['unlabelled']:.1f} % unlabelled")
            reached = [float(rate) for rate, facts in tried.items() if facts["unlabelled"] < MAX_UNLABELLED]
            at_30 = tried.get(f"{LATENCY_RATE_HZ:g}", {}).get("latency_ms")
            report["modes"][mode.value] = {"peak_hz": max(reached, default=0.0), "latency_ms": at_30, "rates": tried}
        if bundle.modes >= {Mode.FUSION, Mode.RGB, Mode.DEPTH}:
            sequence = _sequence(work / "switching", Mode.FUSION, LATENCY_RATE_HZ, size)
            faults = tuple(Fault("drop", s, start, 2.0) for s, start in (("rgb", 3.0), ("depth", 9.0)))
            scenario = Scenario("switching", 14.0, faults)
            progress("switches")
            report["switches"] = switches(_play(sequence, scenario, bundle, parameters), scenario)
    return report


def print_node(report: dict[str, Any]) -> None:
    """The report for people."""
    console = Console(highlight=False)
    console.print("node, over DDS:")
    for mode, facts in report["modes"].items():
        latency = facts["latency_ms"]
        text = f"p50 {latency['p50']} ms, p95 {latency['p95']} ms" if latency else "not measured"
        console.print(f"  {mode:7} up to {facts['peak_hz']:g} Hz; at {LATENCY_RATE_HZ:g} Hz latency {text}")
    told: set[str | None] = {None, "start of the play"}
    for switch in report["switches"]:
        if switch["trigger"] not in told and switch["latency_ms"] is not None:
            told.add(switch["trigger"])  # later ones with the same trigger have other causes
            console.print(f"  {switch['from']} to {switch['to']} {switch['latency_ms']} ms after {switch['trigger']}")


def _play(sequence: Sequence, scenario: Scenario, bundle: Bundle, parameters: dict[str, Any]) -> Recording:
    options = LiveOptions(bundle.folder, parameters=parameters, keep_labels=False)
    return play_live(sequence.folder, scenario, options, sequence.folder.with_name(f"{sequence.folder.name}_logs"))


def _at_rate(recording: Recording, mode: Mode) -> dict[str, Any]:
    joined = join(recording)
    counted = [frame for frame in joined.frames if frame.sent.time_ns >= _SETTLE_S * 1e9]
    outputs = [frame.output for frame in counted if frame.output is not None]
    return {
        "frames": len(counted),
        "unlabelled": round(1 - len(outputs) / max(1, len(counted)), 4),
        "reasons": dict(Counter(_reason(frame) for frame in counted if frame.output is None)),
        "in_mode": round(sum(output.mode is mode for output in outputs) / max(1, len(outputs)), 4),
        "latency_ms": latencies(joined).get(mode.value),
    }


def _reason(frame: JoinedFrame) -> str:
    """Why a frame has no label."""
    if frame.drop is not None:
        return frame.drop.reason
    return "lost in transport" if frame.lost else "not accounted for"


def _sequence(folder: Path, mode: Mode, rate_hz: float, size: tuple[int, int]) -> Sequence:
    """Made-up pictures of the sensors that `mode` reads, no two alike (a repeated picture would count as frozen)."""
    height, width = size
    camera = Camera.default(width, height)
    writer = SequenceWriter(folder, name=f"{mode.value} {rate_hz:g} Hz", camera=camera, label_set=None, rate_hz=rate_hz)
    for number in range(_PICTURES):
        rgb, depth = camera_images(size, number)
        for sensor in mode.sensors:
            picture = rgb if sensor is Sensor.RGB else depth
            writer.add(SourceFrame(sensor, round(number * 1e9 / rate_hz), picture))
    return writer.finish()

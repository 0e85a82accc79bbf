"""Latency, rates and memory of a recorded play."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.evaluation.joining import Join
from rgbd_seg_ros.replay.recording import LabelOutput, Recording
from rgbd_seg_ros.replay.scenario import Scenario

MEMORY_SAMPLES = 10
CURVE_SAMPLES = 60
SLOPE_S = 60.0
"""Over less time the slope of memory is noise."""


def percentiles(values: list[float]) -> dict[str, float | int] | None:
    """p50, p95, p99, largest and number of values; None without any."""
    if not values:
        return None
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return {
        "p50": round(float(p50), 2),
        "p95": round(float(p95), 2),
        "p99": round(float(p99), 2),
        "max": round(max(values), 2),
        "count": len(values),
    }


def latencies(joined: Join) -> dict[str, Any]:
    """End-to-end latency per mode: publication of the newest covered frame to reception of the label image, ms."""
    newest: dict[int, tuple[LabelOutput, int]] = {}
    for frame in joined.frames:
        if frame.output is not None:
            key = id(frame.output)
            newest[key] = (frame.output, max(frame.sent.sent_ns, newest[key][1] if key in newest else 0))
    by_mode: dict[str, list[float]] = defaultdict(list)
    for output, sent_ns in newest.values():
        by_mode[output.mode.value].append((output.at_ns - sent_ns) / 1e6)
    return {mode: percentiles(values) for mode, values in by_mode.items()}


def stages(recording: Recording) -> dict[str, Any]:
    """The times that the node itself states, per mode and stage, ms."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for output in recording.outputs:
        for name, spent in output.times_ms.items():
            values[output.mode.value][name.removesuffix("_ms")].append(spent)
    return {mode: {name: percentiles(v) for name, v in by_name.items()} for mode, by_name in values.items()}


def label_rates(recording: Recording, scenario: Scenario) -> dict[str, float]:
    """Label images per second in each mode: intervals between consecutive images of one mode.

    An interval during which the scenario leaves no stream at all says nothing about the node and is left out.
    """
    spans: dict[str, list[float]] = defaultdict(list)
    for before, after in pairwise(recording.outputs):
        middle_ns = round(recording.play_s((before.at_ns + after.at_ns) // 2) * 1e9)
        if before.mode is after.mode and scenario.best_mode(middle_ns) is not Mode.NONE:
            spans[before.mode.value].append((after.at_ns - before.at_ns) / 1e9)
    return {mode: round(len(gaps) / sum(gaps), 2) for mode, gaps in spans.items() if sum(gaps) > 0}


def memory(recording: Recording) -> dict[str, Any] | None:
    """Resident memory of the node: at the start, at the end, at most (MiB) and its slope in MiB an hour.

    The slope is that of the least-squares line through all samples but those of the first fifth of the play, in
    which allocators and caches fill; None for less than `SLOPE_S` of them. `curve` holds some of the samples: seconds
    since the first, and MiB. None for all where the node was not watched.
    """
    settled = [(at, mib) for at, mib in recording.memory if at > recording.steady_ns(recording.duration_ns // 5)]
    if len(settled) < MEMORY_SAMPLES:
        return None
    hours = [(at - settled[0][0]) / 3.6e12 for at, _ in settled]
    values = [mib for _, mib in settled]
    return {
        "start_mib": round(recording.memory[0][1], 1),
        "end_mib": round(values[-1], 1),
        "max_mib": round(max(mib for _, mib in recording.memory), 1),
        "slope_mib_per_hour": round(float(np.polyfit(hours, values, 1)[0]), 2) if hours[-1] * 3600 >= SLOPE_S else None,
        "watched_s": round(hours[-1] * 3600, 1),
        "curve": [
            [round((at - recording.memory[0][0]) / 1e9), round(mib, 1)]
            for at, mib in recording.memory[:: 1 + len(recording.memory) // CURVE_SAMPLES]
        ],
    }

"""timeline.png: faults, sensor states, modes, latency and label rate over the play."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no display is needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.replay.recording import Recording
from rgbd_seg_ros.replay.scenario import Scenario

MODE_COLORS = {Mode.FUSION: "#2a9d4e", Mode.RGB: "#2f7fd1", Mode.DEPTH: "#e08a1e", Mode.NONE: "#c4342d"}
STATE_COLORS = {
    "ok": "#bfe3c8", "slow": "#d9d27a", "waiting": "#d5d5d5", "stale": "#d9655f", "frozen": "#6a8fd8",
    "stamps": "#a06fc9", "blank": "#3d3d3d", "invalid": "#9c2b6f",
}  # fmt: skip
RATE_WINDOW_S = 0.5

Bar = tuple[float, float, str]


def draw_timeline(recording: Recording, scenario: Scenario, file: Path, title: str = "") -> None:
    """Draws the picture.

    Args:
        recording: the play.
        scenario: what was played.
        file: PNG to write.
        title: one line above.
    """
    figure, axes = plt.subplots(
        3, 1, figsize=(12, 6.4), sharex=True, gridspec_kw={"height_ratios": [2.6, 1.6, 1.0]}, constrained_layout=True
    )
    end_s = recording.duration_ns / 1e9
    _draw_bars(axes[0], recording, scenario, end_s)
    _draw_latency(axes[1], recording)
    _draw_rate(axes[2], recording, end_s)
    axes[2].set_xlim(0, end_s)
    axes[2].set_xlabel("seconds of the play")
    figure.suptitle(title, fontsize=12)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def mode_bars(recording: Recording, end_s: float) -> list[Bar]:
    """(start, end, mode) of the stream's mode, seconds of the play, from the switches that the node reported."""
    points = [(recording.play_s(s.at_ns), s.after.value) for s in sorted(recording.switches, key=lambda s: s.at_ns)]
    return _bars([(0.0, Mode.NONE.value), *points], end_s)


def _state_bars(recording: Recording, sensor: Sensor, end_s: float) -> list[Bar]:
    return _bars([(recording.play_s(h.at_ns), h.states[sensor]) for h in recording.health], end_s)


def _bars(points: Sequence[tuple[float, str]], end_s: float) -> list[Bar]:
    bars: list[Bar] = []
    ends = [min(start, end_s) for start, _ in points[1:]] + [end_s]
    for (began, name), end in zip(points, ends, strict=True):
        start = max(0.0, began)
        if end <= start:
            continue
        if bars and bars[-1][2] == name:
            bars[-1] = (bars[-1][0], end, name)
        else:
            bars.append((start, end, name))
    return bars


def _draw_bars(axis: Axes, recording: Recording, scenario: Scenario, end_s: float) -> None:
    rows = ["colour: fault", "colour: state", "depth: fault", "depth: state", "mode"]
    for number, sensor in enumerate((Sensor.RGB, Sensor.DEPTH)):
        for fault in scenario.faults:
            if sensor in fault.sensors:
                end = fault.end_ns(recording.duration_ns) / 1e9
                axis.barh(2 * number, end - fault.start, left=fault.start, height=0.7, color="#8c8c8c")
                _label(axis, fault.start, end, 2 * number, fault.fault, end_s)
        states = _state_bars(recording, sensor, end_s)
        spans = [(start, end - start) for start, end, _ in states]
        colors = [STATE_COLORS.get(state, "#ffffff") for _, _, state in states]
        axis.broken_barh(spans, (2 * number + 0.65, 0.7), facecolors=colors)
    modes = mode_bars(recording, end_s)
    spans = [(start, end - start) for start, end, _ in modes]
    axis.broken_barh(spans, (3.6, 0.8), facecolors=[MODE_COLORS[Mode(name)] for _, _, name in modes])
    for start, end, name in modes:
        _label(axis, start, end, 4, name, end_s)
    axis.set_yticks(range(len(rows)), rows)
    axis.invert_yaxis()
    seen = {h.states[s] for h in recording.health for s in Sensor}
    handles: list[Any] = [Patch(color=color, label=name) for name, color in STATE_COLORS.items() if name in seen]
    axis.legend(handles=handles, ncols=8, loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, fontsize=9)


def _label(axis: Axes, start: float, end: float, row: float, text: str, end_s: float) -> None:
    if end - start > 0.011 * len(text) * end_s:
        axis.text((start + end) / 2, row, text, ha="center", va="center", color="white", fontsize=9)


def _draw_latency(axis: Axes, recording: Recording) -> None:
    for mode, color in MODE_COLORS.items():
        points = [
            (recording.play_s(o.at_ns), o.times_ms["latency_ms"])
            for o in recording.outputs
            if o.mode is mode and "latency_ms" in o.times_ms
        ]
        if points:
            axis.plot(*zip(*points, strict=True), ".", color=color, ms=3.5, label=mode.value)
    axis.set_ylabel("latency (ms)\narrival to label")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper right", fontsize=9, ncols=3)


def _draw_rate(axis: Axes, recording: Recording, end_s: float) -> None:
    times = np.sort([recording.play_s(o.at_ns) for o in recording.outputs])
    grid = np.arange(RATE_WINDOW_S, end_s, 0.05)
    rate = (np.searchsorted(times, grid) - np.searchsorted(times, grid - RATE_WINDOW_S)) / RATE_WINDOW_S
    rate = rate * recording.scale  # labels by the clock on the wall, over seconds of the play
    axis.plot(grid, rate, color="#444444", lw=1.2)
    axis.set_ylabel(f"labels/s\n({RATE_WINDOW_S:g} s window)")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)

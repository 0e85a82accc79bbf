"""Cost of the core per frame at 640 x 480: health, pairing and mode choice of a healthy 30 Hz stream.

    python benchmarks/bench_core.py

Prints the median of `accept` + `orders` and, beside it in the same run, of one plain copy of the colour image.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.stream import RgbdStream, StreamConfig

FRAMES = 600
PERIOD_NS = 33_333_333


def main() -> None:
    rng = np.random.default_rng(0)
    color = [rng.integers(0, 255, (480, 640, 3), dtype=np.uint8) for _ in range(8)]
    depth = [rng.integers(500, 5000, (480, 640)).astype(np.uint16) for _ in range(8)]
    stream = RgbdStream(StreamConfig(), frozenset({Mode.FUSION, Mode.RGB, Mode.DEPTH}))
    costs, copies, labelled = [], [], 0
    for index in range(FRAMES):
        now = index * PERIOD_NS
        for sensor, pixels in ((Sensor.RGB, color[index % 8]), (Sensor.DEPTH, depth[index % 8])):
            frame = Frame(sensor, now, now, pixels)
            start = time.perf_counter()
            stream.accept(frame, now)
            labelled += len(stream.orders(now))
            costs.append(time.perf_counter() - start)
        start = time.perf_counter()
        color[index % 8].copy()
        copies.append(time.perf_counter() - start)
    cost, copy = 1e3 * statistics.median(costs), 1e3 * statistics.median(copies)
    p99 = 1e3 * statistics.quantiles(costs, n=100)[98]
    print(f"core: {cost:.3f} ms a frame (p99 {p99:.3f}); one copy of a colour image: {copy:.3f} ms; orders {labelled}")


if __name__ == "__main__":
    main()

"""Speed of the scene renderer: `python benchmarks/bench_scenes.py [--workers 2] [--seconds 20]`.

Samples are new scene, pose and sensors every time; a stream moves through one scene. Per row: frames per second of
wall time with `--workers` processes, and milliseconds of processor time per frame of a single process (which other
load on the machine disturbs less).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Generator
from itertools import count
from pathlib import Path
from sys import path as import_path

import_path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2

from rgbd_seg_ros.scenes import Camera, RenderedFrame, generate_samples, render_sequence

Frames = Generator[RenderedFrame, None, None]


def frames_per_second(frames: Frames, warm_up: int, seconds: float, clock: Callable[[], float]) -> float:
    # Workers start, textures are drawn and scenes built before the clock runs.
    for _ in range(warm_up):
        next(frames)
    done, start = 0, clock()
    while clock() - start < seconds:
        next(frames)
        done += 1
    rate = done / (clock() - start)
    frames.close()
    return rate


def report(name: str, make: Callable[[int], Frames], workers: int, seconds: float) -> None:
    wall = frames_per_second(make(workers), 8 * workers, seconds, time.perf_counter)
    alone = frames_per_second(make(0), 2, seconds / 4, time.process_time)
    print(f"{name:24s} {wall:6.1f} frames/s with {workers} workers, {1000 / alone:6.1f} ms of processor time a frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--seconds", type=float, default=20.0, help="measured time per row")
    parser.add_argument("--worlds", nargs="+", default=["indoor", "aerial", "drone"])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    for world in options.worlds:
        for width, height in ((160, 120), (320, 240)):
            camera = Camera.default(width, height)

            def samples(workers: int, world: str = world, camera: Camera = camera) -> Frames:
                yield from generate_samples(world, count(), camera, workers)

            report(f"{world} samples {width}x{height}", samples, options.workers, options.seconds)

        def stream(workers: int, world: str = world) -> Frames:
            yield from render_sequence(world, 0, 600.0, 30.0, Camera.default(640, 480), workers)

        report(f"{world} stream 640x480", stream, options.workers, options.seconds)


if __name__ == "__main__":
    main()

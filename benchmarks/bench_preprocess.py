"""Preparing images for the network and labels for the image, against the obvious alternatives, ms.

python benchmarks/bench_preprocess.py [--rounds 200]
Processor time, one thread: unlike wall time it means something on a machine that does other work as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np

from rgbd_seg_ros.inference.benchmark import camera_images
from rgbd_seg_ros.inference.preprocess import InputBuffers, to_image_size

CAMERA, NETWORK = (480, 640), (240, 320)


def cases() -> dict[str, Callable[[], object]]:
    rgb, depth = camera_images(CAMERA, 0)
    metres = np.where(depth == 0, np.nan, depth / 1000).astype(np.float32)
    small = cv2.resize(rgb, NETWORK[::-1], interpolation=cv2.INTER_AREA)
    label = np.arange(NETWORK[0] * NETWORK[1]).reshape(NETWORK).astype(np.uint8)
    table = np.linspace(-2, 2, 256, dtype=np.float32)
    planes = np.zeros((1, 3, *NETWORK), np.float32)
    buffers, same_size = InputBuffers(*NETWORK), InputBuffers(*CAMERA)

    def lookup_table() -> None:
        for channel, plane in enumerate(cv2.split(small)):
            cv2.LUT(plane, table, dst=planes[0, channel])

    return {
        "colour 640x480 to 320x240, by area": lambda: buffers.color(rgb),
        "colour of network size": lambda: same_size.color(rgb),
        "depth uint16 640x480 to 320x240": lambda: buffers.depth(depth, 0.001),
        "depth uint16 of network size": lambda: same_size.depth(depth, 0.001),
        "depth float32 640x480 to 320x240": lambda: buffers.depth(metres, 1.0),
        "depth float32 of network size": lambda: same_size.depth(metres, 1.0),
        "labels 320x240 to 640x480": lambda: to_image_size(label, CAMERA),
        "(normalisation on the host, cv2.LUT)": lookup_table,
        "(normalisation on the host, numpy)": lambda: (small.transpose(2, 0, 1).astype(np.float32) - 120) / 58,
        "(depth float32, nan_to_num)": lambda: np.nan_to_num(metres, posinf=0, neginf=0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    times: dict[str, list[float]] = {name: [] for name in cases()}
    work = cases()
    for _ in range(rounds):
        for name, function in work.items():
            started = time.process_time_ns()
            function()
            times[name].append((time.process_time_ns() - started) / 1e6)
    for name, values in times.items():
        print(f"{name:40} {np.median(values):6.3f}")


if __name__ == "__main__":
    main()

"""HHA of one 480x640 depth image on one core: this package beside the usual way, in one run.

The usual way sums every window by a convolution with a full box of ones and selects normals by boolean indexing in
each iteration, as public code does; it is the same algorithm and must give the same image.

    python benchmarks/bench_hha.py --rounds 5
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.signal import convolve2d

from rgbd_seg_ros.hha import encode_hha, fill_holes
from rgbd_seg_ros.scenes import Camera, render_sample


def slow_normals(z: np.ndarray, valid: np.ndarray, u: np.ndarray, v: np.ndarray, radius: int) -> np.ndarray:
    """adj(A) b of every window, each sum a dense convolution."""
    box = np.ones((2 * radius + 1, 2 * radius + 1))

    def total(values: np.ndarray) -> np.ndarray:
        return convolve2d(np.where(valid, values, 0.0), box, mode="same")

    one, inverse = np.ones_like(z), 1.0 / np.maximum(z, 1e-9)
    uu, uv, vv, u1, v1, n = (total(m) for m in (u * u, u * v, v * v, u * one, v * one, one))
    bu, bv, b1 = (total(m * inverse) for m in (u, v, one))
    adjugate = [
        [vv * n - v1 * v1, u1 * v1 - uv * n, uv * v1 - u1 * vv],
        [u1 * v1 - uv * n, uu * n - u1 * u1, u1 * uv - uu * v1],
        [uv * v1 - u1 * vv, u1 * uv - uu * v1, uu * vv - uv * uv],
    ]
    normals = np.stack([row[0] * bu + row[1] * bv + row[2] * b1 for row in adjugate])
    with np.errstate(invalid="ignore"):
        normals /= np.linalg.norm(normals, axis=0)
    return normals * np.where(normals[2] < 0, -1.0, 1.0)


def slow_gravity(normals: np.ndarray) -> np.ndarray:
    """Five iterations at 45 and five at 15 degrees."""
    flat = normals.reshape(3, -1)
    flat = flat[:, ~np.isnan(flat[0])]
    gravity = np.array([0.0, 1.0, 0.0])
    for degrees in [45.0] * 5 + [15.0] * 5:
        along = np.abs(gravity @ flat)
        floor, wall = flat[:, along > np.cos(np.radians(degrees))], flat[:, along < np.sin(np.radians(degrees))]
        smallest = np.linalg.eigh(wall @ wall.T - floor @ floor.T)[1][:, 0]
        gravity = smallest * (np.sign(smallest @ gravity) or 1.0)
    return gravity


def slow_hha(depth: np.ndarray, valid: np.ndarray, camera: tuple[float, float, float, float]) -> np.ndarray:
    """The usual way, float64 throughout."""
    fx, fy, cx, cy = camera
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]]
    u, v, z = (columns - cx) / fx, (rows - cy) / fy, depth.astype(np.float64) * 100
    gravity = slow_gravity(slow_normals(z, valid, u, v, 10))
    normals = slow_normals(z, valid, u, v, 3)
    height = -z * (gravity[0] * u + gravity[1] * v + gravity[2])
    height -= -130.0 if height.min() > -90 else height.min()
    angle = np.degrees(np.arccos(np.clip(np.tensordot(gravity, normals, 1), -1, 1))) + 38
    channels = 31000 / np.maximum(z, 100), height, np.where(np.isnan(angle), 0, angle)
    return np.stack([np.clip(np.rint(c), 0, 255) for c in channels], -1).astype(np.uint8)


def milliseconds(function: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    wall, processor = time.perf_counter(), time.process_time()
    result = function()
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - processor) * 1e3, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="rendered room")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    camera = Camera.default(640, 480)
    measured = np.asarray(render_sample("indoor", args.seed, camera).depth, np.float32)
    depth, valid = fill_holes(measured), measured > 0
    numbers = camera.fx, camera.fy, camera.cx, camera.cy
    ways = {
        "box filters (this package)": lambda: encode_hha(depth, numbers, valid, first_pixel=0),
        "dense convolutions": lambda: slow_hha(depth, valid, numbers),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    images = {}
    for _ in range(args.rounds):
        for name, way in ways.items():
            wall, processor, images[name] = milliseconds(way)
            times[name].append((wall, processor))
    table = Table("HHA, 480x640, one thread", "processor ms, median", "processor ms, best", "wall ms, best")
    for name, values in times.items():
        wall, processor = np.array(values).T
        table.add_row(name, f"{np.median(processor):.1f}", f"{processor.min():.1f}", f"{wall.min():.1f}")
    Console().print(table)
    first, second = (image.astype(int) for image in images.values())
    same = (np.abs(first - second) <= 1).all(-1)
    print(f"pixels that agree within 1: {same.mean():.3%} (the others lie in holes, where too few points make a plane)")


if __name__ == "__main__":
    main()

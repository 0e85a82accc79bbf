"""How the CPU runtimes behave on idle cores and beside a busy process: the figures behind the defaults.

python benchmarks/bench_inference.py BUNDLE [--rounds 100] [--busy 0 1]
Variants run interleaved (one frame each, in an order drawn for every round), so that all see the same disturbances and
none always runs behind the same neighbour.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time

import numpy as np

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter

VARIANTS = (
    ("onnxruntime", 1, {}),
    ("onnxruntime", 2, {}),
    ("onnxruntime", 2, {"onnxruntime.spin_us": 0}),
    ("onnxruntime", 2, {"onnxruntime.spin_us": 50}),
    ("onnxruntime", 2, {"onnxruntime.spin_us": 1000}),
    ("openvino", 1, {}),
    ("openvino", 2, {}),
    ("openvino", 2, {"openvino.precision": "bf16"}),
    ("torch", 2, {}),
)
PAUSE_S = 0.005
"""Lets the workers of the last variant go to sleep."""


def burn() -> None:
    while True:
        pass


def open_variants(bundle: Bundle) -> dict[str, Segmenter]:
    segmenters = {}
    for backend, threads, settings in VARIANTS:
        name = f"{backend}, {threads} threads{''.join(f', {k}={v}' for k, v in settings.items())}"
        try:
            segmenter = Segmenter(bundle, backend, threads, settings=settings)
            segmenter.warm_up()
            segmenters[name] = segmenter
        except UserError as error:
            print(f"{name}: {error}")
    return segmenters


def measure(segmenters: dict[str, Segmenter], mode: Mode, rounds: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (480, 640, 3), np.uint8)
    depth = rng.integers(400, 8000, (480, 640), np.uint16)
    times: dict[str, list[float]] = {name: [] for name in segmenters}
    for _ in range(rounds + 5):
        for name in rng.permutation(list(segmenters)):
            time.sleep(PAUSE_S)
            started = time.perf_counter()
            segmenters[name].segment(mode, rgb, depth)
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: np.array(values[5:]) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1], help="numbers of busy processes beside it")
    args = parser.parse_args()
    bundle = load_bundle(args.bundle)
    segmenters = open_variants(bundle)
    for busy in args.busy:
        others = [multiprocessing.get_context("spawn").Process(target=burn, daemon=True) for _ in range(busy)]
        for process in others:
            process.start()
        for mode in sorted(bundle.modes, key=lambda m: m.value):
            print(f"{mode.value}, {busy} busy processes, ms at 640x480: least, median, p95")
            for name, times in measure(segmenters, mode, args.rounds).items():
                print(
                    f"  {name:50} {times.min():7.2f} {np.median(times):7.2f} {np.percentile(times, 95):7.2f}",
                    flush=True,
                )
        for process in others:
            process.terminate()


if __name__ == "__main__":
    main()

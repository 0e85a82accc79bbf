"""What the first frame after a change of mode costs: the first change ever against later ones, warmed up or not.

python benchmarks/bench_switch.py BUNDLE [--changes 20] [--backends onnxruntime openvino]

Every repetition loads the models anew. A change is one frame of another mode after ten of the mode before.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections import defaultdict

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.benchmark import camera_images
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter

BEFORE = 10
REPETITIONS = 5


def milliseconds(segmenter: Segmenter, mode: Mode, seed: int) -> float:
    rgb, depth = camera_images((480, 640), seed)
    started = time.perf_counter()
    segmenter.segment(mode, rgb, depth)
    return 1e3 * (time.perf_counter() - started)


def changes(bundle: Bundle, backend: str, threads: int, warm: bool, count: int) -> dict[Mode, list[float]]:
    """Milliseconds of the first frame of a mode at each change to it."""
    segmenter = Segmenter(bundle, backend, threads)
    try:
        if warm:
            segmenter.warm_up()
        times: dict[Mode, list[float]] = defaultdict(list)
        order = itertools.cycle(m for m in (Mode.FUSION, Mode.RGB, Mode.DEPTH) if m in bundle.modes)
        for number, mode in zip(range(count * len(bundle.modes)), order, strict=False):
            times[mode].append(milliseconds(segmenter, mode, number))
            for more in range(BEFORE):
                milliseconds(segmenter, mode, number + more)
        return times
    finally:
        segmenter.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--changes", type=int, default=20, help="to each mode, in each repetition")
    parser.add_argument("--backends", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    bundle = load_bundle(args.bundle)
    print(f"ms of the first frame after a change, median of {REPETITIONS} loads: first change ever, later ones")
    for backend, warm in itertools.product(args.backends, (True, False)):
        try:
            runs = [changes(bundle, backend, args.threads, warm, args.changes) for _ in range(REPETITIONS)]
        except UserError as error:
            print(f"{backend}: {error}")
            continue
        for mode in runs[0]:
            first = statistics.median(run[mode][0] for run in runs)
            later = statistics.median(t for run in runs for t in run[mode][1:])
            print(f"  {backend}, {'warm' if warm else 'cold'}, {mode.value:8} {first:8.1f} {later:8.1f}", flush=True)


if __name__ == "__main__":
    main()

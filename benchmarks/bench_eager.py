"""A bundle against what people run without one: plain PyTorch around the same network, side by side.

    python benchmarks/bench_eager.py BUNDLE [--rounds 60] [--threads 2] [--size 480x640] [--skip compiled] [--json FILE]

BUNDLE carries its checkpoints (export with --checkpoint), or is a YAML file of networks, such as
training/configs/bundle/models.yaml; those are exported before any training: times do not depend on the weights.
Variants run in interleaved rounds, from camera images to labels and confidence at camera size. Beside the time of a
frame stands the processor time of all threads together, which other programs change less.

plain eager     cv2 resize, numpy normalisation, the network in NCHW memory, interpolation, softmax and max in torch
eager, NHWC     backend `torch`: normalisation in the graph, channels-last memory
compiled        the same through torch.compile (inductor)
others          the exported graph
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.machine import machine_facts, version_facts
from rgbd_seg_ros.evaluation.timing import percentiles
from rgbd_seg_ros.huge_pages import huge_pages
from rgbd_seg_ros.inference.benchmark import camera_images
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.inference.preprocess import InputBuffers
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.models.checkpoint import load_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle
from rgbd_seg_training.network_file import read_networks

PLAIN = "plain eager"
VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("eager, NHWC", "torch", {}),
    ("compiled", "torch", {"torch.compile": True}),
    ("onnxruntime", "onnxruntime", {}),
    ("onnxruntime, no spinning", "onnxruntime", {"onnxruntime.spin_us": 0}),
    ("openvino", "openvino", {}),
)
PAUSE_S = 0.005
"""Lets the workers of the last variant go to sleep."""
WARM_UP_ROUNDS = 3

Images = tuple[np.ndarray, np.ndarray]


class PlainEager:
    """The loop of a typical inference script: arrays in, numpy normalisation, everything else in torch."""

    def __init__(self, bundle: Bundle, mode: Mode, network_size: tuple[int, int]) -> None:
        entry = bundle.manifest.modes[mode]
        if not entry.checkpoint:
            raise UserError(f"{bundle.folder} carries no torch networks; export it with --checkpoint.")
        self._model = load_model(bundle.folder / Path(entry.checkpoint[0].file).parent, "cpu").eval()
        self._inputs = entry.inputs
        self._buffers = InputBuffers(*network_size)
        spec = self._model.spec
        self._mean = 255 * np.array(spec.rgb_mean, np.float32).reshape(3, 1, 1)
        self._std = 255 * np.array(spec.rgb_std, np.float32).reshape(3, 1, 1)
        self._depth = spec.depth
        # The network gets arrays that are normalised already.
        self._model.normalizers = torch.nn.ModuleDict({name: torch.nn.Identity() for name in self._inputs})

    def __call__(self, rgb: np.ndarray, depth: np.ndarray) -> Images:
        images = {}
        if "rgb" in self._inputs:
            small = self._buffers.color(rgb)[0].transpose(2, 0, 1).astype(np.float32)
            images["rgb"] = torch.from_numpy((small - self._mean) / self._std)[None]
        if "depth" in self._inputs:
            images["depth"] = torch.from_numpy(self._encoded(self._buffers.depth(depth, 0.001)[0]))[None]
        with torch.inference_mode():
            scores = self._model.decode(self._model.encode(**images))
            scores = F.interpolate(scores, self._buffers.color(rgb).shape[1:3], mode="bilinear")
            probability, label = torch.softmax(scores, 1).max(1)
        size = rgb.shape[1::-1]
        confidence = (255 * probability[0].numpy()).astype(np.uint8)
        planes = (label[0].numpy().astype(np.uint8), confidence)
        return tuple(cv2.resize(p, size, interpolation=cv2.INTER_NEAREST_EXACT) for p in planes)  # type: ignore[return-value]

    def _encoded(self, metres: np.ndarray) -> np.ndarray:
        """Inverse depth from -2 to 2 and a mask, as `DepthNormalizer`."""
        near, far = self._depth.min_m, self._depth.max_m
        mask = (metres > 0).astype(np.float32)
        inverse = 1 / np.clip(np.where(mask > 0, metres, far), near, far) - 1 / far
        value = 4 * inverse / (1 / near - 1 / far) - 2
        return np.stack((value * mask, mask)[: self._depth.channels]).astype(np.float32)


def functions(
    bundle: Bundle, mode: Mode, threads: int, skip: Sequence[str]
) -> dict[str, Callable[[np.ndarray, np.ndarray], Images]]:
    """What is measured, by name; what this machine lacks is said and left out."""
    size = (bundle.manifest.height, bundle.manifest.width)
    found: dict[str, Callable[[np.ndarray, np.ndarray], Images]] = {PLAIN: PlainEager(bundle, mode, size)}
    for name, backend, settings in (variant for variant in VARIANTS if variant[0] not in skip):
        try:
            segmenter = Segmenter(bundle, backend, threads, preload=False, settings=settings)
        except UserError as error:
            print(f"{name}: {error}")
            continue

        def label(rgb: np.ndarray, depth: np.ndarray, segmenter: Segmenter = segmenter) -> Images:
            result = segmenter.segment(mode, rgb, depth)
            return result.label, result.confidence

        found[name] = label
    return found


def measure(bundle: Bundle, mode: Mode, args: argparse.Namespace) -> dict[str, Any]:
    work = functions(bundle, mode, args.threads, args.skip)
    pairs = [camera_images(args.size, seed) for seed in range(4)]
    expected = [work[PLAIN](*pair)[0] for pair in pairs]
    equal = {name: np.mean([f(*p)[0] == e for p, e in zip(pairs, expected, strict=True)]) for name, f in work.items()}
    times: dict[str, list[float]] = {name: [] for name in work}
    processor: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for index in range(args.rounds + WARM_UP_ROUNDS):
        for name in names[index % len(names) :] + names[: index % len(names)]:
            time.sleep(PAUSE_S)
            started, used = time.perf_counter(), time.process_time()
            work[name](*pairs[index % len(pairs)])
            times[name].append(1e3 * (time.perf_counter() - started))
            processor[name].append(1e3 * (time.process_time() - used))
    return {
        name: {
            "least_ms": round(min(times[name][WARM_UP_ROUNDS:]), 2),
            "latency_ms": percentiles(times[name][WARM_UP_ROUNDS:]),
            "processor_ms": percentiles(processor[name][WARM_UP_ROUNDS:]),
            "agreement": float(equal[name]),
        }
        for name in work
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder of a bundle with checkpoints, or YAML file of networks")
    parser.add_argument("--network-size", default="192x256", help="HxW of the networks of a YAML file")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="480x640", help="HxW of the camera images")
    parser.add_argument("--modes", nargs="+", help="default: all of the bundle")
    parser.add_argument("--skip", nargs="+", default=[], metavar="VARIANT", help="leave these out")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    args.size = tuple(map(int, args.size.split("x")))
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        compare(export_untrained(args, Path(scratch)) if args.bundle.is_file() else load_bundle(args.bundle), args)


def export_untrained(args: argparse.Namespace, scratch: Path) -> Bundle:
    """A bundle of the networks of the YAML file that are named as modes, with random or ImageNet weights."""
    torch.manual_seed(0)
    modes = {mode.value for mode in Mode} & set(args.modes or [mode.value for mode in Mode])
    models = {name: network.build() for name, network in read_networks(args.bundle).items() if name in modes}
    options = ExportOptions(*map(int, args.network_size.split("x")), checkpoint=True)
    return export_bundle(models, scratch / "bundle", LABEL_SETS["nyu13"], options, report=print)


def compare(bundle: Bundle, args: argparse.Namespace) -> None:
    """Measures all modes and prints, and writes, the figures."""
    report: dict[str, Any] = {"machine": machine_facts(), "huge_pages": huge_pages(), "versions": version_facts()}
    report["modes"] = {}
    for mode in [m for m in Mode if m in bundle.modes and m.value in (args.modes or [m.value for m in Mode])]:
        figures = report["modes"][mode.value] = measure(bundle, mode, args)
        plain = figures[PLAIN]
        print(f"{mode.value}: ms least, p50, p95, processor; times as fast as plain eager by least, p50; same labels %")
        for name, facts in figures.items():
            times = (
                facts["least_ms"],
                facts["latency_ms"]["p50"],
                facts["latency_ms"]["p95"],
                facts["processor_ms"]["p50"],
            )
            faster = (plain["least_ms"] / times[0], plain["latency_ms"]["p50"] / times[1])
            columns = "".join(f"{value:9.2f}" for value in (*times, *faster, 100 * facts["agreement"]))
            print(f"  {name:24}{columns}", flush=True)
    if args.json:
        temporary = args.json.with_name(f".{args.json.name}.tmp")
        temporary.write_text(json.dumps(report, indent=1) + "\n")
        temporary.replace(args.json)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")

"""CMX-B2 on an NVIDIA GPU: eager fp32 PyTorch against every faster way, from camera images to labels, by one command.

    python benchmarks/bench_gpu.py --out runs/gpu [--rounds 200] [--checkpoint FOLDER] [--encoder mit_b2]
    python benchmarks/bench_gpu.py --out runs/dry --dry-run          # the same steps on a CPU, with a tiny network

Exports the network (random weights unless --checkpoint names a saved one: time does not depend on them) as fp32 and as
fp16 bundle, then measures all variants in interleaved rounds with 640x480 images in host memory: copies, network, class
choice and copies back. Leaves `gpu.json` and the table `gpu.txt` in --out; bundles and TensorRT engines are kept there,
so that a second run starts at once. Its authors had no GPU; the dry run is what they ran.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.machine import machine_facts, version_facts
from rgbd_seg_ros.evaluation.timing import percentiles
from rgbd_seg_ros.inference.benchmark import camera_images
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.models.checkpoint import load_model
from rgbd_seg_ros.models.network import SegmentationModel
from rgbd_seg_ros.models.registry import build_model
from rgbd_seg_ros.models.spec import ModelSpec
from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle

CAMERA = (480, 640)
CLASSES = "nyu40"
WARM_UP_ROUNDS = 10
TARGET_RATIO, TARGET_MS = 10.0, 15.0
"""Frames a second of an fp16 variant over those of eager fp32, and its latency: what the project aims at on an H200."""


@dataclass
class Variant:
    """One way to run the network; `precision` names the bundle."""

    name: str
    backend: str
    precision: str = "fp32"
    settings: dict[str, Any] = field(default_factory=dict)
    times_ms: list[float] = field(default_factory=list)
    stages_ms: list[dict[str, float]] = field(default_factory=list)


BASE = "torch fp32, eager"
GPU = {"torch.device": "cuda"}
VARIANTS = (
    Variant(BASE, "torch", settings=GPU),
    Variant("torch TF32, eager", "torch", settings=GPU | {"torch.tf32": True}),
    Variant("torch fp32, CUDA graph", "torch", settings=GPU | {"torch.cuda_graphs": True}),
    Variant("torch fp16, eager", "torch", settings=GPU | {"torch.half": True}),
    Variant("torch fp16, CUDA graph", "torch", settings=GPU | {"torch.half": True, "torch.cuda_graphs": True}),
    Variant("torch fp16, compiled", "torch", settings=GPU | {"torch.half": True, "torch.compile": True}),
    Variant("ONNX Runtime CUDA fp32", "onnxruntime_cuda"),
    Variant("ONNX Runtime CUDA fp16", "onnxruntime_cuda", "fp16"),
    Variant("TensorRT fp32", "tensorrt"),
    Variant("TensorRT fp16", "tensorrt", "fp16"),
    Variant("TensorRT fp16, no CUDA graph", "tensorrt", "fp16", {"tensorrt.cuda_graph": False}),
)
DRY_VARIANTS = (
    Variant(BASE, "torch", settings={"torch.device": "cpu"}),
    Variant("ONNX Runtime fp32", "onnxruntime"),
    Variant("ONNX Runtime fp16", "onnxruntime", "fp16"),
    Variant("OpenVINO fp32", "openvino"),
)


def network(args: argparse.Namespace) -> SegmentationModel:
    if args.checkpoint:
        return load_model(args.checkpoint)
    torch.manual_seed(0)
    options = {"decoder_options": {"width": 32}} if args.dry_run else {}
    return build_model(ModelSpec("cmx", args.encoder, len(LABEL_SETS[CLASSES].classes), options=options))


def bundles(args: argparse.Namespace) -> dict[str, Bundle]:
    """The network in both precisions; taken from --out where a run before this one left them."""
    size = (64, 96) if args.dry_run else CAMERA
    found: dict[str, Bundle] = {}
    for precision in ("fp32", "fp16"):
        folder = args.out / f"{args.encoder}_{size[1]}x{size[0]}_{precision}"
        if folder.exists() and not args.checkpoint:
            found[precision] = load_bundle(folder)
            continue
        # Labels of random weights are close calls, which fp16 decides otherwise: no limit, the table shows the share.
        floor = None if precision == "fp32" else 0.0
        options = ExportOptions(*size, precision=precision, patterns=1, checkpoint=True, min_agreement=floor)
        found[precision] = export_bundle({"fusion": network(args)}, folder, LABEL_SETS[CLASSES], options, report=print)
    return found


def measure(args: argparse.Namespace, report: dict[str, Any]) -> None:
    """Fills `report` with `variants`, those that cannot run here under `unusable`."""
    found, segmenters = bundles(args), {}
    chosen = DRY_VARIANTS if args.dry_run else VARIANTS
    for variant in chosen:
        settings = variant.settings | {"tensorrt.cache": str(args.out / "engines")}
        started = time.perf_counter()
        try:
            segmenter = Segmenter(found[variant.precision], variant.backend, settings=settings)
            segmenter.warm_up()
        except UserError as error:
            report["unusable"][variant.name] = str(error)
            continue
        segmenters[variant.name] = segmenter
        report["variants"][variant.name] = {"device": segmenter.device, "load_s": time.perf_counter() - started}
        print(f"{variant.name}: loaded in {time.perf_counter() - started:.1f} s", flush=True)
    pairs = [camera_images(CAMERA, seed) for seed in range(4)]
    running = [variant for variant in chosen if variant.name in segmenters]
    for index in range(args.rounds + WARM_UP_ROUNDS):
        for variant in running[index % len(running) :] + running[: index % len(running)]:
            started = time.perf_counter()
            result = segmenters[variant.name].segment(Mode.FUSION, *pairs[index % len(pairs)])
            if index >= WARM_UP_ROUNDS:
                variant.times_ms.append(1e3 * (time.perf_counter() - started))
                variant.stages_ms.append(result.stage_ms)
    labels = {v.name: [segmenters[v.name].segment(Mode.FUSION, *pair).label for pair in pairs] for v in running}
    for variant in running:
        if segmenters[variant.name].failed_runs:
            report["unusable"][variant.name] = "; ".join(segmenters[variant.name].diagnostics)
            del report["variants"][variant.name]
            continue
        stages = {name: float(np.median([s[name] for s in variant.stages_ms])) for name in variant.stages_ms[0]}
        same = np.mean([(a == b).mean() for a, b in zip(labels[variant.name], labels.get(BASE, []), strict=False)])
        facts = {"latency_ms": percentiles(variant.times_ms), "stages_ms": stages, "agreement": float(same)}
        report["variants"][variant.name] |= facts


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    gpu = report["gpu"]
    lines = [f"{report['network']}, 640x480 images, {gpu['name'] if gpu else 'no GPU'}"]
    lines.append(f"{'':30}{'p50 ms':>9}{'p95':>9}{'p99':>9}{'frames/s':>10}{'x eager':>9}{'same %':>9}")
    base = report["variants"].get(BASE)
    for name, facts in report["variants"].items():
        latency = facts["latency_ms"]
        times = base["latency_ms"]["p50"] / latency["p50"] if base else float("nan")
        row = f"{latency['p50']:9.2f}{latency['p95']:9.2f}{latency['p99']:9.2f}{1e3 / latency['p50']:10.1f}"
        lines.append(f"{name:30}{row}{times:9.2f}{100 * facts['agreement']:9.2f}")
    lines += [f"not measured: {name}: {reason}" for name, reason in report["unusable"].items()]
    half = [f["latency_ms"]["p50"] for name, f in report["variants"].items() if "fp16" in name]
    if base and half and gpu:
        ratio, best = base["latency_ms"]["p50"] / min(half), min(half)
        lines.append(
            f"best fp16: {ratio:.1f} times eager fp32 (aim {TARGET_RATIO:g}), {best:.1f} ms (aim {TARGET_MS:g})"
        )
    return "\n".join(lines)


def gpu_facts() -> dict[str, Any] | None:
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--checkpoint", type=Path, help="folder of a saved CMX network with 40 classes")
    parser.add_argument("--encoder", help="default mit_b2; mit_tiny in a dry run")
    parser.add_argument("--dry-run", action="store_true", help="CPU runtimes and a tiny network")
    args = parser.parse_args()
    args.encoder = args.encoder or ("mit_tiny" if args.dry_run else "mit_b2")
    if not args.dry_run and not torch.cuda.is_available():
        print("torch finds no GPU here; --dry-run tries the steps on the CPU")
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"network": f"CMX {args.encoder}", "machine": machine_facts(), "gpu": gpu_facts()}
    report |= {"versions": version_facts(), "rounds": args.rounds, "variants": {}, "unusable": {}}
    measure(args, report)
    text = table(report)
    print(text)
    for name, content in (("gpu.json", json.dumps(report, indent=1)), ("gpu.txt", text)):
        temporary = args.out / f".{name}.tmp"
        temporary.write_text(content + "\n", encoding="utf-8")
        temporary.replace(args.out / name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

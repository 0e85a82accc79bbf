"""What lower precision costs and gains: labels as in fp32, mean IoU and time, of every mode of trained networks.

    python benchmarks/bench_precision.py --fusion RUN/models/fusion --rgb RUN2/models/rgb --depth RUN2/models/depth \
        --data data/rooms:test --calibrate data/rooms:val [--count 60] [--size 240x320] [--out FILE.md]

    python benchmarks/bench_precision.py --bundle bundles/rooms --data data/rooms:test

The networks are exported in fp32, fp16 and int8 (calibrated with frames that are not scored), each file is run by the
runtimes that take it, one thread, frame by frame in turns. Reference is the fp32 file in ONNX Runtime. Time is the
processor time of a frame from camera image to labels, which other programs change less than wall time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.confusion import ConfusionMatrix
from rgbd_seg_ros.evaluation.machine import machine_facts
from rgbd_seg_ros.inference.bundle import Bundle, load_bundle
from rgbd_seg_ros.inference.manifest import PRECISIONS
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_training.data.options import parse_size
from rgbd_seg_training.export.export_bundle import ExportOptions, export_bundle
from rgbd_seg_training.export.frames import ExportFrame, set_frames

VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("fp32", "onnxruntime", {}),
    ("fp32", "openvino", {}),
    ("fp32", "openvino", {"openvino.precision": "bf16"}),
    ("fp32", "openvino", {"openvino.precision": "f16"}),
    ("fp16", "onnxruntime", {}),
    ("fp16", "openvino", {}),
    ("int8", "onnxruntime", {}),
    ("int8", "openvino", {}),
)
MODES = ("fusion", "rgb", "depth")


@dataclass
class Row:
    """One file in one runtime, in one mode."""

    name: str
    mode: Mode
    segmenter: Segmenter
    matrix: ConfusionMatrix
    same: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)


def export_all(
    models: dict[str, str], work: Path, labels: LabelSet, size: tuple[int, int], frames: list[ExportFrame]
) -> dict[str, Bundle]:
    """A bundle per precision."""
    bundles = {}
    for precision in PRECISIONS:
        options = ExportOptions(*size, precision=precision, frames=frames, min_agreement=0.0)
        print(f"{precision}:", flush=True)
        bundles[precision] = export_bundle(models, work / precision, labels, options, report=print)
    return bundles


def given_bundles(args: argparse.Namespace, work: Path, labels: LabelSet) -> dict[str, Bundle]:
    """The finished bundle, or those of the networks."""
    models = {mode: getattr(args, mode) for mode in MODES if getattr(args, mode)}
    if args.bundle:
        bundle = load_bundle(args.bundle)
        return {bundle.manifest.precision: bundle}
    if not models or not args.calibrate:
        raise UserError("give --bundle, or networks (--fusion, --rgb, --depth) and --calibrate.")
    folder, _, split = args.calibrate.partition(":")
    frames = set_frames(folder, split or "val", 24, labels)
    return export_all(models, work, labels, args.size, frames)


def open_rows(bundles: dict[str, Bundle], classes: int) -> list[Row]:
    """Every variant that its runtime takes; the others are told on the screen."""
    rows = []
    for precision, backend, settings in VARIANTS:
        if precision not in bundles:
            continue
        name = f"{precision}, {backend}{''.join(f' {v}' for v in settings.values())}"
        try:
            segmenter = Segmenter(bundles[precision], backend, threads=1, settings=settings)
        except UserError as error:
            print(f"{name}: {error}")
            continue
        segmenter.warm_up()
        rows += [Row(name, mode, segmenter, ConfusionMatrix(classes)) for mode in Mode if mode in segmenter.modes]
    return rows


def measure(rows: list[Row], prepared: PreparedSet, names: list[str]) -> None:
    """Labels every frame with every row, each compared with the first row of its mode."""
    for number, name in enumerate(names):
        print(f"\rframe {number + 1} of {len(names)}", end="", flush=True)
        sample = prepared.read(name)
        reference: dict[Mode, np.ndarray] = {}
        for row in rows:
            started = time.process_time()
            result = row.segmenter.segment(row.mode, sample.rgb, sample.depth, prepared.metres_per_unit)
            row.milliseconds.append(1e3 * (time.process_time() - started))
            row.same.append(float((result.label == reference.setdefault(row.mode, result.label)).mean()))
            row.matrix.update(sample.label, result.label)
    print()


def table(rows: list[Row]) -> str:
    """The measurement in Markdown."""
    machine = machine_facts()
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, one thread, {len(rows[0].same)} frames",
        "",
        "| mode | precision, runtime | labels as fp32 | worst frame | mIoU | processor ms, lower quartile |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda r: list(Mode).index(r.mode)):
        same, worst = 100 * np.mean(row.same), 100 * np.min(row.same)
        miou, cost = 100 * row.matrix.scores().miou, np.percentile(row.milliseconds, 25)
        lines.append(f"| {row.mode.value} | {row.name} | {same:.2f} % | {worst:.1f} % | {miou:.2f} | {cost:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for mode in MODES:
        parser.add_argument(f"--{mode}", metavar="FOLDER", help=f"saved network of mode {mode}")
    parser.add_argument("--data", required=True, metavar="SET:SPLIT", help="frames to score")
    parser.add_argument("--calibrate", metavar="SET:SPLIT", help="frames for the ranges of int8")
    parser.add_argument(
        "--bundle", metavar="FOLDER", help="a finished bundle in place of networks: its precision alone"
    )
    parser.add_argument("--count", type=int, default=60, help="frames to score (60)")
    parser.add_argument("--size", type=parse_size, default=(240, 320), metavar="HxW", help="network size (240x320)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown table, besides the screen")
    args = parser.parse_args()
    folder, _, split = args.data.partition(":")
    prepared = PreparedSet.open(folder)
    all_names = prepared.names(split or "test")
    names = [all_names[i] for i in sorted({round(i) for i in np.linspace(0, len(all_names) - 1, args.count)})]
    with tempfile.TemporaryDirectory() as work:
        bundles = given_bundles(args, Path(work), prepared.label_set)
        rows = open_rows(bundles, len(prepared.label_set.classes))
        measure(rows, prepared, names)
    text = table(rows)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")

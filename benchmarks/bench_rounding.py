"""Which rounding changes the labels of a network: that of its images, of its first layers, of the others, of outputs.

    python benchmarks/bench_rounding.py RUN/models/depth --data data/rooms:test [--count 20] [--size 192x256]

Everything is computed in fp32 by torch; only what a row names is rounded to fp16 or bf16 and back. The table says how
many labels stay as they are, and in the worst frame how many.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.preprocess import InputBuffers
from rgbd_seg_ros.models.checkpoint import load_model
from rgbd_seg_ros.models.half import first_layers
from rgbd_seg_ros.models.network import SegmentationModel
from rgbd_seg_training.data.options import parse_size

KINDS = {"fp16": torch.float16, "bf16": torch.bfloat16}
Rounding = Callable[[Tensor], Tensor]


@contextmanager
def outputs_rounded(modules: list[nn.Module], rounding: Rounding) -> Iterator[None]:
    """The outputs of `modules` are rounded meanwhile."""
    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(lambda _, inputs, output: rounding(output)).remove)
        yield


@contextmanager
def weights_rounded(layers: list[Any], rounding: Rounding) -> Iterator[None]:
    """The weights of `layers` are rounded meanwhile."""
    before = [layer.weight.data for layer in layers]
    for layer in layers:
        layer.weight.data = rounding(layer.weight.data)
    try:
        yield
    finally:
        for layer, weight in zip(layers, before, strict=True):
            layer.weight.data = weight


def rows(model: SegmentationModel) -> dict[str, Callable[[Rounding], Any]]:
    """What is rounded, by name."""
    names = set(first_layers(model))
    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    first, others = [layers[n] for n in names], [m for n, m in layers.items() if n not in names]
    return {
        "normalised images": lambda rounding: outputs_rounded(list(model.normalizers.values()), rounding),
        "weights of the first layers": lambda rounding: weights_rounded(first, rounding),
        "weights of all other layers": lambda rounding: weights_rounded(others, rounding),
        "outputs of all layers": lambda rounding: outputs_rounded(first + others, rounding),
    }


def measure(
    model: SegmentationModel, prepared: PreparedSet, names: list[str], size: tuple[int, int]
) -> dict[tuple[str, str], list[float]]:
    """Share of labels as in fp32 by row, kind and frame."""
    shares: dict[tuple[str, str], list[float]] = {}
    buffers, table = InputBuffers(*size), rows(model)
    mode = next(m for m in Mode if tuple(s.value for s in m.sensors) == model.spec.inputs)
    for number, name in enumerate(names):
        print(f"\rframe {number + 1} of {len(names)}", end="", flush=True)
        sample = prepared.read(name)
        arrays = {"rgb": lambda s=sample: buffers.color(s.rgb)}
        arrays["depth"] = lambda s=sample: buffers.depth(s.depth, prepared.metres_per_unit)
        images = {s.value: torch.from_numpy(np.array(arrays[s.value]())) for s in mode.sensors}
        with torch.inference_mode():
            reference = model(**images).argmax(1)
            for row, changed in table.items():
                for kind, dtype in KINDS.items():
                    with changed(lambda value, dtype=dtype: value.to(dtype).float()):
                        label = model(**images).argmax(1)
                    shares.setdefault((row, kind), []).append((label == reference).float().mean().item())
    print()
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="saved network (models/... of a run)")
    parser.add_argument("--data", required=True, metavar="SET:SPLIT", help="frames to label")
    parser.add_argument("--count", type=int, default=20, help="frames of it (20)")
    parser.add_argument("--size", type=parse_size, default=(192, 256), metavar="HxW", help="network size (192x256)")
    args = parser.parse_args()
    folder, _, split = args.data.partition(":")
    prepared = PreparedSet.open(folder)
    model = load_model(args.model).float().eval()
    shares = measure(model, prepared, prepared.names(split or "test")[: args.count], args.size)
    print("| rounded | to fp16 | to bf16 |\n|---|---|---|")
    for row in dict.fromkeys(row for row, _ in shares):
        cells = (shares[row, kind] for kind in KINDS)
        print(f"| {row} | " + " | ".join(f"{100 * np.mean(c):.2f} % ({100 * np.min(c):.1f})" for c in cells) + " |")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")

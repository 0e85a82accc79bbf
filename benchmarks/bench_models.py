"""Training step and inference of CMX: memory layout, attention kernel, precision, compilation, side by side.

python benchmarks/bench_models.py [--part training] [--rounds 3] [--threads 1] [--compile] [--json FILE]

Variants of a part take turns, so that other work on the machine meets all of them alike; the ratio to the first one
counts, not the time. On a CPU the figure is processor time of the process; on a GPU it is wall time after a
synchronisation. On a GPU the training step is that of the paper (batch 8, 480 x 640, bf16), on a CPU a small one.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from rgbd_seg_ros.models import ModelSpec, SegmentationModel, build_model
from rgbd_seg_ros.models.mit import MixTransformer

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLASSES = 40
Work = Callable[[], object]


def images(batch: int, height: int, width: int) -> dict[str, Tensor]:
    return {
        "rgb": torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, device=DEVICE),
        "depth": torch.rand(batch, height, width, device=DEVICE) * 8,
    }


@contextmanager
def numerics(half: bool, plain_attention: bool) -> Iterator[None]:
    precision = torch.autocast(DEVICE.type, torch.bfloat16) if half else nullcontext()
    attention = sdpa_kernel(SDPBackend.MATH) if plain_attention else nullcontext()
    with precision, attention:
        yield


def network(encoder: str, last: bool, compiled: bool, decoder: str = "segformer") -> Any:
    model: SegmentationModel = build_model(ModelSpec("cmx", encoder, CLASSES, options={"decoder": decoder}))
    model = model.to(DEVICE, memory_format=torch.channels_last if last else torch.contiguous_format)  # type: ignore[call-overload]
    return torch.compile(model) if compiled else model


def training_step(
    shape: tuple[int, int, int], last: bool = False, half: bool = False, plain: bool = False, compiled: bool = False
) -> Work:
    model = network("mit_b2", last, compiled).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-5)
    batch = images(*shape)
    label = torch.randint(0, CLASSES, shape, device=DEVICE)

    def step() -> None:
        with numerics(half, plain):
            loss = torch.nn.functional.cross_entropy(model(**batch).float(), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def inference(
    encoder: str, last: bool = False, half: bool = False, plain: bool = False, compiled: bool = False, **options: str
) -> Work:
    model = network(encoder, last, compiled, **options).eval()
    batch = images(1, 240, 320)

    @torch.inference_mode()
    def label() -> Tensor:
        with numerics(half, plain):
            return model(**batch).argmax(1)

    return label


def encoder_step(encoder: torch.nn.Module) -> Work:
    encoder = encoder.to(DEVICE).train()
    image = torch.randn(2, 3, 240, 320, device=DEVICE)

    def step() -> None:
        encoder.zero_grad()
        sum(feature.square().mean() for feature in encoder(image)[-4:]).backward()

    return step


def training_part(compiled: bool) -> dict[str, Work]:
    shape = (8, 480, 640) if DEVICE.type == "cuda" else (2, 240, 320)
    name = f"CMX-B2 step {shape[0]} x {shape[1]} x {shape[2]}"
    work = {
        f"{name}, float32": training_step(shape),
        f"{name}, float32, channels-last": training_step(shape, last=True),
        f"{name}, float32, unfused attention": training_step(shape, plain=True),
        f"{name}, bf16": training_step(shape, half=True),
        f"{name}, bf16, channels-last": training_step(shape, last=True, half=True),
    }
    if compiled:
        work[f"{name}, bf16, compiled"] = training_step(shape, half=True, compiled=True)
    return work


def inference_part(compiled: bool) -> dict[str, Work]:
    work = {}
    for encoder in ("mit_b0", "mit_b2"):
        name = f"CMX {encoder} 240 x 320"
        work[name] = inference(encoder)
        work[f"{name}, channels-last"] = inference(encoder, last=True)
        work[f"{name}, unfused attention"] = inference(encoder, plain=True)
        work[f"{name}, bf16"] = inference(encoder, half=True)
        if compiled:
            work[f"{name}, compiled"] = inference(encoder, compiled=True)
    return work


def encoder_part(_: bool) -> dict[str, Work]:
    theirs = smp.encoders.get_encoder("mit_b2", weights=None)
    return {
        "MiT-B2 forward and backward, ours": encoder_step(MixTransformer("mit_b2")),
        "MiT-B2 forward and backward, segmentation_models_pytorch": encoder_step(theirs),
    }


PARTS = {"training": training_part, "inference": inference_part, "encoder": encoder_part}


def clock() -> float:
    """Milliseconds: wall time on a GPU, processor time of all threads on a CPU."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter() * 1e3
    return time.process_time() * 1e3


def measure(work: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, function in work.items():
            started = clock()
            function()
            if turn > 0:  # the first turn warms up (and compiles)
                times[name].append(clock() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), action="append", help="may be repeated; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="add torch.compile, which takes minutes")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {arguments.threads} thread(s)"
    results: dict[str, dict[str, float]] = {}
    for part in arguments.part or sorted(PARTS):
        times = measure(PARTS[part](arguments.compile), arguments.rounds)
        first = statistics.median(next(iter(times.values())))
        for name, values in times.items():
            median = statistics.median(values)
            results[name] = {"median_ms": median, "best_ms": min(values), "ratio": median / first}
            print(f"{name:<64}{median:>10.1f} ms{min(values):>10.1f} best{median / first:>8.2f} x", flush=True)
    peak = torch.cuda.max_memory_allocated() / 2**20 if DEVICE.type == "cuda" else None
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{device}; peak memory of the process {memory:.0f} MiB" + (f", of the GPU {peak:.0f} MiB" if peak else ""))
    if arguments.json:
        facts = {"device": device, "torch": torch.__version__, "rounds": arguments.rounds, "peak_rss_mib": memory}
        arguments.json.write_text(json.dumps({**facts, "results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Training step and inference of CMX, or a network of a models file: layout, attention kernel, precision, compilation.

python benchmarks/bench_models.py --part inference --encoder mit_b2 --size 240x320 --threads 2
python benchmarks/bench_models.py --part training --device cuda          # batch 8, 480 x 640, where there is a GPU
python benchmarks/bench_models.py --part training --network training/configs/bundle/models.yaml:fusion --compile

Every variant runs in a process of its own, so that its peak of memory means something: it is measured after the warm-up
(and compilation), on Linux by resetting the kernel's high-water mark, on a GPU by torch's counter. Times are wall time;
on a CPU there is the processor time of all threads as well, which other programs disturb less, and ratios are of that
(to the first variant). Without --size and --batch the training step is the paper's on a GPU (batch 8, 480 x 640) and a
small one on a CPU (2 x 240 x 320).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from rgbd_seg_ros.models import ModelSpec, SegmentationModel, build_model
from rgbd_seg_ros.models.mit import MixTransformer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
from rgbd_seg_training.network_file import read_networks

CLASSES = 40
STATUS = Path("/proc/self/status")
Work = Callable[[], object]


@dataclass(frozen=True)
class Variant:
    """How the same computation is run."""

    name: str
    half: bool = False
    channels_last: bool = False
    unfused: bool = False
    compiled: bool = False
    library: bool = False


@dataclass(frozen=True)
class Task:
    """What is measured: a part at a size; `shape` is batch, height, width.

    `network` is `FILE:NAME` of a models file; empty is CMX on `encoder`.
    """

    part: str
    encoder: str
    network: str
    shape: tuple[int, int, int]
    device: str
    threads: int
    rounds: int


PLAIN = (
    Variant("float32"),
    Variant("float32, channels-last", channels_last=True),
    Variant("float32, unfused attention", unfused=True),
    Variant("bf16", half=True),
    Variant("bf16, channels-last", half=True, channels_last=True),
)
COMPILED = (
    Variant("float32, compiled", compiled=True),
    Variant("float32, channels-last, compiled", channels_last=True, compiled=True),
    Variant("bf16, compiled", half=True, compiled=True),
)
ENCODER = (Variant("ours"), Variant("segmentation_models_pytorch", library=True))
PARTS = ("inference", "training", "encoder")


def variants_of(part: str, compiled: bool) -> tuple[Variant, ...]:
    """The variants of a part; compilation takes minutes and is asked for."""
    if part == "encoder":
        return ENCODER
    return PLAIN + (COMPILED if compiled else ())


def images(task: Task) -> dict[str, Tensor]:
    """Random images for the network."""
    batch, height, width = task.shape
    both = {
        "rgb": torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8, device=task.device),
        "depth": torch.rand(batch, height, width, device=task.device) * 8,
    }
    return {name: both[name] for name in spec_of(task).inputs}


def spec_of(task: Task) -> ModelSpec:
    """The network that is measured."""
    if not task.network:
        return ModelSpec("cmx", task.encoder, CLASSES)
    file, _, name = task.network.rpartition(":")
    return read_networks(Path(file))[name].spec


@contextmanager
def numerics(task: Task, variant: Variant) -> Iterator[None]:
    """Precision and attention kernel of a variant."""
    precision = torch.autocast(task.device, torch.bfloat16) if variant.half else nullcontext()
    attention = sdpa_kernel(SDPBackend.MATH) if variant.unfused else nullcontext()
    with precision, attention:
        yield


def network(task: Task, variant: Variant) -> Any:
    """The network with random weights, laid out and compiled as the variant says."""
    model: SegmentationModel = build_model(spec_of(task))
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    model = model.to(task.device, memory_format=layout)  # type: ignore[call-overload]
    model.train(task.part == "training")
    return torch.compile(model) if variant.compiled else model


def training_step(task: Task, variant: Variant) -> Work:
    """Forward, backward, AdamW."""
    model = network(task, variant)
    # The fused form is what the training engine takes on a CPU.
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-5, fused=task.device == "cpu" or None)
    batch = images(task)
    label = torch.randint(0, spec_of(task).num_classes, task.shape, device=task.device)

    def step() -> None:
        with numerics(task, variant):
            loss = torch.nn.functional.cross_entropy(model(**batch).float(), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def inference(task: Task, variant: Variant) -> Work:
    """Images to labels."""
    model = network(task, variant)
    batch = images(task)

    @torch.inference_mode()
    def label() -> Tensor:
        with numerics(task, variant):
            return model(**batch).argmax(1)  # type: ignore[no-any-return]

    return label


def encoder_step(task: Task, variant: Variant) -> Work:
    """Forward and backward of the encoder alone, ours or the library's."""
    encoder: torch.nn.Module = (
        smp.encoders.get_encoder(task.encoder, weights=None) if variant.library else MixTransformer(task.encoder)
    )
    encoder = encoder.to(task.device).train()
    batch, height, width = task.shape
    image = torch.randn(batch, 3, height, width, device=task.device)

    def step() -> None:
        encoder.zero_grad()
        sum(feature.square().mean() for feature in encoder(image)[-4:]).backward()

    return step


WORK = {"inference": inference, "training": training_step, "encoder": encoder_step}


def clock(device: str) -> float:
    """Wall time in milliseconds, after all work of the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() * 1e3


def peak_mib(device: str, reset: bool = False) -> float:
    """Peak of memory since the last reset: of the GPU, or resident memory of the process."""
    if device == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() / 2**20
    if reset and STATUS.is_file():
        Path("/proc/self/clear_refs").write_text("5")
    if STATUS.is_file():
        line = next(li for li in STATUS.read_text().splitlines() if li.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(task: Task, variant: Variant) -> dict[str, float]:
    """Times of one variant after two rounds of warm-up, in this process."""
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    work = WORK[task.part](task, variant)
    before = clock(task.device)
    work()
    first = clock(task.device) - before
    work()
    peak_mib(task.device, reset=True)
    times, busy = [], []
    for _ in range(task.rounds):
        before, before_busy = clock(task.device), time.process_time()
        work()
        times.append(clock(task.device) - before)
        busy.append(1e3 * (time.process_time() - before_busy))
    return {
        "median_ms": statistics.median(times),
        "best_ms": min(times),
        "processor_ms": statistics.median(busy),
        "first_call_ms": first,
        "peak_mib": peak_mib(task.device),
    }


def run_apart(task: Task, variant: Variant) -> dict[str, float] | str:
    """Figures of one variant from a process of its own, or why there are none."""
    job = json.dumps({"task": asdict(task), "variant": asdict(variant)})
    done = subprocess.run([sys.executable, __file__, "--job", job], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure_part(task: Task, variants: Sequence[Variant]) -> dict[str, Any]:
    """Variants of a part, one after the other, printed as rows of a Markdown table."""
    batch, height, width = task.shape
    print(f"\n{task.part}, {task.network or task.encoder}, {batch} x {height} x {width}\n", flush=True)
    print("| variant | median ms | best ms | processor ms | ratio | peak MiB | first call s |", flush=True)
    print("|---|---|---|---|---|---|---|", flush=True)
    results: dict[str, Any] = {}
    reference = 0.0
    counted = "median_ms" if task.device == "cuda" else "processor_ms"
    for variant in variants:
        figures = run_apart(task, variant)
        results[variant.name] = figures
        if isinstance(figures, str):
            print(f"| {variant.name} | failed: {figures} | | | | | |", flush=True)
            continue
        reference = reference or figures[counted]
        cells = [
            f"{figures['median_ms']:.0f}",
            f"{figures['best_ms']:.0f}",
            f"{figures['processor_ms']:.0f}",
            f"{figures[counted] / reference:.2f}",
            f"{figures['peak_mib']:.0f}",
            f"{figures['first_call_ms'] / 1e3:.1f}",
        ]
        print(f"| {variant.name} | {' | '.join(cells)} |", flush=True)
    return results


def parse_size(text: str) -> tuple[int, int]:
    """`HxW` to (height, width)."""
    height, width = text.split("x")
    return int(height), int(width)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="may be repeated; default: all")
    parser.add_argument("--encoder", default="mit_b2")
    parser.add_argument("--network", default="", metavar="FILE:NAME", help="of a models file, instead of CMX")
    parser.add_argument("--size", type=parse_size, metavar="HxW", help="default 240x320; on a GPU 480x640")
    parser.add_argument("--batch", type=int, help="default: 1 for inference, else 2; on a GPU 8")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="add torch.compile, which takes minutes")
    parser.add_argument("--only", default="", help="variants whose name holds this text, beside the first")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Measure the parts that were asked for."""
    arguments = build_parser().parse_args()
    if arguments.job:
        job = json.loads(arguments.job)
        task = Task(**{**job["task"], "shape": tuple(job["task"]["shape"])})
        print(json.dumps(measure(task, Variant(**job["variant"]))))
        return
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: torch sees no GPU here; give --device cpu, or install a CUDA build of torch.")
    size = arguments.size or ((480, 640) if device == "cuda" else (240, 320))
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {arguments.threads} thread(s)"
    print(f"{name}; torch {torch.__version__}; median and best of {arguments.rounds}")
    results = {}
    for part in arguments.part or PARTS:
        batch = arguments.batch or (1 if part == "inference" else 8 if device == "cuda" else 2)
        shape = (batch, *size)
        task = Task(part, arguments.encoder, arguments.network, shape, device, arguments.threads, arguments.rounds)
        first, *others = variants_of(part, arguments.compile)
        chosen = [first, *(v for v in others if arguments.only in v.name)]
        results[part] = {"task": asdict(task), "variants": measure_part(task, chosen)}
    if arguments.json:
        facts = {"device": name, "torch": torch.__version__, "results": results}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

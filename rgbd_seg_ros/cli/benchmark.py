"""measure every usable backend and mode of a bundle on this machine: latency, memory, agreement."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from rgbd_seg_ros.cli._benchmark_report import as_json, print_table, save_picture
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.registry import backend_names, parse_settings
from rgbd_seg_ros.inference.benchmark import run_benchmark
from rgbd_seg_ros.inference.bundle import load_bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    names = ", ".join(backend_names())
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--backends", nargs="+", default=list(backend_names()), metavar="NAME", help=f"of {names}")
    parser.add_argument("--rounds", type=int, default=100, help="frames per backend and mode (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads per backend (default: %(default)s)")
    parser.add_argument(
        "--size", type=_size, default=(480, 640), metavar="HxW", help="size of the camera images (default: 480x640)"
    )
    parser.add_argument(
        "--network-size", type=_size, metavar="HxW", help="size of the network input, for bundles of dynamic size"
    )
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="BACKEND.NAME=VALUE",
        help="a setting of a backend, e.g. onnxruntime.spin_us=0; can be repeated",
    )
    parser.add_argument(
        "--node", action="store_true", help="also run the node and measure it end to end over DDS; takes minutes"
    )
    parser.add_argument("--out", type=Path, help="folder for benchmark.json and benchmark.png (default: none written)")


def run(args: argparse.Namespace) -> int:
    """Measures, prints and, if asked, writes the files."""
    if args.rounds < 1:
        raise UserError(f"--rounds is {args.rounds}; give at least 1")
    unknown = set(args.backends) - set(backend_names())
    if unknown:
        raise UserError(f"there is no backend {', '.join(sorted(unknown))}; choose from {', '.join(backend_names())}")
    bundle, settings = load_bundle(args.bundle), parse_settings(args.setting)
    result = run_benchmark(
        bundle,
        args.backends,
        rounds=args.rounds,
        threads=args.threads,
        size=args.size,
        network_size=args.network_size,
        settings=settings,
        progress=lambda line: print(line, flush=True),
    )
    report = as_json(bundle, result, rounds=args.rounds, threads=args.threads, size=args.size)
    report |= {"settings": settings, "network_size": list(args.network_size or report["bundle"]["network_size"])}
    print_table(report)
    if not result.measurements:
        return 1
    if args.node:
        from rgbd_seg_ros.cli._benchmark_node import measure_node, print_node

        # The backend that `auto` chooses, unless a single one was asked for.
        backend = args.backends[0] if len(args.backends) == 1 else "auto"
        parameters = {"backend": backend, "threads": args.threads}
        parameters |= {"backend_settings": args.setting} if args.setting else {}
        parameters |= {"network_size": "{}x{}".format(*args.network_size)} if args.network_size else {}
        report["node"] = measure_node(bundle, parameters=parameters, size=args.size, progress=print)
        print_node(report["node"])
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        temporary = args.out / ".benchmark.json.tmp"
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        temporary.replace(args.out / "benchmark.json")
        save_picture(report, args.out / "benchmark.png")
        print(f"wrote {args.out / 'benchmark.json'} and benchmark.png")
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, e.g. 480x640")
    return int(match[1]), int(match[2])

#!/usr/bin/env python3
"""Parameters and multiply-adds of a network, without computing anything.

python training/model_info.py cmx mit_b2 --classes 40 --size 480x640 --depth hha
python training/model_info.py --specs training/configs/bundle/models.yaml --size 240x320
python training/model_info.py --model runs/x/student/models/fusion
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import DepthEncoding, ModelSpec, available_architectures, build_model, load_model
from rgbd_seg_ros.models.counting import count_parameters, measure_cost
from rgbd_seg_ros.models.spec import DEPTH_ENCODINGS
from rgbd_seg_training.data.options import parse_size
from rgbd_seg_training.network_file import read_networks
from rgbd_seg_training.scripts import run_script


def build_parser() -> argparse.ArgumentParser:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", nargs="?", choices=available_architectures())
    parser.add_argument("encoder", nargs="?", help="mit_tiny, mit_b0 .. mit_b5 or a timm name")
    parser.add_argument("--classes", type=int, default=40)
    parser.add_argument("--input", choices=["rgb", "depth"], default="rgb", help="input of a single-stream network")
    parser.add_argument("--depth", choices=DEPTH_ENCODINGS, default="inverse")
    parser.add_argument("--options", type=json.loads, default={}, help="architecture options as JSON")
    parser.add_argument("--specs", type=Path, help="YAML file of specs by name")
    parser.add_argument("--model", type=Path, help="saved model folder")
    parser.add_argument("--size", type=parse_size, default=(480, 640), help="HEIGHTxWIDTH (default 480x640)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def specs_of(arguments: argparse.Namespace) -> dict[str, ModelSpec]:
    """The networks that the options name.

    Raises:
        UserError: none is named, or the file of specs is unusable.
    """
    if arguments.model:
        return {str(arguments.model): load_model(arguments.model).spec}
    if arguments.specs:
        return {name: network.spec for name, network in read_networks(arguments.specs).items()}
    if not arguments.architecture or not arguments.encoder:
        raise UserError("no network is named; give ARCHITECTURE and ENCODER, --specs or --model")
    inputs = ("rgb", "depth") if arguments.architecture == "cmx" else (arguments.input,)
    depth = DepthEncoding(arguments.depth, mask_channel=arguments.depth != "hha")
    spec = ModelSpec(arguments.architecture, arguments.encoder, arguments.classes, inputs, depth, arguments.options)
    return {f"{arguments.architecture} {arguments.encoder}": spec}


def facts(spec: ModelSpec, size: tuple[int, int]) -> dict[str, float | dict[str, float]]:
    """Millions of parameters (in all and by part) and billions of multiply-adds in both conventions."""
    with torch.device("meta"):
        model = build_model(spec)
    cost = measure_cost(model, *size)
    return {
        "parameters_m": cost.parameters / 1e6,
        "gmacs_conv_linear": cost.macs / 1e9,
        "gmacs_with_attention": (cost.macs + cost.attention_macs) / 1e9,
        "parts_m": {
            name: count_parameters(part) / 1e6 for name, part in model.named_children() if count_parameters(part)
        },
    }


def main(argv: list[str] | None = None) -> None:
    """Print a table or JSON."""
    arguments = build_parser().parse_args(argv)
    rows = {name: facts(spec, arguments.size) for name, spec in specs_of(arguments).items()}
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    height, width = arguments.size
    print(
        f"{'network':<28}{'parameters M':>14}{'GMAC conv+linear':>18}{'GMAC with attention':>21}   at {height}x{width}"
    )
    for name, row in rows.items():
        print(
            f"{name:<28}{row['parameters_m']:>14.2f}{row['gmacs_conv_linear']:>18.2f}{row['gmacs_with_attention']:>21.2f}"
        )
        print("    " + ", ".join(f"{part} {count:.2f} M" for part, count in row["parts_m"].items()))  # type: ignore[union-attr]


if __name__ == "__main__":
    sys.exit(run_script(main))

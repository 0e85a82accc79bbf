#!/usr/bin/env python3
"""Make the bundle that the project ships: render scenes, train every model, export, score.

python training/train_bundle.py --config training/configs/bundle/rooms.yaml --work runs/rooms

The stages are scenes, teacher, fusion, crodino, export and score, with baseline_rgb, baseline_depth and baseline_fusion
on request (--stages). A finished stage is not run again; an interrupted one continues when the command is repeated.
Where CroDiNo-KD's model is the teacher (--teacher), crodino comes first and fusion starts from its encoders. Otherwise
teacher and fusion run beside crodino, each in a process of its own, unless --parallel false.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.bundle_config import BundleConfig
from rgbd_seg_training.bundle_recipe import Recipe
from rgbd_seg_training.scripts import run_script


def build_parser() -> ArgumentParser:
    """All options of the script; each is a YAML key as well."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config", help="YAML file with any of the options below; later ones win")
    parser.add_argument("--work", type=str, required=True, help="folder of data, runs and the bundle")
    parser.add_argument(
        "--stages", type=list[str], default=[], help="what to run, in this order (default: all it needs)"
    )
    parser.add_class_arguments(BundleConfig)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse options and run the stages."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    config = parser.instantiate(arguments)
    sections = {name: getattr(config, name) for name in BundleConfig.__dataclass_fields__}
    bundle = BundleConfig(**sections)
    recipe = Recipe(bundle, Path(config.work), report=lambda line: print(line, flush=True))
    stages = config.stages or list(bundle.stages)
    unknown = [s for s in stages if s not in recipe.stages]
    if unknown:
        raise UserError(f"There is no stage {', '.join(unknown)}; the stages are {', '.join(recipe.stages)}.")
    if bundle.parallel and {"fusion", "crodino"} <= set(stages):
        run_in_parallel(recipe, stages, argv or sys.argv[1:])
    else:
        run_stages(recipe, stages)


def run_stages(recipe: Recipe, stages: Iterable[str]) -> None:
    """Run stages one after the other."""
    for stage in stages:
        recipe.stages[stage]()


def run_in_parallel(recipe: Recipe, stages: Sequence[str], argv: Sequence[str]) -> None:
    """Run teacher and fusion here and crodino in a process of its own; everything else before or after both.

    Raises:
        UserError: the other process failed; what is trained here by then stays.
    """
    run_stages(recipe, [s for s in stages if s == "scenes"])
    other = subprocess.Popen([sys.executable, __file__, *argv, "--stages", "[crodino]"])
    try:
        run_stages(recipe, [s for s in stages if s in ("teacher", "fusion")])
        if other.wait() != 0:
            raise UserError("Stage crodino failed (see above); mend the cause and repeat the command.")
    finally:
        other.terminate()
        other.wait()
    run_stages(recipe, [s for s in stages if s not in ("scenes", "teacher", "fusion", "crodino")])


if __name__ == "__main__":
    sys.exit(run_script(main))

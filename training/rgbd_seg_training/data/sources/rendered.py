"""Rendered rooms, terrain and flights: a prepared set for machines without any official download."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets.depth_codecs import encode_depth
from rgbd_seg_ros.datasets.manifest import DepthFacts, Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample
from rgbd_seg_ros.hha import encode_hha, fill_holes
from rgbd_seg_ros.scenes import Camera, render_sample
from rgbd_seg_training.data.jobs import run_jobs
from rgbd_seg_training.data.options import add_common_arguments, parse_size
from rgbd_seg_training.data.set_writer import SetWriter

SPLITS = ("train", "val", "test")
WORLDS = {
    "indoor": ("nyu13", DepthFacts(0.001, 0.0, 65.535)),
    "aerial": ("potsdam6", DepthFacts(0.005, 0.0, 327.0)),
    "drone": ("midair7", DepthFacts(0.02, 0.0, 1310.0)),
}
_SEEDS_PER_SPLIT = 1 << 20


def scene_seed(seed: int, split: str, index: int) -> int:
    """Seed of one scene. Splits never share a scene, whatever their sizes, nor do sets of different seeds."""
    if not 0 <= index < _SEEDS_PER_SPLIT:
        raise ValueError(f"index {index} is outside 0..{_SEEDS_PER_SPLIT - 1}")
    return (seed * len(SPLITS) + SPLITS.index(split)) * _SEEDS_PER_SPLIT + index


def _render(writer: SetWriter, world: str, seed: int, camera: Camera, depth: DepthFacts, name: str) -> None:
    if writer.has(name):
        return
    frame = render_sample(world, seed, camera)
    metres = np.asarray(frame.depth)
    hha = None
    if "hha" in writer.kinds and (metres > 0).any():
        used = frame.camera
        intrinsics = (used.fx, used.fy, used.cx, used.cy)
        hha = encode_hha(fill_holes(metres), intrinsics, metres > 0, first_pixel=0)
    elif "hha" in writer.kinds:
        hha = np.zeros((*metres.shape, 3), np.uint8)
    units = encode_depth(metres, depth.metres_per_unit, depth.min_m, depth.max_m)
    writer.write(Sample(name, frame.rgb, units, frame.label, hha))


def prepare_rendered(
    out: Path,
    world: str,
    counts: dict[str, int],
    size: tuple[int, int],
    seed: int = 0,
    workers: int = 2,
    hha: bool = False,
) -> PreparedSet:
    """Render a prepared set.

    Args:
        out: folder to write; must not exist.
        world: indoor, aerial or drone.
        counts: number of images of train, val and test; each image is a scene of its own.
        size: (height, width).
        seed: the same seed gives the same set.
        workers: processes.
        hha: also write HHA images.

    Raises:
        UserError: `out` exists or an unfinished run had other options.
    """
    label_set, depth = WORLDS[world]
    camera = Camera.default(size[1], size[0])
    plan = {"source": "rendered", "world": world, "counts": counts, "size": list(size), "seed": seed}
    plan |= {"hha": True} if hha else {}
    writer = SetWriter(out, plan, hha)
    splits = {split: [f"{split}_{i:06d}" for i in range(counts.get(split, 0))] for split in SPLITS}
    jobs = [
        (scene_seed(seed, split, i), camera, depth, name)
        for split, names in splits.items()
        for i, name in enumerate(names)
    ]
    for _ in run_jobs(partial(_render, writer, world), jobs, workers, f"rendering {world}"):
        pass
    facts = Manifest(
        name=f"rendered_{world}",
        label_set=LABEL_SETS[label_set],
        depth=depth,
        camera=None,  # every image has a focal length of its own
        source=plan,
    )
    return writer.finish(facts, {split: names for split, names in splits.items() if names}, workers=workers)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `prepare.py rendered`."""
    parser.add_argument("--world", choices=sorted(WORLDS), default="indoor")
    parser.add_argument("--count", type=int, default=2000, help="training images (default %(default)s)")
    parser.add_argument("--val-count", type=int, help="validation images (default: a tenth of --count)")
    parser.add_argument("--test-count", type=int, help="test images (default: a tenth of --count)")
    parser.add_argument("--size", type=parse_size, default=(240, 320), metavar="HxW", help="default 240x320")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hha", action="store_true", help="also write HHA images")
    add_common_arguments(parser, source=False)


def run(args: argparse.Namespace) -> PreparedSet:
    """Run `prepare.py rendered`."""
    tenth = max(1, args.count // 10)
    counts = {
        "train": args.count,
        "val": tenth if args.val_count is None else args.val_count,
        "test": tenth if args.test_count is None else args.test_count,
    }
    return prepare_rendered(args.out, args.world, counts, args.size, args.seed, args.workers, args.hha)

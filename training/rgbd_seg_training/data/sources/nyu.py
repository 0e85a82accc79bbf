"""NYU Depth v2 from its official files: nyu_depth_v2_labeled.mat, splits.mat, classMapping40.mat."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy.io import loadmat

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LABEL_SETS, NYU40_TO_NYU13
from rgbd_seg_ros.datasets.depth_codecs import encode_depth
from rgbd_seg_ros.datasets.manifest import DepthFacts, Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.hha import encode_hha
from rgbd_seg_training.data.jobs import run_jobs
from rgbd_seg_training.data.options import add_common_arguments
from rgbd_seg_training.data.set_writer import SetWriter
from rgbd_seg_training.data.source_files import checksums, find_file, hold_out

MAT, SPLITS, MAPPING = "nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat"
DEPTH = DepthFacts(0.001, 0.1, 10.0)
CAMERA = Intrinsics(640, 480, 518.858, 519.470, 325.582, 253.736)
WHITE_FRAME = (slice(44, 472), slice(40, 602))
"""Rows and columns that hold data; the rest is the white frame of the projection."""


@dataclass(frozen=True)
class NyuOptions:
    """Choices of a preparation: 40 or 13 classes, in-painted (`refined`) or `raw` depth, HHA, frame cut off or not."""

    classes: int = 40
    depth: str = "refined"
    hha: bool = False
    crop: bool = False
    val_share: float = 0.0


@lru_cache(maxsize=1)
def _open(mat: Path) -> h5py.File:
    """The file, opened once per process."""
    try:
        return h5py.File(mat, "r")
    except OSError as fault:
        raise UserError(f"{mat} is damaged or incomplete ({fault}): download it again (2.8 GB).") from fault


def class_table(mapping: npt.NDArray[Any], classes: int) -> npt.NDArray[np.uint8]:
    """Table from the stored label (0 = void, 1..894) to the class index or 255.

    Args:
        mapping: NYU-40 class 1..40 of the labels 1..894 (`mapClass`).
        classes: 40 or 13.
    """
    to_40 = mapping.ravel().astype(np.int64) - 1
    if to_40.size == 0 or to_40.min() < 0 or to_40.max() > 39:
        raise UserError(f"{MAPPING} does not map to 1..40: download it again.")
    known = to_40 if classes == 40 else np.array(NYU40_TO_NYU13)[to_40]
    return np.concatenate([[UNLABELLED], known]).astype(np.uint8)


def read_nyu(mat: Path, index: int, table: npt.NDArray[np.uint8], options: NyuOptions, name: str) -> Sample:
    """Sample `index` (0-based) of the file; HDF5 shows MATLAB's axes reversed."""
    file = _open(mat)
    stored = file["labels"][index].T
    if int(stored.max()) >= len(table):
        raise UserError(f"{mat} holds label {int(stored.max())}, but {MAPPING} knows {len(table) - 1}: wrong files?")
    refined, raw = (np.nan_to_num(file[key][index].T.astype(np.float32)) for key in ("depths", "rawDepths"))
    rgb = np.ascontiguousarray(file["images"][index].transpose(2, 1, 0))
    label = table[stored]
    hha = None
    if options.hha:
        hha = encode_hha(refined, (CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy), raw > 0)
    depth = encode_depth(
        refined if options.depth == "refined" else raw, DEPTH.metres_per_unit, DEPTH.min_m, DEPTH.max_m
    )
    if options.crop:
        rgb, depth, label = rgb[WHITE_FRAME], depth[WHITE_FRAME], label[WHITE_FRAME]
        hha = None if hha is None else hha[WHITE_FRAME]
    return Sample(name, rgb, depth, label, hha)


def _prepare_one(
    writer: SetWriter, mat: Path, table: npt.NDArray[np.uint8], options: NyuOptions, index: int, name: str
) -> None:
    if not writer.has(name):
        writer.write(read_nyu(mat, index, table, options, name))


def _official_splits(path: Path, count: int) -> dict[str, list[int]]:
    """0-based sample numbers of train and test."""
    values = loadmat(path)
    splits = {}
    for split, key in (("train", "trainNdxs"), ("test", "testNdxs")):
        if key not in values:
            raise UserError(f"{path} lacks {key}: download splits.mat again.")
        numbers = values[key].ravel().astype(int) - 1
        if numbers.min() < 0 or numbers.max() >= count:
            raise UserError(f"{path} names sample {numbers.max() + 1}, but {MAT} has {count}: wrong files?")
        splits[split] = [int(n) for n in numbers]
    return splits


def _camera(crop: bool) -> Intrinsics:
    if not crop:
        return CAMERA
    rows, columns = WHITE_FRAME
    return Intrinsics(
        columns.stop - columns.start, rows.stop - rows.start, CAMERA.fx, CAMERA.fy,
        CAMERA.cx - columns.start, CAMERA.cy - rows.start,
    )  # fmt: skip


def prepare_nyu(source: Path, out: Path, options: NyuOptions, workers: int = 2) -> PreparedSet:
    """Prepare NYU Depth v2. Raises `UserError` for missing or damaged files."""
    remedy = "download it from the NYU Depth v2 page or the toolbox and put it there"
    mat, splits_mat, mapping_mat = (find_file(source, name, remedy) for name in (MAT, SPLITS, MAPPING))
    file = _open(mat)
    absent = [key for key in ("images", "depths", "rawDepths", "labels") if key not in file]
    if absent:
        raise UserError(f"{mat} lacks {', '.join(absent)}: download the labelled data set again.")
    table = class_table(loadmat(mapping_mat)["mapClass"], options.classes)
    numbers = _official_splits(splits_mat, len(file["labels"]))
    plan = {"source": "nyu", **asdict(options)}
    writer = SetWriter(out, plan, options.hha)
    jobs = [(writer, mat, table, options, n, f"{n + 1:04d}") for split in numbers.values() for n in split]
    for _ in run_jobs(_prepare_one, jobs, workers, "NYU Depth v2"):
        pass
    splits = {split: [f"{n + 1:04d}" for n in sorted(chosen)] for split, chosen in numbers.items()}
    splits["train"], held_out = hold_out(splits["train"], options.val_share)
    facts = Manifest(
        name=f"nyu{options.classes}",
        label_set=LABEL_SETS[f"nyu{options.classes}"],
        depth=DEPTH,
        camera=_camera(options.crop),
        source={**plan, "sha256": checksums(mat.parent, [mat], 1) | checksums(source, [splits_mat, mapping_mat], 1)},
    )
    return writer.finish(facts, splits | ({"val": held_out} if held_out else {}), workers=workers)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `prepare.py nyu`."""
    add_common_arguments(parser)
    parser.add_argument("--classes", type=int, choices=(40, 13), default=40)
    parser.add_argument(
        "--depth", choices=("refined", "raw"), default="refined", help="in-painted depth, or raw with holes"
    )
    parser.add_argument("--hha", action="store_true", help="also write HHA images")
    parser.add_argument("--crop", action="store_true", help="cut off the white frame (640x480 becomes 562x428)")
    parser.add_argument("--val-share", type=float, default=0.0, help="share of train held out as val (default 0)")


def run(args: argparse.Namespace) -> PreparedSet:
    """Run `prepare.py nyu`."""
    options = NyuOptions(args.classes, args.depth, args.hha, args.crop, args.val_share)
    return prepare_nyu(args.source, args.out, options, args.workers)

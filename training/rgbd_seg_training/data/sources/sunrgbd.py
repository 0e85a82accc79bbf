"""SUN RGB-D from SUNRGBD.zip and SUNRGBDtoolbox.zip, unpacked side by side."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt
from scipy.io import loadmat

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets.depth_codecs import decode_depth, encode_depth
from rgbd_seg_ros.datasets.images import read_image, read_rgb
from rgbd_seg_ros.datasets.manifest import DepthFacts, Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.hha import encode_hha
from rgbd_seg_training.data.jobs import run_jobs
from rgbd_seg_training.data.options import add_common_arguments
from rgbd_seg_training.data.set_writer import SetWriter
from rgbd_seg_training.data.source_files import checksums, find_file, find_folder, hold_out, listing_checksum

META, SEG, SPLIT = "SUNRGBDMeta.mat", "SUNRGBD2Dseg.mat", "allsplit.mat"
DEPTH = DepthFacts(0.001, 0.1, 8.0)
CLASSES = 37


@dataclass(frozen=True)
class SunOptions:
    """Choices of a preparation: filled (`bfx`) or `raw` depth, HHA, share of train held out for validation."""

    depth: str = "bfx"
    hha: bool = False
    val_share: float = 0.0


@dataclass(frozen=True)
class SunRecord:
    """One image: number in the label file, folder below `SUNRGBD/`, and file names."""

    index: int
    folder: str
    rgb: str
    depth: str

    @property
    def name(self) -> str:
        """Name in the prepared set: the 1-based number of the official list."""
        return f"{self.index + 1:05d}"


def below_sunrgbd(path: str) -> str:
    """The part of a recorded path from `SUNRGBD/` on, without it: records begin with a server's own folders."""
    parts = [p for p in str(path).replace("\\", "/").split("/") if p]
    if "SUNRGBD" not in parts:
        raise UserError(f"{META} records the path {path}, which has no SUNRGBD/ in it: download the toolbox again.")
    return "/".join(parts[parts.index("SUNRGBD") + 1 :])


def read_records(meta: Path) -> list[SunRecord]:
    """The records of SUNRGBDMeta.mat, in official order."""
    try:
        values = loadmat(meta, squeeze_me=True, struct_as_record=False)["SUNRGBDMeta"]
    except (KeyError, ValueError, NotImplementedError, OSError) as fault:
        raise UserError(f"{meta} cannot be read ({fault}): download SUNRGBDtoolbox.zip again.") from fault
    records = []
    for index, record in enumerate(np.atleast_1d(values)):
        folder = below_sunrgbd("/".join(str(record.rgbpath).split("/")[:-2]))
        records.append(SunRecord(index, folder, str(record.rgbname), str(record.depthname)))
    return records


def read_split(path: Path) -> set[str]:
    """Folders below `SUNRGBD/` of the training images."""
    try:
        train = loadmat(path, squeeze_me=True)["alltrain"]
    except (KeyError, ValueError, NotImplementedError, OSError) as fault:
        raise UserError(f"{path} cannot be read ({fault}): download SUNRGBDtoolbox.zip again.") from fault
    return {below_sunrgbd(str(p)) for p in np.atleast_1d(train)}


def read_intrinsics(path: Path, size: tuple[int, int]) -> Intrinsics:
    """The nine numbers of an intrinsics.txt, row by row."""
    try:
        numbers = [float(v) for v in path.read_text(encoding="utf-8").split()[:9]]
        fx, _, cx, _, fy, cy = numbers[:6]
    except (OSError, ValueError) as fault:
        raise UserError(f"{path} is missing or damaged ({fault}): unpack SUNRGBD.zip again.") from fault
    return Intrinsics(size[1], size[0], fx, fy, cx, cy)


@lru_cache(maxsize=1)
def _labels(seg: Path) -> Any:
    try:
        return h5py.File(seg, "r")
    except OSError as fault:
        raise UserError(f"{seg} is damaged ({fault}): download SUNRGBDtoolbox.zip again.") from fault


def _read_label(seg: Path, record: SunRecord) -> np.ndarray:
    file = _labels(seg)
    references = file["SUNRGBD2Dseg"]["seglabel"]
    stored = np.asarray(file[references[record.index].ravel()[0]]).T.astype(np.int64)
    if stored.max(initial=0) > CLASSES:
        raise UserError(f"{seg} holds label {stored.max()} in image {record.name}: download the toolbox again.")
    return np.where(stored == 0, UNLABELLED, stored - 1).astype(np.uint8)


def _read_depth(folder: Path, kind: str, record: SunRecord) -> npt.NDArray[np.float32]:
    """Depth H x W in metres, 0 = missing; `kind` is `depth` (as measured) or `depth_bfx` (filled)."""
    return decode_depth(read_image(folder / kind / record.depth, cv2.IMREAD_UNCHANGED), "sunrgbd")


def _prepare_one(writer: SetWriter, root: Path, seg: Path, options: SunOptions, record: SunRecord) -> Intrinsics:
    folder = root / record.folder
    label = _read_label(seg, record)
    camera = read_intrinsics(folder / "intrinsics.txt", label.shape)
    if writer.has(record.name):
        return camera
    metres = _read_depth(folder, "depth_bfx" if options.depth == "bfx" else "depth", record)
    hha = None
    if options.hha:
        # As for NYU: HHA has no value for a hole, so it is made of filled depth, whichever depth the set keeps.
        filled, raw = (_read_depth(folder, kind, record) for kind in ("depth_bfx", "depth"))
        hha = encode_hha(filled, (camera.fx, camera.fy, camera.cx, camera.cy), raw > 0)
    depth = encode_depth(metres, DEPTH.metres_per_unit, DEPTH.min_m, DEPTH.max_m)
    writer.write(Sample(record.name, read_rgb(folder / "image" / record.rgb), depth, label, hha))
    return camera


def prepare_sunrgbd(source: Path, out: Path, options: SunOptions, workers: int = 2) -> PreparedSet:
    """Prepare SUN RGB-D. Raises `UserError` for missing or damaged files."""
    remedy = "unpack SUNRGBD.zip and SUNRGBDtoolbox.zip there"
    root = find_folder(source, "SUNRGBD", remedy)
    meta, seg, split = (find_file(source, name, remedy) for name in (META, SEG, SPLIT))
    records, training = read_records(meta), read_split(split)
    plan = {"source": "sunrgbd", **asdict(options)}
    writer = SetWriter(out, plan, options.hha)
    jobs = [(writer, root, seg, options, record) for record in records]
    cameras = dict(zip((r.name for r in records), run_jobs(_prepare_one, jobs, workers, "SUN RGB-D"), strict=True))
    camera_of = {r.name: r.folder.split("/")[0] for r in records if r.folder in training}
    train, held_out = hold_out(list(camera_of), options.val_share, camera_of.__getitem__)
    splits = {"train": train, "test": [r.name for r in records if r.folder not in training]}
    images = [root / r.folder / "image" / r.rgb for r in records]
    facts = Manifest(
        name="sunrgbd37",
        label_set=LABEL_SETS["sunrgbd37"],
        depth=DEPTH,
        source={
            **plan,
            "sha256": checksums(source, [meta, seg, split], workers),
            "images_listing_sha256": listing_checksum(root, images),
        },
    )
    return writer.finish(facts, splits | ({"val": held_out} if held_out else {}), cameras, workers)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `prepare.py sunrgbd`."""
    add_common_arguments(parser)
    parser.add_argument("--depth", choices=("bfx", "raw"), default="bfx", help="filled depth, or raw with holes")
    parser.add_argument("--hha", action="store_true", help="also write HHA images")
    parser.add_argument("--val-share", type=float, default=0.0, help="share of train held out as val (default 0)")


def run(args: argparse.Namespace) -> PreparedSet:
    """Run `prepare.py sunrgbd`."""
    return prepare_sunrgbd(args.source, args.out, SunOptions(args.depth, args.hha, args.val_share), args.workers)

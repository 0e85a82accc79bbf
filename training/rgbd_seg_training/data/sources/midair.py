"""Mid-Air drone flights: chosen sets, climates and frame stride, full or grouped classes."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets.depth_codecs import decode_depth, encode_depth
from rgbd_seg_ros.datasets.images import read_raw, read_rgb
from rgbd_seg_ros.datasets.manifest import DepthFacts, Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample
from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.data.jobs import run_jobs
from rgbd_seg_training.data.options import add_common_arguments
from rgbd_seg_training.data.set_writer import SetWriter
from rgbd_seg_training.data.source_files import checksums, find_folder, hold_out, listing_checksum
from rgbd_seg_training.data.stores import resize_sample

RATE_HZ = 25.0
MAX_M, METRES_PER_UNIT = 1250.0, 0.02
GROUPS_7 = (0, 6, 1, 2, 2, 2, 3, 6, 4, 6, 5, 6, 6, 6)
"""For each of the 14 ids the class of the 7-class grouping: sky, trees, land, rocks, water, road, others."""
SETS = ("Kite_training", "Kite_test", "PLE_training", "PLE_test", "VO_test")


@dataclass(frozen=True)
class MidAirOptions:
    """Choices of a preparation.

    Attributes:
        classes: 14, or 7 grouped.
        sets, climates: folders to take; () takes all that are there.
        frame_stride: every n-th frame of a trajectory.
        test_every: every n-th trajectory of a climate is for testing.
        size: side that images are brought to (1024 keeps them).
        max_m: farther depth, and the sky, is stored as this distance.
        sky: `far` keeps the sky's depth at `max_m`, `missing` stores 0 as a range sensor would.
        val_share: share of the training frames held out for validation.
    """

    classes: int = 7
    sets: tuple[str, ...] = ()
    climates: tuple[str, ...] = ()
    frame_stride: int = 4
    test_every: int = 3
    size: int = 512
    max_m: float = MAX_M
    sky: str = "far"
    val_share: float = 0.0


@dataclass(frozen=True)
class Shot:
    """One frame of one trajectory."""

    climate: Path
    trajectory: str
    frame: str

    @property
    def name(self) -> str:
        """Name in the prepared set: sorted names follow each other in time within a trajectory."""
        return f"{self.climate.parent.name}-{self.climate.name}-{self.trajectory}-{self.frame}"

    def file(self, sensor: str, suffix: str) -> Path:
        """Image of one sensor."""
        return self.climate / sensor / self.trajectory / f"{self.frame}{suffix}"


def find_climates(root: Path, options: MidAirOptions) -> list[Path]:
    """The climate folders to take. Raises `UserError` for folders that are not there or where none is."""
    sets = [root / name for name in options.sets] or [root / name for name in SETS if (root / name).is_dir()]
    found = []
    for folder in sets:
        if not folder.is_dir():
            raise UserError(f"Mid-Air set {folder} is missing: unpack it there or leave it out of --sets.")
        names = options.climates or tuple(sorted(p.name for p in folder.iterdir() if p.is_dir()))
        found += [folder / name for name in names if (folder / name).is_dir()]
    if not found:
        raise UserError(f"{root} holds none of the chosen Mid-Air sets and climates: unpack them there.")
    return found


def climate_shots(climate: Path, options: MidAirOptions) -> tuple[list[Shot], list[Shot]]:
    """Training and test frames of one climate."""
    folder = climate / "color_left"
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: download the left colour camera of this climate.")
    train: list[Shot] = []
    test: list[Shot] = []
    for number, trajectory in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        frames = sorted(p.stem for p in trajectory.glob("*.JPEG"))[:: options.frame_stride]
        testing = number % options.test_every == options.test_every - 1
        (test if testing else train).extend(Shot(climate, trajectory.name, frame) for frame in frames)
    return train, test


def read_label(path: Path, classes: int) -> npt.NDArray[np.uint8]:
    """Class of every pixel of a segmentation image."""
    stored = read_raw(path)
    ids = stored if stored.ndim == 2 else stored[..., 0]
    if int(ids.max()) > 13:
        raise UserError(f"{path} holds id {int(ids.max())}, Mid-Air has 0 to 13: replace it by a fresh copy.")
    table = np.array(GROUPS_7 if classes == 7 else range(14), np.uint8)
    return table[ids]


def read_shot(shot: Shot, options: MidAirOptions) -> Sample:
    """Read one frame at its final size."""
    rgb = read_rgb(shot.file("color_left", ".JPEG"))
    label = read_label(shot.file("segmentation", ".PNG"), options.classes)
    metres = decode_depth(read_raw(shot.file("depth", ".PNG")), "float16")
    # Half floats overflow to infinity in the sky, which is as far as can be told.
    is_sky = label == 0
    metres[is_sky] = options.max_m if options.sky == "far" else 0.0
    depth = encode_depth(metres, METRES_PER_UNIT, METRES_PER_UNIT, options.max_m)
    sample = Sample(shot.name, rgb, depth, label)
    if len({image.shape[:2] for image in (rgb, label, depth)}) != 1:
        raise UserError(f"Images of {shot.name} differ in size: replace them by fresh copies.")
    return resize_sample(sample, (options.size, options.size))


def _prepare_one(writer: SetWriter, options: MidAirOptions, shot: Shot) -> None:
    if not writer.has(shot.name):
        writer.write(read_shot(shot, options))


def prepare_midair(source: Path, out: Path, options: MidAirOptions, workers: int = 2) -> PreparedSet:
    """Prepare Mid-Air. Raises `UserError` for missing or damaged files."""
    root = find_folder(source, "MidAir", "unpack the Mid-Air downloads there")
    climates = find_climates(root, options)
    train: list[Shot] = []
    test: list[Shot] = []
    for climate in climates:
        more_train, more_test = climate_shots(climate, options)
        train += more_train
        test += more_test
    if not train:
        raise UserError(f"No training frames in {', '.join(map(str, climates))}: are the trajectories unpacked?")
    plan = {"source": "midair", **asdict(options)}
    writer = SetWriter(out, plan)
    for _ in run_jobs(_prepare_one, [(writer, options, shot) for shot in train + test], workers, "Mid-Air"):
        pass
    climate_of = {shot.name: str(shot.climate) for shot in train}
    kept, held_out = hold_out(list(climate_of), options.val_share, climate_of.__getitem__)
    splits = {"train": kept, "val": held_out, "test": [s.name for s in test]}
    centre = options.size / 2
    facts = Manifest(
        name=f"midair{options.classes}",
        label_set=LABEL_SETS[f"midair{options.classes}"],
        depth=DepthFacts(METRES_PER_UNIT, METRES_PER_UNIT, options.max_m, "as stored by Mid-Air"),
        camera=Intrinsics(options.size, options.size, centre, centre, centre, centre),
        rate_hz=RATE_HZ / options.frame_stride,
        source={
            **plan,
            "climates": [c.relative_to(root).as_posix() for c in climates],
            "sha256": checksums(root, [p for c in climates for p in c.glob("sensor_records.hdf5")], workers),
            "images_listing_sha256": listing_checksum(root, [s.file("color_left", ".JPEG") for s in train + test]),
        },
    )
    return writer.finish(facts, {k: v for k, v in splits.items() if v}, workers=workers)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `prepare.py midair`."""
    defaults = MidAirOptions()
    add_common_arguments(parser)
    parser.add_argument("--classes", type=int, choices=(7, 14), default=defaults.classes)
    parser.add_argument("--sets", nargs="+", default=[], choices=SETS, help="default: all that are there")
    parser.add_argument("--climates", nargs="+", default=[], help="e.g. sunny cloudy (default: all that are there)")
    parser.add_argument("--frame-stride", type=int, default=defaults.frame_stride, help="every n-th frame (default 4)")
    parser.add_argument("--test-every", type=int, default=defaults.test_every, help="every n-th trajectory tests")
    parser.add_argument("--size", type=int, default=defaults.size, help="side of the images (default 512)")
    parser.add_argument("--max-depth", type=float, default=MAX_M, help="metres; the sky and what is farther")
    parser.add_argument("--sky", choices=("far", "missing"), default="far", help="depth of the sky")
    parser.add_argument("--val-share", type=float, default=0.0, help="share of train held out as val (default 0)")


def run(args: argparse.Namespace) -> PreparedSet:
    """Run `prepare.py midair`."""
    if min(args.frame_stride, args.test_every, args.size) < 1 or not 1 <= args.max_depth <= 1310:
        raise UserError("--frame-stride, --test-every and --size must be at least 1, --max-depth 1 to 1310 metres.")
    options = MidAirOptions(
        args.classes, tuple(args.sets), tuple(args.climates), args.frame_stride, args.test_every, args.size,
        args.max_depth, args.sky, args.val_share,
    )  # fmt: skip
    return prepare_midair(args.source, args.out, options, args.workers)

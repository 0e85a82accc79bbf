"""ISPRS Potsdam: 6000x6000 tiles cut into crops, with height as the depth of a camera that looks straight down."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.datasets.depth_codecs import encode_depth
from rgbd_seg_ros.datasets.images import read_raw
from rgbd_seg_ros.datasets.manifest import DepthFacts, Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample
from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.data.jobs import run_jobs
from rgbd_seg_training.data.options import add_common_arguments
from rgbd_seg_training.data.set_writer import SetWriter
from rgbd_seg_training.data.source_files import checksums, find_file

_COLUMNS = {2: (10, 13, 15), 3: (10, 13, 15), 4: (10, 13, 16), 5: (10, 13, 16), 6: (7, 13, 16), 7: (7, 13, 14)}
"""For each row of tiles the first training column, the first test column and the end."""
TRAIN = tuple(f"{row}_{c}" for row, (first, test, _) in _COLUMNS.items() for c in range(first, test))
TEST = tuple(f"{row}_{c}" for row, (_, test, end) in _COLUMNS.items() for c in range(test, end))
ALTITUDE_M = 120.0
"""Height of the camera that would see the heights as depth; the rendered aerial world has the same."""
GROUND_WINDOW_M, PIXEL_M = 60.0, 0.05
# Class of the code 4 * (red > 127) + 2 * (green > 127) + (blue > 127); black (boundary) and magenta have none.
_CLASS_OF_CODE = np.array([UNLABELLED, 1, 3, 2, 5, UNLABELLED, 4, 0], np.uint8)
_REMEDY = "download the ISPRS Potsdam set and unpack 2_Ortho_RGB, 5_Labels_* and 1_DSM* there"


@dataclass(frozen=True)
class PotsdamOptions:
    """Choices of a preparation.

    Attributes:
        size: side of a crop.
        stride: distance of training crops; test crops never overlap, so that every pixel counts once.
        boundary: `ignore` reads the labels whose class boundaries are black, `keep` the full ones.
        height: `ndsm` the normalised surface model, `dsm` the surface minus an estimate of the ground, `auto` the first
            that is there.
        tiles: tiles to take; () takes the official 38.
        val_tiles: training tiles held out for validation.
    """

    size: int = 512
    stride: int = 512
    boundary: str = "ignore"
    height: str = "auto"
    tiles: tuple[str, ...] = ()
    val_tiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class TileFiles:
    """Files of one tile and where their heights come from (`ndsm` or `dsm`)."""

    tile: str
    rgb: Path
    label: Path
    surface: Path
    kind: str


def label_of_colors(colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Class of every pixel of a colour-coded label image (RGB); the few compressed or odd colours take the nearest."""
    bright = (colors > 127).astype(np.uint8)
    return _CLASS_OF_CODE[4 * bright[..., 0] + 2 * bright[..., 1] + bright[..., 2]]


def ground_height(surface_m: npt.NDArray[np.float32], pixel_m: float = PIXEL_M) -> npt.NDArray[np.float32]:
    """Ground below a surface model: the lowest surface within 60 m, smoothed (a morphological opening)."""
    step = max(1, round(2.0 / pixel_m))
    small = surface_m[::step, ::step]
    side = max(3, int(GROUND_WINDOW_M / (step * pixel_m)) | 1)
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    smooth = cv2.blur(opened, (side, side), borderType=cv2.BORDER_REPLICATE)
    ground = cv2.resize(smooth, (surface_m.shape[1], surface_m.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(ground, np.float32)


def _read_tiff(path: Path) -> npt.NDArray[np.generic]:
    try:
        return np.asarray(tifffile.imread(path))
    except (OSError, ValueError, tifffile.TiffFileError) as fault:
        raise UserError(f"{path} is damaged ({fault}): replace it by a fresh copy.") from fault


def read_height(files: TileFiles) -> npt.NDArray[np.float32]:
    """Height above ground in metres, float32 H x W, not negative."""
    if files.kind == "ndsm":
        return read_raw(files.surface).astype(np.float32) / 10.0
    surface = _read_tiff(files.surface).astype(np.float32)
    return np.maximum(surface - ground_height(surface), 0.0)


def find_tile(source: Path, tile: str, options: PotsdamOptions) -> TileFiles:
    """The files of a tile; the height models write its numbers with two digits. Raises `UserError`."""
    padded = "_".join(f"{int(n):02d}" for n in tile.split("_"))
    label_name = f"top_potsdam_{tile}_label{'_noBoundary' if options.boundary == 'ignore' else ''}.tif"
    rgb, label = (find_file(source, name, _REMEDY) for name in (f"top_potsdam_{tile}_RGB.tif", label_name))
    kinds = ("ndsm", "dsm") if options.height == "auto" else (options.height,)
    names = {"ndsm": f"dsm_potsdam_{padded}_normalized_lastools.jpg", "dsm": f"dsm_potsdam_{padded}.tif"}
    for kind in kinds:
        if found := sorted(source.rglob(names[kind])):
            return TileFiles(tile, rgb, label, found[0], kind)
    raise UserError(f"{' or '.join(names[k] for k in kinds)} is not in {source}: {_REMEDY}.")


def crop_starts(length: int, size: int, stride: int, pad: bool) -> list[int]:
    """First pixels of crops along one side.

    With `pad` crops follow each other without overlap and the last one reaches beyond the tile; otherwise they stand
    `stride` apart and the last one is moved inwards.
    """
    if pad:
        return list(range(0, length, size))
    if length <= size:
        return [0]
    return sorted({*range(0, length - size, stride), length - size})


def tile_crops(shape: tuple[int, int], options: PotsdamOptions, test: bool) -> Iterator[tuple[int, int]]:
    """(row, column) of every crop of a tile."""
    for row in crop_starts(shape[0], options.size, options.stride, test):
        for column in crop_starts(shape[1], options.size, options.stride, test):
            yield row, column


def _cut(image: npt.NDArray[np.generic], row: int, column: int, size: int, fill: int) -> npt.NDArray[np.generic]:
    piece = image[row : row + size, column : column + size]
    missing = [(0, size - piece.shape[0]), (0, size - piece.shape[1])] + [(0, 0)] * (image.ndim - 2)
    return np.pad(piece, missing, constant_values=fill)


def depth_facts() -> DepthFacts:
    """2 mm steps cover the altitude and the tallest tower."""
    return DepthFacts(0.002, 1.0, 131.0, f"distance from a camera {ALTITUDE_M:g} m above the ground, looking down")


def _prepare_tile(writer: SetWriter, files: TileFiles, options: PotsdamOptions, test: bool) -> list[str]:
    """Write all crops of a tile and return their names."""
    shape = _tile_shape(files.rgb)
    crops = [(f"{files.tile}_{row:05d}_{column:05d}", row, column) for row, column in tile_crops(shape, options, test)]
    if all(writer.has(name) for name, _, _ in crops):
        return [name for name, _, _ in crops]
    rgb = np.asarray(_read_tiff(files.rgb)[..., :3], np.uint8)
    label = label_of_colors(np.asarray(_read_tiff(files.label)[..., :3], np.uint8))
    height = read_height(files)
    for other, image in ((files.label, label), (files.surface, height)):
        # Some official height models are a row or column short.
        if any(abs(a - b) > 2 for a, b in zip(image.shape[:2], shape, strict=True)):
            raise UserError(
                f"{other} is {image.shape[1]}x{image.shape[0]}, its tile is {shape[1]}x{shape[0]}: replace it."
            )
    if height.shape != shape:
        height = cv2.resize(height, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT).astype(np.float32)
    facts = depth_facts()
    depth = encode_depth(ALTITUDE_M - height, facts.metres_per_unit, facts.min_m, facts.max_m)
    for name, row, column in crops:
        images = (_cut(image, row, column, options.size, fill) for image, fill in ((rgb, 0), (depth, 0), (label, 255)))
        writer.write(Sample(name, *images))  # type: ignore[arg-type]
    return [name for name, _, _ in crops]


def _tile_shape(path: Path) -> tuple[int, int]:
    try:
        with tifffile.TiffFile(path) as tiff:
            height, width = tiff.pages[0].shape[:2]
    except (OSError, ValueError, tifffile.TiffFileError) as fault:
        raise UserError(f"{path} is damaged ({fault}): replace it by a fresh copy.") from fault
    return int(height), int(width)


def prepare_potsdam(source: Path, out: Path, options: PotsdamOptions, workers: int = 2) -> PreparedSet:
    """Prepare ISPRS Potsdam. Raises `UserError` for missing or damaged files and unknown tiles."""
    tiles = options.tiles or (*TRAIN, *TEST)
    if unknown := {*tiles, *options.val_tiles} - {*TRAIN, *TEST}:
        raise UserError(f"Potsdam has no tile {', '.join(sorted(unknown))}: tiles are named like 2_10.")
    if misplaced := set(options.val_tiles) - set(TRAIN):
        raise UserError(f"Tile {', '.join(sorted(misplaced))} is a test tile: hold out training tiles for validation.")
    files = [find_tile(source, tile, options) for tile in tiles]
    plan = {"source": "potsdam", **asdict(options), "altitude_m": ALTITUDE_M}
    writer = SetWriter(out, plan)
    jobs = [(writer, f, options, f.tile in (*TEST, *options.val_tiles)) for f in files]
    splits: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for tile, names in zip(tiles, run_jobs(_prepare_tile, jobs, workers, "Potsdam tiles"), strict=True):
        split = "test" if tile in TEST else "val" if tile in options.val_tiles else "train"
        splits[split] += names
    used = [path for f in files for path in (f.rgb, f.label, f.surface)]
    facts = Manifest(
        name="potsdam6",
        label_set=LABEL_SETS["potsdam6"],
        depth=depth_facts(),
        source={
            **plan,
            "heights": {f.tile: f.kind for f in files},
            "ground_rule": "dsm: opening of the surface within 60 m, smoothed; ndsm: as published",
            "test_crops": "side by side, padded with 255",
            "sha256": checksums(source, used, workers),
        },
    )
    return writer.finish(facts, {split: names for split, names in splits.items() if names}, workers=workers)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `prepare.py potsdam`."""
    add_common_arguments(parser)
    parser.add_argument("--size", type=int, default=512, help="side of a crop (default 512)")
    parser.add_argument("--stride", type=int, default=512, help="distance of training crops (default 512)")
    parser.add_argument("--boundary", choices=("ignore", "keep"), default="ignore", help="pixels at class boundaries")
    parser.add_argument("--height", choices=("auto", "ndsm", "dsm"), default="auto", help="where heights come from")
    parser.add_argument("--tiles", nargs="+", default=[], help="tiles to take (default: the official 38)")
    parser.add_argument("--val-tiles", nargs="+", default=[], help="training tiles held out as val")


def run(args: argparse.Namespace) -> PreparedSet:
    """Run `prepare.py potsdam`."""
    if args.size < 1 or not 1 <= args.stride <= args.size:
        raise UserError(f"--stride {args.stride} must be 1 to --size {args.size}.")
    options = PotsdamOptions(
        args.size, args.stride, args.boundary, args.height, tuple(args.tiles), tuple(args.val_tiles)
    )
    return prepare_potsdam(args.source, args.out, options, args.workers)

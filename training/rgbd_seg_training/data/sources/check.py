"""Re-read a prepared set: every file, class frequencies, statistics, a contact sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rgbd_seg_ros.datasets.manifest import Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.data.contact_sheet import write_augmentation_sheet, write_contact_sheet
from rgbd_seg_training.data.statistics import measure_set


def check_set(prepared: PreparedSet, workers: int = 1) -> Manifest:
    """Read every sample of every split and return the manifest with fresh statistics.

    Raises:
        UserError: a file is missing or damaged, or the class counts differ from those that were recorded.
    """
    measured = measure_set(prepared, workers)
    recorded = prepared.manifest.class_pixels
    for split, counts in recorded.items():
        if tuple(counts) != measured.class_pixels.get(split):
            raise UserError(
                f"Labels of split {split} of {prepared.root} changed since it was prepared: prepare the set again."
            )
    return measured


def frequency_table(manifest: Manifest) -> Table:
    """Share of every class among the labelled pixels of each split."""
    table = Table("class", *manifest.splits, title=f"{manifest.name}: share of labelled pixels, %")
    for index, name in enumerate(manifest.label_set.classes):
        shares = (
            100 * counts[index] / max(1, sum(counts)) for counts in (manifest.class_pixels[s] for s in manifest.splits)
        )
        table.add_row(name, *(f"{share:.2f}" for share in shares))
    table.add_row("images", *(str(n) for n in manifest.splits.values()), end_section=True)
    return table


def _print_facts(console: Console, manifest: Manifest) -> None:
    depth = manifest.depth
    if depth.mean_m is not None and depth.std_m is not None and depth.missing_share is not None:
        console.print(
            f"depth: mean {depth.mean_m:.3f} m, deviation {depth.std_m:.3f} m, missing {depth.missing_share:.1%}, "
            f"unit {depth.metres_per_unit:g} m, {depth.meaning}"
        )
    if manifest.rgb_mean and manifest.rgb_std:
        mean, std = (", ".join(f"{v:.1f}" for v in values) for values in (manifest.rgb_mean, manifest.rgb_std))
        console.print(f"colour: mean {mean}; deviation {std}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `prepare.py check`."""
    parser.add_argument("data", type=Path, help="prepared set, or RGB/Label folders")
    parser.add_argument("--sheet", type=Path, help="contact sheet to write (default: contact_sheet.png in the set)")
    parser.add_argument("--split", help="split of the contact sheet (default: the first)")
    parser.add_argument(
        "--augmented", choices=("coupled", "decoupled"), help="also write augmented.png: what training sees"
    )
    parser.add_argument("--workers", type=int, default=2)


def run(args: argparse.Namespace) -> PreparedSet:
    """Run `prepare.py check`."""
    prepared = PreparedSet.open(args.data)
    measured = check_set(prepared, args.workers)
    console = Console()
    console.print(frequency_table(measured))
    _print_facts(console, measured)
    split = args.split or prepared.splits[0]
    sheet = args.sheet or prepared.root / "contact_sheet.png"
    write_contact_sheet(prepared, split, sheet)
    if args.augmented:
        write_augmentation_sheet(prepared, split, sheet.with_name("augmented.png"), args.augmented == "decoupled")
    console.print(f"every file can be read; contact sheet: {sheet}")
    return prepared

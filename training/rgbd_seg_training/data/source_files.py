"""Finding and fingerprinting the official files of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from rgbd_seg_ros.errors import UserError
from rgbd_seg_training.data.jobs import run_jobs


def find_file(source: Path, name: str, remedy: str) -> Path:
    """The file `name` in or below `source`; `remedy` says where to get it. Raises `UserError`."""
    if not source.is_dir():
        raise UserError(f"Source folder {source} does not exist: name the folder with the official files.")
    direct = source / name
    if direct.is_file():
        return direct
    found = sorted(p for p in source.rglob(name) if p.is_file())
    if not found:
        raise UserError(f"{name} is not in {source}: {remedy}.")
    return found[0]


def find_folder(source: Path, name: str, remedy: str) -> Path:
    """The folder `name` in `source`, or `source` itself if it has that name. Raises `UserError`."""
    for folder in (source / name, source):
        if folder.is_dir() and folder.name == name:
            return folder
    raise UserError(f"Folder {name} is not in {source}: {remedy}.")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def checksums(root: Path, paths: Iterable[Path], workers: int) -> dict[str, str]:
    """SHA-256 of files, by their path below `root`."""
    files = sorted(set(paths))
    sums = run_jobs(_sha256, [(path,) for path in files], workers, "checksums")
    return {path.relative_to(root).as_posix(): value for path, value in zip(files, sums, strict=True)}


def listing_checksum(root: Path, paths: Iterable[Path]) -> str:
    """One SHA-256 over the names and sizes of many files: notices missing, added and truncated ones cheaply."""
    digest = hashlib.sha256()
    for path in sorted(set(paths)):
        digest.update(f"{path.relative_to(root).as_posix()} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def hold_out(
    names: list[str], share: float, group: Callable[[str], str] = lambda name: ""
) -> tuple[list[str], list[str]]:
    """Split off the last `share` of every group of an ordered list for validation.

    Neighbours in the official orders show the same scene, so a tail leaks less into training than random picks. Groups
    (cameras, climates) are told apart by `group`, so that validation sees all of them.
    Raises `UserError` for a share outside 0..0.9.
    """
    if not 0 <= share <= 0.9:
        raise UserError(f"--val-share is {share}: choose 0 (no validation split) to 0.9.")
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(group(name), []).append(name)
    held_out = {name for members in groups.values() for name in members[len(members) - round(len(members) * share) :]}
    return [n for n in names if n not in held_out], [n for n in names if n in held_out]

"""Model bundles on disk: a folder with `manifest.json` and one ONNX file per mode.

A bundle is read only when every file is there and has the size and SHA-256 digest of the manifest, and it is
written under a temporary name and moved into place, so that nobody ever sees half of one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.manifest import Manifest, ModelFile, dump_manifest, parse_manifest

MANIFEST_NAME = "manifest.json"
_MAX_MANIFEST_BYTES = 4 << 20


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: its folder and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def modes(self) -> frozenset[Mode]:
        """The modes that the bundle has a model for."""
        return frozenset(self.manifest.modes)

    def model_bytes(self, mode: Mode) -> bytes:
        """The ONNX file of `mode`, checked against its digest as it is read.

        Raises:
            UserError: the bundle has no such mode, or the file changed since the bundle was loaded.
        """
        if mode not in self.manifest.modes:
            have = ", ".join(sorted(m.value for m in self.modes))
            raise UserError(f"bundle {self.folder} has no model for mode '{mode.value}', only for {have}.")
        file = self.manifest.modes[mode].model
        data = _read(self.folder / file.file)
        _check_digest(self.folder, file, len(data), hashlib.sha256(data).hexdigest())
        return data


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Reads and checks the bundle in folder `path`.

    Raises:
        UserError: the folder or a file is missing, damaged, of another format or outside the bundle.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UserError(f"bundle {folder} is not a folder; give the folder that holds {MANIFEST_NAME}.")
    manifest_path = folder / MANIFEST_NAME
    if not manifest_path.is_file():
        raise UserError(f"bundle {folder} has no {MANIFEST_NAME}; give the folder that export wrote.")
    if manifest_path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise UserError(f"{manifest_path} is larger than {_MAX_MANIFEST_BYTES} bytes; export the bundle again.")
    try:
        text = _read(manifest_path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{manifest_path} is not UTF-8 text; export the bundle again.") from error
    manifest = parse_manifest(text, str(manifest_path))
    for entry in manifest.modes.values():
        for file in (entry.model, *entry.checkpoint):
            _check_file(folder, file)
    return Bundle(folder, manifest)


def describe_file(folder: Path, name: str) -> ModelFile:
    """Size and digest of file `name` in `folder`, for a manifest."""
    return ModelFile(name, _digest(folder / name), (folder / name).stat().st_size)


@contextlib.contextmanager
def new_bundle_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary folder beside `path`; moved to `path` when the block ends well, removed when it fails.

    An existing bundle at `path` is replaced; anything else that is not an empty folder is refused.
    """
    target = Path(path).expanduser()
    if target.exists() and not _may_replace(target):
        raise UserError(f"{target} exists and is not a model bundle; choose another folder or remove it first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield work
        work.chmod(0o755)
        _move_into_place(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_bundle(path: str | os.PathLike[str], manifest: Manifest, files: Mapping[Mode, bytes]) -> Bundle:
    """Writes a bundle of ready-made ONNX files; digests and sizes of `manifest` are filled in.

    Args:
        path: folder to create; an existing bundle there is replaced.
        manifest: its `modes` must be those of `files`; the `model` of each is overwritten.
        files: ONNX file content per mode.
    """
    with new_bundle_folder(path) as work:
        modes = {}
        for mode, data in files.items():
            name = f"{mode.value}.onnx"
            (work / name).write_bytes(data)
            modes[mode] = dataclasses.replace(manifest.modes[mode], model=describe_file(work, name))
        text = dump_manifest(dataclasses.replace(manifest, modes=modes))
        (work / MANIFEST_NAME).write_text(text, encoding="utf-8")
        load_bundle(work)
    return load_bundle(path)


def _may_replace(target: Path) -> bool:
    return target.is_dir() and ((target / MANIFEST_NAME).is_file() or not any(target.iterdir()))


def _move_into_place(work: Path, target: Path) -> None:
    if not target.exists():
        work.replace(target)
        return
    # A folder cannot replace a full folder in one step: move the old one aside, and back if the second move fails.
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        target.replace(aside / "bundle")
        try:
            work.replace(target)
        except OSError:
            (aside / "bundle").replace(target)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check_file(folder: Path, file: ModelFile) -> None:
    path = folder / file.file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"bundle {folder}: '{file.file}' leads outside the bundle; export the bundle again.")
    if not path.is_file():
        raise UserError(f"bundle {folder}: file '{file.file}' is missing; export or copy the bundle again.")
    _check_digest(folder, file, path.stat().st_size, _digest(path))


def _check_digest(folder: Path, file: ModelFile, size: int, digest: str) -> None:
    if size != file.bytes:
        raise UserError(
            f"bundle {folder}: '{file.file}' has {size} bytes, the manifest says {file.bytes}; copy the bundle again."
        )
    if digest != file.sha256:
        raise UserError(f"bundle {folder}: '{file.file}' is damaged (SHA-256 differs); copy the bundle again.")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error

"""Reading a prepared data set: samples by name, checked sizes, one label and depth convention."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.datasets.depth_codecs import decode_depth, encode_depth
from rgbd_seg_ros.datasets.images import png_size, read_raw, read_rgb
from rgbd_seg_ros.datasets.manifest import MANIFEST_NAME, Manifest, read_manifest
from rgbd_seg_ros.errors import UserError

CAMERAS_NAME = "cameras.json"


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled RGB-D image.

    Attributes:
        name: name within the set.
        rgb: uint8 H x W x 3, RGB order.
        depth: uint16 H x W in units of the set's `metres_per_unit`, 0 = missing.
        label: uint8 H x W, class index or 255.
        hha: uint8 H x W x 3 (disparity, height, angle), where the set has it.
    """

    name: str
    rgb: npt.NDArray[np.uint8] = field(repr=False)
    depth: npt.NDArray[np.uint16] = field(repr=False)
    label: npt.NDArray[np.uint8] = field(repr=False)
    hha: npt.NDArray[np.uint8] | None = field(repr=False, default=None)


class PreparedSet:
    """A prepared data set on disk.

    Open it with `PreparedSet.open(path)`; `names(split)` lists samples and `read(name)` loads one.
    """

    def __init__(self, root: Path, manifest: Manifest, split_names: dict[str, tuple[str, ...]] | None = None) -> None:
        self.root = root
        self.manifest = manifest
        self._splits = dict(split_names or {})

    @classmethod
    def open(cls, path: str | Path) -> PreparedSet:
        """Open a folder that holds `manifest.json`, or a CMX / PrimKD / DFormer folder as it is.

        Raises:
            UserError: the folder is missing, unfinished or of no known layout.
        """
        root = Path(path)
        if not root.is_dir():
            raise UserError(f"Data set {root} does not exist: name the folder that training/prepare.py wrote.")
        if (root / MANIFEST_NAME).is_file():
            return cls(root, read_manifest(root / MANIFEST_NAME))
        from rgbd_seg_ros.datasets.folder_layouts import open_folder_layout

        return open_folder_layout(root)

    @property
    def label_set(self) -> LabelSet:
        """Class names and colours."""
        return self.manifest.label_set

    @property
    def metres_per_unit(self) -> float:
        """Metres of one step of `Sample.depth`."""
        return self.manifest.depth.metres_per_unit

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.manifest.splits)

    def names(self, split: str) -> tuple[str, ...]:
        """Sample names of a split, in order. Raises `UserError` for an unknown split or a shortened list."""
        if split not in self._splits:
            self._splits[split] = self._read_split(split)
        return self._splits[split]

    def _read_split(self, split: str) -> tuple[str, ...]:
        if split not in self.manifest.splits:
            have = ", ".join(self.manifest.splits) or "none"
            raise UserError(f"Data set {self.root} has no split {split!r}: it has {have}.")
        path = self.root / "splits" / f"{split}.txt"
        if not path.is_file():
            raise UserError(f"Split list {path} is missing: prepare the set again.")
        names = tuple(line for line in path.read_text(encoding="utf-8").splitlines() if line)
        if len(names) != self.manifest.splits[split]:
            raise UserError(
                f"Split list {path} has {len(names)} names, the manifest says {self.manifest.splits[split]}: "
                "prepare the set again."
            )
        return names

    def has_one_size(self, split: str) -> bool:
        """Whether all images of a split are known to have the same size: by the headers of their labels.

        False also where a label is no PNG, whose header is the only one that is read.
        """
        sizes = {png_size(self.path("label", name)) for name in self.names(split)}
        return len(sizes) == 1 and None not in sizes

    def path(self, kind: str, name: str) -> Path:
        """File of one sample; `kind` is rgb, depth, label or hha."""
        facts = self.manifest.files[kind]
        return self.root / facts.folder / f"{name}{facts.suffix}"

    @cached_property
    def _cameras(self) -> dict[str, Intrinsics]:
        path = self.root / CAMERAS_NAME
        if not path.is_file():
            return {}
        return {name: Intrinsics(**values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}

    def camera(self, name: str) -> Intrinsics | None:
        """Intrinsics of a sample, None where unknown."""
        return self.manifest.camera or self._cameras.get(name)

    def read_label(self, name: str) -> npt.NDArray[np.uint8]:
        """Ground truth of a sample, uint8 H x W, class index or 255. Raises `UserError` for values out of range."""
        stored = read_raw(self.path("label", name))
        if stored.ndim != 2:
            raise UserError(
                f"Label {self.path('label', name)} is a colour image: class indices in one channel are wanted."
            )
        label = stored.astype(np.int32)
        if self.manifest.label_offset:
            label = np.where(stored == UNLABELLED, UNLABELLED, label + self.manifest.label_offset)
            label[label < 0] = UNLABELLED
        wrong = (label >= len(self.label_set.classes)) & (label != UNLABELLED)
        if wrong.any():
            raise UserError(
                f"Label {self.path('label', name)} holds {int(label[wrong][0])}, but label set {self.label_set.name} "
                f"has {len(self.label_set.classes)} classes: check the label set or the label offset."
            )
        return label.astype(np.uint8)

    def read_depth(self, name: str, like: tuple[int, int]) -> npt.NDArray[np.uint16]:
        """Depth of a sample in the set's units; all missing (0) where the set has no depth at all."""
        facts = self.manifest.depth
        if "depth" not in self.manifest.files:
            return np.zeros(like, np.uint16)
        stored = read_raw(self.path("depth", name))
        if facts.codec == "linear" and stored.dtype == np.uint16 and stored.ndim == 2:
            return stored.astype(np.uint16, copy=False)
        wanted = 3 if facts.codec == "hha" else 2
        if stored.ndim != wanted:
            stored = stored[..., 0] if wanted == 2 else stored
        if stored.ndim != wanted:
            raise UserError(f"Depth {self.path('depth', name)} is not a three-channel HHA image.")
        metres = decode_depth(stored, facts.codec, facts.metres_per_unit, facts.min_m, facts.max_m)
        return encode_depth(metres, facts.metres_per_unit, facts.min_m, facts.max_m)

    def read(self, name: str, hha: bool = False) -> Sample:
        """Load one sample. Raises `UserError` for missing, damaged or differently sized images."""
        rgb = read_rgb(self.path("rgb", name))
        label = self.read_label(name)
        depth = self.read_depth(name, label.shape[:2])
        angles = None
        if hha:
            if "hha" not in self.manifest.files:
                raise UserError(f"Data set {self.root} has no HHA images: prepare it with --hha.")
            angles = read_rgb(self.path("hha", name))
        for kind, image in (("depth", depth), ("label", label), ("hha", angles)):
            if image is not None and image.shape[:2] != rgb.shape[:2]:
                raise UserError(
                    f"Sample {name} of {self.root}: {kind} is {image.shape[1]}x{image.shape[0]} but colour is "
                    f"{rgb.shape[1]}x{rgb.shape[0]}; replace the wrong file."
                )
        return Sample(name, rgb, depth, label, angles)

"""Folders of colour, depth and label images, whatever their naming."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS, LabelSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.source import SourceFrame
from rgbd_seg_ros.scenes.camera import Camera

ROLES = {
    "rgb": ("rgb", "color", "colour", "colors", "image", "images", "img", "left"),
    "depth": ("depth", "depths", "depthmm", "rawdepth", "depthraw"),
    "label": ("label40", "label13", "label", "labels", "gt", "semantic", "segmentation"),
}
"""What the words of a file or folder name say about an image, most telling role last."""
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm", ".ppm", ".bmp"}
VOID_IS_ZERO = {"label40": "nyu40", "label13": "nyu13"}
"""Label files of NYU naming store 0 = void and classes from 1."""


class FolderSource:
    """Frames of a folder; roles from names (`rgb/0001.png`, `frame-1.color.jpg`, `x_depth_mm.png`, ...).

    Names that are times in seconds (TUM: `1305031102.175304.png`) give the stamps; other frames are
    numbered in the order of their names and played at `rate_hz`. 16-bit depth is millimetres unless
    `depth_scale` (units per metre, TUM: 5000) says otherwise.
    """

    def __init__(
        self, path: Path | str, rate_hz: float = 30.0, depth_scale: float = 1000.0, label_set: str | None = None
    ) -> None:
        """Lists the folder.

        Raises:
            UserError: when it holds neither colour nor depth images.
        """
        self.path, self.rate_hz, self.depth_scale = Path(path), rate_hz, depth_scale
        self.name = self.path.name
        self._files, self._label_kind = _find_files(self.path)
        if not self._files["rgb"] and not self._files["depth"]:
            raise UserError(
                f"{path} holds no colour or depth images: name them like rgb/0001.png and depth/0001.png, "
                "or 0001_rgb.png and 0001_depth.png"
            )
        named = label_set or VOID_IS_ZERO.get(self._label_kind)
        self.label_set: LabelSet | None = LABEL_SETS[named] if named and self._files["label"] else None
        self._stamps = self._stamp_keys()
        self.camera = self._camera()

    def __iter__(self) -> Iterator[SourceFrame]:
        order = sorted(
            (self._stamps[key], role == "depth", key) for role in ("rgb", "depth") for key in self._files[role]
        )
        last_key, label = None, None
        for stamp, is_depth, key in order:
            if key != last_key:
                last_key, label = key, self._read_label(key)
            if is_depth:
                yield SourceFrame(Sensor.DEPTH, stamp, self._read_depth(self._files["depth"][key]), label)
            else:
                yield SourceFrame(Sensor.RGB, stamp, _read(self._files["rgb"][key], cv2.IMREAD_COLOR)[..., ::-1], label)

    def _read_depth(self, path: Path) -> npt.NDArray[np.uint16]:
        depth = _read(path, cv2.IMREAD_UNCHANGED)
        if depth.ndim != 2 or depth.dtype not in (np.uint16, np.float32):
            raise UserError(f"{path} is {depth.dtype} with {depth.ndim} axes: depth images are 16-bit, one channel")
        if self.depth_scale == 1000.0 and depth.dtype == np.uint16:
            return depth
        return np.clip(np.round(depth * (1000.0 / self.depth_scale)), 0, 65535).astype(np.uint16)

    def _read_label(self, key: str) -> npt.NDArray[np.uint8] | None:
        if self.label_set is None or key not in self._files["label"]:
            return None
        label = _read(self._files["label"][key], cv2.IMREAD_UNCHANGED).astype(np.uint8)
        # uint8 arithmetic wraps 0 (void) to 255 (unlabelled), which is the conversion that is wanted
        return label - np.uint8(1) if self._label_kind in VOID_IS_ZERO else label

    def _stamp_keys(self) -> dict[str, int]:
        keys = sorted({*self._files["rgb"], *self._files["depth"]}, key=_natural)
        times = [_as_seconds(key) for key in keys]
        if all(time is not None for time in times):
            return {key: round(time * 1e9) for key, time in zip(keys, times, strict=True) if time is not None}
        return {key: round(i * 1e9 / self.rate_hz) for i, key in enumerate(keys)}

    def _camera(self) -> Camera:
        role = "rgb" if self._files["rgb"] else "depth"
        height, width = _read(next(iter(self._files[role].values())), cv2.IMREAD_UNCHANGED).shape[:2]
        for path in sorted(self.path.glob("*intrinsics*.txt")):
            numbers = np.array(re.findall(r"[-+0-9.eE]+", path.read_text()), float)
            if numbers.size >= 9:
                k = numbers[:9]
                return Camera(width, height, float(k[0]), float(k[4]), float(k[2]), float(k[5]))
        return Camera.default(width, height)


def _find_files(folder: Path) -> tuple[dict[str, dict[str, Path]], str]:
    files: dict[str, dict[str, Path]] = {role: {} for role in ROLES}
    kinds: Counter[str] = Counter()
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES and p.is_file())
    found = [(path, *role) for path in paths if (role := _role(path.relative_to(folder))) is not None]
    # one kind of label only: the finest that is there, so that classes are never mixed
    kinds.update(word for _, role, word, _ in found if role == "label")
    label_kind = next((word for word in ROLES["label"] if kinds[word]), "label")
    for path, name, word, key in found:
        if name != "label" or word == label_kind:
            files[name].setdefault(key, path)
    return files, label_kind


def _role(relative: Path) -> tuple[str, str, str] | None:
    """(role, the word that told it, key that the files of one view share) of an image path, None if it has no role."""
    text = str(relative.with_suffix("")).lower().replace("depth_mm", "depthmm").replace("raw_depth", "rawdepth")
    words = [w for w in re.split(r"[^a-z0-9.]+|\.(?=[a-z])", text) if w]
    for role in ("label", "depth", "rgb"):
        for word in words:
            if word in ROLES[role]:
                rest = [w for w in words if w != word]
                stem = re.split(r"[^a-z0-9.]+|\.(?=[a-z])", relative.stem.lower())
                digits = [w for w in stem if re.fullmatch(r"\d+(\.\d+)?", w)]
                return role, word, digits[-1] if digits else "-".join(rest)
    return None


def _natural(text: str) -> list[tuple[int, float, str]]:
    return [(0, float(p), "") if p[0].isdigit() else (1, 0.0, p) for p in re.findall(r"\d+(?:\.\d+)?|[^\d]+", text)]


def _as_seconds(key: str) -> float | None:
    return float(key) if re.fullmatch(r"\d{6,}\.\d+", key) else None


def _read(path: Path, flags: int) -> npt.NDArray[Any]:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise UserError(f"{path} cannot be read as an image")
    return image

"""Pictures of one moment: colour, depth and labels side by side under a bar that names the mode."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED, Mode
from rgbd_seg_ros.core.label_sets import LabelSet

Picture = npt.NDArray[np.uint8]

PANEL = (400, 300)
"""Width and height of one image."""
LEGEND_WIDTH = 160
HEADER_HEIGHT = 44
MODE_RGB = {
    Mode.FUSION: (42, 157, 78),
    Mode.RGB: (47, 127, 209),
    Mode.DEPTH: (224, 138, 30),
    Mode.NONE: (196, 52, 45),
}
MODE_TEXT = {
    Mode.FUSION: "FUSION: colour and depth",
    Mode.RGB: "COLOUR ONLY",
    Mode.DEPTH: "DEPTH ONLY",
    Mode.NONE: "NO SENSOR",
}
FONT = cv2.FONT_HERSHEY_SIMPLEX
INVALID_DEPTH = 65535


@dataclass(frozen=True, slots=True)
class Moment:
    """What is on the screen at one time.

    Attributes:
        time_s: of the play.
        rgb, depth: the images that the node was sent last; None when the stream has gone silent.
        label: the newest label image; None when there is none of late.
        mode: the mode at this time.
        faults: text for colour and depth, empty for a healthy stream.
        reason: why this mode, one phrase.
    """

    time_s: float
    rgb: npt.NDArray[np.generic] | None
    depth: npt.NDArray[np.generic] | None
    label: Picture | None
    mode: Mode
    faults: tuple[str, str]
    reason: str = ""


def color_depth(depth: npt.NDArray[np.generic], near_m: float = 0.4, far_m: float = 6.0) -> Picture:
    """Depth (uint16 millimetres or float32 metres) as colours from near (red) to far (blue), missing pixels black."""
    metres = depth.astype(np.float32)
    valid = np.isfinite(metres) & (metres > 0)
    if depth.dtype == np.uint16:
        valid &= depth != INVALID_DEPTH
        metres *= 0.001
    level = np.clip((far_m - np.where(valid, metres, far_m)) / (far_m - near_m), 0, 1)
    shades = (30 + 200 * level).astype(np.uint8)
    colored: Picture = np.asarray(cv2.applyColorMap(shades, cv2.COLORMAP_TURBO), np.uint8)[..., ::-1].copy()
    colored[~valid] = 0
    return colored


def color_labels(label: Picture, label_set: LabelSet) -> Picture:
    """Class colours; unlabelled pixels black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(label_set.colors)] = label_set.colors
    table[UNLABELLED] = 0
    return table[label]


def compose(moment: Moment, label_set: LabelSet) -> Picture:
    """The picture of a moment, RGB, height and width even."""
    depth = None if moment.depth is None else color_depth(moment.depth)
    labels = None if moment.label is None else color_labels(moment.label, label_set)
    body = np.hstack(
        [
            _panel(moment.rgb, "colour", moment.faults[0]),
            _panel(depth, "depth", moment.faults[1]),
            _panel(labels, "labels", "", sharp=True),
            legend(label_set),
        ]
    )
    return np.vstack([_header(moment, body.shape[1]), body])


def legend(label_set: LabelSet, height: int = PANEL[1]) -> Picture:
    """Names and colours of the classes in a column."""
    picture = np.full((height, LEGEND_WIDTH, 3), 24, np.uint8)
    step = min(22.0, (height - 8) / len(label_set.classes))
    for number, (name, color) in enumerate(zip(label_set.classes, label_set.colors, strict=True)):
        top = round(6 + number * step)
        cv2.rectangle(picture, (10, top), (26, top + max(2, round(step) - 6)), color, -1)
        _text(picture, name.replace("_", " "), (34, top + round(step) - 7), 0.42)
    return picture


def _panel(image: npt.NDArray[np.generic] | None, name: str, fault: str, sharp: bool = False) -> Picture:
    width, height = PANEL
    if image is None:
        panel = np.full((height, width, 3), 40, np.uint8)
        _text(panel, "no signal" if name != "labels" else "no label", (width // 2 - 48, height // 2), 0.7)
    else:
        method = cv2.INTER_NEAREST if sharp else cv2.INTER_AREA
        panel = np.ascontiguousarray(cv2.resize(np.asarray(image, np.uint8), PANEL, interpolation=method))
    _tag(panel, name, (8, 22), (0, 0, 0))
    if fault:
        _tag(panel, f"fault: {fault}", (8, height - 12), (196, 52, 45))
        cv2.rectangle(panel, (1, 1), (width - 2, height - 2), (196, 52, 45), 3)
    return panel


def _header(moment: Moment, width: int) -> Picture:
    bar = np.empty((HEADER_HEIGHT, width, 3), np.uint8)
    bar[:] = MODE_RGB[moment.mode]
    _text(bar, MODE_TEXT[moment.mode], (14, 30), 0.8, 2)
    if moment.reason:
        _text(bar, moment.reason, (420, 28), 0.5)
    _text(bar, f"{moment.time_s:5.2f} s", (width - 100, 29), 0.65)
    return bar


def _tag(panel: Picture, text: str, origin: tuple[int, int], color: tuple[int, int, int]) -> None:
    (width, height), _ = cv2.getTextSize(text, FONT, 0.5, 1)
    cv2.rectangle(panel, (origin[0] - 4, origin[1] - height - 5), (origin[0] + width + 4, origin[1] + 5), color, -1)
    _text(panel, text, origin, 0.5)


def _text(picture: Picture, text: str, origin: tuple[int, int], scale: float, thickness: int = 1) -> None:
    cv2.putText(picture, text, origin, FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)

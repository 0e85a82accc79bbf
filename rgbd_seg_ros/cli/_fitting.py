"""A play that is repeated with smaller networks where the machine cannot keep up with those of the bundle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rgbd_seg_ros.evaluation.report import overload
from rgbd_seg_ros.inference.manifest import DYNAMIC_STEP, Manifest

Size = tuple[int, int]
SMALLEST_SIDE = 2 * DYNAMIC_STEP


def play_until_it_fits(
    play: Callable[[Size | None], dict[str, Any]], manifest: Manifest, say: Callable[[str], None]
) -> dict[str, Any]:
    """Plays, and plays again with smaller networks while frames are lost to overload.

    Args:
        play: plays once with networks of a size (height, width), None for the bundle's own, and gives the report
            (`evaluation.report.build_report`).
        manifest: of the bundle.
        say: tells people why it is played again.

    Returns:
        The last report. `network_size` is the size that it was played with as HxW, `too_large` has the sizes before
        it, each with the number of frames that were dropped as overload.
    """
    own = (manifest.height, manifest.width)
    size: Size | None = None
    too_large: list[dict[str, Any]] = []
    while True:
        report = play(size)
        played = size or own
        report |= {"network_size": as_text(played), "too_large": list(too_large)}
        dropped = overload(report)
        size = smaller(played, own) if manifest.dynamic and dropped and not report["passed"] else None
        if size is None:
            return report
        too_large.append({"network_size": as_text(played), "overload": dropped})
        say(
            f"{dropped} frames were dropped as overload: this machine is too slow for networks of {as_text(played)} at "
            f"this rate beside all else; playing again with {as_text(size)}"
        )


def smaller(size: Size, shape: Size) -> Size | None:
    """The largest size (height, width) of about this shape with at most half the pixels of `size`, if there is one.

    Both sides are what a dynamic bundle takes: multiples of `DYNAMIC_STEP` from `SMALLEST_SIDE` on.
    """
    for height in range(size[0] // DYNAMIC_STEP * DYNAMIC_STEP, SMALLEST_SIDE - 1, -DYNAMIC_STEP):
        width = max(SMALLEST_SIDE, round(height * shape[1] / shape[0] / DYNAMIC_STEP) * DYNAMIC_STEP)
        if 2 * height * width <= size[0] * size[1]:
            return height, width
    return None


def as_text(size: Size) -> str:
    """A size as the parameter `network_size` wants it: HxW."""
    return "{}x{}".format(*size)

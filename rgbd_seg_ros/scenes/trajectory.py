"""Smooth camera motion through free space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from rgbd_seg_ros.scenes.camera import Pose

Points = npt.NDArray[np.float64]
SMOOTHING_S = 0.8
"""Standard deviation of the Gaussian that rounds the corners of the walk, seconds."""
MAX_TURN = 0.7
"""Fastest turn between two way points, radians per second."""


def _way_points(draw: Callable[[], Points], is_free: Callable[[Points], bool], distance: float) -> Points:
    """Points joined by straight free lines, until they are `distance` metres long together."""
    points, total, tries = [draw()], 0.0, 0
    while total < distance and tries < 400:
        tries += 1
        candidate = draw()
        step = float(np.linalg.norm(candidate - points[-1]))
        if step < 0.3:
            continue
        line = np.linspace(points[-1], candidate, max(3, int(step / 0.1)))
        if is_free(line):
            points.append(candidate)
            total += step
    return np.array(points)


def smooth_walk(
    draw: Callable[[], Points],
    is_free: Callable[[Points], bool],
    best_yaw: Callable[[Points, float], float],
    count: int,
    rate_hz: float,
    height: float,
    rng: np.random.Generator,
) -> list[Pose]:
    """`count` poses at `rate_hz` along a smoothed random walk.

    Args:
        draw: a random free point (x, y).
        is_free: whether a camera fits at all of several points (N x 2).
        best_yaw: the best heading at a point, near a given heading.
        count, rate_hz: number of poses, and per second.
        height: metres above the floor.
    """
    speed = rng.uniform(0.2, 0.5)
    way = _way_points(draw, is_free, speed * count / rate_hz)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    travelled = np.minimum(np.arange(count) * speed / rate_hz, length[-1])
    path = np.stack([np.interp(travelled, length, way[:, i]) for i in (0, 1)], axis=1)
    sigma = SMOOTHING_S * rate_hz
    smooth = gaussian_filter1d(path, sigma, axis=0, mode="nearest")
    # Rounding a corner may clip an obstacle: halve the rounding until it does not.
    while not is_free(smooth) and sigma > 1:
        sigma /= 2
        smooth = gaussian_filter1d(path, sigma, axis=0, mode="nearest")
    yaw = gaussian_filter1d(
        _headings(way, length, travelled, best_yaw, rng, speed), SMOOTHING_S * rate_hz, mode="nearest"
    )
    time = np.arange(count) / rate_hz
    pitch = rng.uniform(-0.4, -0.12) + 0.08 * np.sin(0.5 * time + rng.uniform(0, 6))
    bob = height + 0.015 * np.sin(2 * np.pi * 0.9 * time)
    roll = 0.015 * np.sin(0.7 * time + 1)
    return [
        Pose.looking((x, y, z), float(a), float(p), float(r))
        for (x, y), z, a, p, r in zip(smooth, bob, yaw, pitch, roll, strict=True)
    ]


def _headings(
    way: Points, length: Points, travelled: Points, best_yaw: Callable[[Points, float], float],
    rng: np.random.Generator, speed: float,
) -> Points:  # fmt: skip
    """Heading per frame: the best view at each way point, reached with a bounded turn rate."""
    yaws = [best_yaw(way[0], float(rng.uniform(-np.pi, np.pi)))]
    for i in range(1, len(way)):
        most = MAX_TURN * (length[i] - length[i - 1]) / speed
        wanted = best_yaw(way[i], yaws[-1])
        yaws.append(yaws[-1] + float(np.clip(wanted - yaws[-1], -most, most)))
    return np.interp(travelled, length, yaws)

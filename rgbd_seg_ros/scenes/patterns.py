"""Tileable grey patterns (wood, brick, cloth, ...) and their mip pyramids: the alphabet of all materials.

A material mixes colours by such a pattern. All patterns are drawn once per process from a fixed seed; variety comes
from colours, scale, rotation and a second pattern laid over the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import irfft2, rfft2

Array = npt.NDArray[np.float32]
Maker = Callable[[np.random.Generator], Array]

SIZE = 256
"""Side of a pattern in texels."""
_SEED = 20231
_VARIANTS = 8


def unit_grid() -> tuple[Array, Array]:
    """Texel coordinates u (along columns) and v (along rows) in 0..1."""
    line = (np.arange(SIZE, dtype=np.float32) + 0.5) / SIZE
    u, v = np.meshgrid(line, line)
    return u.astype(np.float32), v.astype(np.float32)


def _stretch(image: npt.NDArray[Any]) -> Array:
    low, high = np.percentile(image, (1, 99))
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def fractal(rng: np.random.Generator, slope: float = 1.5, stretch: tuple[float, float] = (1.0, 1.0)) -> Array:
    """Periodic noise with amplitude 1/frequency^slope; `stretch` compresses frequencies along (u, v)."""
    across = np.arange(SIZE // 2 + 1, dtype=np.float32)[None] / stretch[0]
    down = (np.fft.fftfreq(SIZE).astype(np.float32) * SIZE)[:, None] / stretch[1]
    gain = np.maximum(np.hypot(across, down), 1.0) ** -slope
    gain[0, 0] = 0
    spectrum = rfft2(rng.standard_normal((SIZE, SIZE), dtype=np.float32)) * gain
    return _stretch(irfft2(spectrum, (SIZE, SIZE)))


def _noise(rng: np.random.Generator) -> Array:
    return fractal(rng, rng.uniform(1.0, 2.2))


def _wood(rng: np.random.Generator) -> Array:
    _, v = unit_grid()
    rings = int(rng.integers(3, 9))
    warp = fractal(rng, 1.8, (0.3, 1.0))
    grain = fractal(rng, 0.9, (0.08, 1.0))
    bands = 0.5 + 0.5 * np.sin(2 * np.pi * (rings * v + rng.uniform(1, 3) * warp))
    return _stretch(bands.astype(np.float32) * rng.uniform(0.3, 0.8) + grain)


def _planks(rng: np.random.Generator) -> Array:
    rows = int(rng.choice([4, 8, 16]))
    height = SIZE // rows
    grain = fractal(rng, 0.9, (0.08, 1.0))
    out = np.empty((SIZE, SIZE), np.float32)
    for row in range(rows):
        cut, length = int(rng.integers(SIZE)), int(rng.integers(SIZE // 2, SIZE))
        tone = np.full(SIZE, rng.uniform(0.2, 0.9), np.float32)
        tone[:length] = rng.uniform(0.2, 0.9)
        tone[0] = tone[length - 1] = 0.0
        band = slice(row * height, (row + 1) * height)
        out[band] = 0.65 * np.roll(tone, cut) + 0.35 * np.roll(grain[band], int(rng.integers(SIZE)), axis=1)
        out[row * height] = 0.0
    return out


def _bricks(rng: np.random.Generator) -> Array:
    rows = int(rng.choice([4, 8]))
    columns = int(rng.choice([2, 4]))
    u, v = unit_grid()
    row = np.floor(v * rows)
    x = u * columns + 0.5 * (row % 2)
    tone = rng.uniform(0.4, 1.0, (rows, columns)).astype(np.float32)
    out = tone[row.astype(int), np.floor(x).astype(int) % columns]
    joint = rng.uniform(0.03, 0.08)
    edge = (np.minimum(x % 1, 1 - x % 1) < joint) | (np.minimum(v * rows % 1, 1 - v * rows % 1) < 1.6 * joint)
    return np.where(edge, 0.0, 0.8 * out + 0.2 * fractal(rng, 0.8)).astype(np.float32)


def _tiles(rng: np.random.Generator) -> Array:
    count = int(rng.choice([2, 4, 8]))
    u, v = unit_grid()
    tone = rng.uniform(rng.uniform(0.4, 0.9), 1.0, (count, count)).astype(np.float32)
    out = tone[np.floor(v * count).astype(int), np.floor(u * count).astype(int)]
    out = out * (0.75 + 0.25 * fractal(rng, 1.5))
    joint = rng.uniform(0.015, 0.05)
    near = np.minimum(np.minimum(u * count % 1, 1 - u * count % 1), np.minimum(v * count % 1, 1 - v * count % 1))
    return np.where(near < joint, 0.0, out).astype(np.float32)


def _checker(rng: np.random.Generator) -> Array:
    count = int(rng.choice([2, 4, 8]))
    u, v = unit_grid()
    board = (np.floor(u * count) + np.floor(v * count)) % 2
    return (0.85 * board + 0.15 * fractal(rng, 1.0)).astype(np.float32)


def _stripes(rng: np.random.Generator) -> Array:
    u, _ = unit_grid()
    cuts = np.sort(rng.uniform(0, 1, int(rng.integers(3, 10))))
    tone = rng.uniform(0, 1, len(cuts) + 1)
    tone[-1] = tone[0]
    repeat = int(rng.choice([1, 2, 4]))
    return tone[np.searchsorted(cuts, u * repeat % 1)].astype(np.float32)


def _weave(rng: np.random.Generator) -> Array:
    u, v = unit_grid()
    count = int(rng.choice([16, 32, 48]))
    cloth = np.sin(2 * np.pi * count * u) * np.sin(2 * np.pi * count * v)
    return _stretch(cloth.astype(np.float32) + 3 * fractal(rng, 1.0))


def _plaid(rng: np.random.Generator) -> Array:
    across = _stripes(rng)
    return (0.5 * across + 0.5 * across.T).astype(np.float32)


def _blots(rng: np.random.Generator) -> Array:
    """Flower-like print: thresholded noise in two tones."""
    noise = fractal(rng, rng.uniform(1.2, 2.0))
    level = rng.uniform(0.35, 0.6)
    soft = rng.uniform(0.01, 0.06)
    return np.clip((noise - level) / soft + 0.5, 0, 1).astype(np.float32)


def _marble(rng: np.random.Generator) -> Array:
    u, v = unit_grid()
    warp = fractal(rng, 1.6)
    veins = np.abs(np.sin(np.pi * (rng.integers(1, 4) * u + rng.integers(0, 3) * v + rng.uniform(1, 4) * warp)))
    return (veins ** rng.uniform(0.2, 0.7)).astype(np.float32)


def _cells(rng: np.random.Generator) -> Array:
    """Pebbles, leather or leaves: distance to the nearest of random points on a torus."""
    points = rng.uniform(0, SIZE, (int(rng.choice([30, 80, 200])), 2))
    seeds = np.full((3 * SIZE, 3 * SIZE), 255, np.uint8)
    for dv in range(3):
        for du in range(3):
            at = (points + np.array([dv, du]) * SIZE).astype(int)
            seeds[np.minimum(at[:, 0], 3 * SIZE - 1), np.minimum(at[:, 1], 3 * SIZE - 1)] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 5)[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    return 1 - _stretch(distance)


def _dots(rng: np.random.Generator) -> Array:
    u, v = unit_grid()
    count = int(rng.choice([4, 8, 16]))
    row = np.floor(v * count)
    x, y = (u * count + 0.5 * (row % 2)) % 1 - 0.5, v * count % 1 - 0.5
    return (np.hypot(x, y) < rng.uniform(0.15, 0.4)).astype(np.float32)


def _shag(rng: np.random.Generator) -> Array:
    """Carpet: fine grain over broad shading."""
    return _stretch(fractal(rng, 0.5) + rng.uniform(0.5, 1.5) * fractal(rng, 1.8))


MAKERS: dict[str, Maker] = {
    "noise": _noise,
    "wood": _wood,
    "planks": _planks,
    "bricks": _bricks,
    "tiles": _tiles,
    "checker": _checker,
    "stripes": _stripes,
    "weave": _weave,
    "plaid": _plaid,
    "blots": _blots,
    "marble": _marble,
    "cells": _cells,
    "dots": _dots,
    "shag": _shag,
}
"""Every kind of pattern; each exists in several variants."""


def pattern_index(kind: str, rng: np.random.Generator) -> int:
    """Index of a random variant of a kind in the bank."""
    return list(MAKERS).index(kind) * _VARIANTS + int(rng.integers(_VARIANTS))


@dataclass(frozen=True, slots=True)
class MipBank:
    """Square tileable images with mip levels in one flat table, for one gather per look-up.

    Attributes:
        texels: (sum over levels of images * side^2) [x channels], float32, linear.
        starts: offset of each level in `texels`; level 0 has side `side`, level k has side >> k.
        side: side of level 0, a power of two.
    """

    texels: Array = field(repr=False)
    starts: npt.NDArray[np.int64]
    side: int

    @classmethod
    def from_images(cls, images: list[Array]) -> MipBank:
        """Bank of equally large square images (side a power of two)."""
        level = np.stack(images)
        side = level.shape[1]
        channels = level.shape[3:]
        flat, starts, total = [], [], 0
        while True:
            rows = level.reshape(-1, *channels)
            flat.append(rows)
            starts.append(total)
            total += len(rows)
            if level.shape[1] == 1:
                break
            half = level.shape[1] // 2
            level = level.reshape(len(images), half, 2, half, 2, *channels).mean(axis=(2, 4)).astype(np.float32)
        return cls(np.concatenate(flat), np.array(starts, np.int64), side)

    def look_up(self, image: npt.NDArray[np.int64], u: Array, v: Array, footprint: Array) -> Array:
        """Texels of `image` (N) at (u, v) (N, tiles; wrapped) for a pixel that covers `footprint` (N) of a tile."""
        level = np.log2(np.maximum(footprint * self.side, 1.0)).astype(np.int32)
        np.minimum(level, len(self.starts) - 1, out=level)
        side = np.right_shift(self.side, level)
        column = np.floor(u * side).astype(np.int32) & (side - 1)
        row = np.floor(v * side).astype(np.int32) & (side - 1)
        index = self.starts[level] + (image * side + row) * side + column
        return self.texels[index]


@lru_cache(maxsize=1)
def pattern_bank() -> MipBank:
    """The bank of all patterns, drawn once per process."""
    rng = np.random.default_rng(_SEED)
    return MipBank.from_images([make(rng) for make in MAKERS.values() for _ in range(_VARIANTS)])

"""Colour and depth disturbances of an augmented image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
# Hue is a rotation of the colour plane of YIQ.
_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32)
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ).astype(np.float32)


def _around_one(amount: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(max(0.0, 1.0 - amount), 1.0 + amount))


@dataclass(frozen=True, slots=True)
class ColorJitter:
    """Disturbances of colour; every amount 0 turns its part off.

    Attributes:
        brightness, contrast, saturation: factors are drawn from 1 - amount .. 1 + amount.
        hue: largest rotation as a share of the full circle.
        noise: largest standard deviation of additive noise, 0..255.
        blur: probability of a Gaussian blur of 0.3 to 1.2 pixels.
        grey: probability of losing all colour.
    """

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    hue: float = 0.03
    noise: float = 4.0
    blur: float = 0.15
    grey: float = 0.0

    def _matrix(self, mean: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """All linear parts as one 3 x 4 matrix, which costs one pass over the image."""
        turn = float(rng.uniform(-self.hue, self.hue)) * 2 * np.pi
        rotation = np.eye(3, dtype=np.float32)
        rotation[1:, 1:] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        saturation = 0.0 if rng.random() < self.grey else _around_one(self.saturation, rng)
        mix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * np.tile(_GREY, (3, 1))
        gain, contrast = _around_one(self.brightness, rng), _around_one(self.contrast, rng)
        linear = gain * contrast * (mix @ _YIQ_TO_RGB @ rotation @ _RGB_TO_YIQ)
        offset = np.full((3, 1), gain * (1 - contrast) * mean)
        return np.hstack([linear, offset]).astype(np.float32)

    def apply(self, rgb: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """A disturbed copy of a uint8 H x W x 3 image."""
        mean = float(rgb[::4, ::4].mean())
        image = cv2.transform(rgb, self._matrix(mean, rng))
        if rng.random() < self.blur:
            image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.2)))
        deviation = float(rng.uniform(0, self.noise))
        if deviation > 0.5:
            image = cv2.add(image, _noise(image.shape, np.dtype(np.int16), deviation, rng), dtype=cv2.CV_8U)
        return image.astype(np.uint8, copy=False)


def _noise(
    shape: tuple[int, ...], dtype: np.dtype[Any], deviation: float, rng: np.random.Generator
) -> npt.NDArray[Any]:
    # cv2's generator is several times faster than numpy's; its seed is drawn so that the result stays reproducible.
    # One channel: for several, cv2 would want one mean and deviation for each.
    noise: npt.NDArray[Any] = np.empty((shape[0], int(np.prod(shape[1:]))), dtype)
    cv2.setRNGSeed(int(rng.integers(1 << 31)))
    cv2.randn(noise, np.zeros(1), np.full(1, deviation))
    return noise.reshape(shape)


@dataclass(frozen=True, slots=True)
class DepthJitter:
    """Disturbances of depth; every amount 0 turns its part off.

    Attributes:
        scale: all distances are multiplied by a factor from 1 - scale .. 1 + scale.
        noise: largest relative noise of a distance at 1 m; it grows with distance, as for structured light and stereo.
        holes: largest number of holes.
        hole_size: largest side of a hole as a share of the image.
    """

    scale: float = 0.05
    noise: float = 0.002
    holes: int = 4
    hole_size: float = 0.2

    def apply(self, metres: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """A disturbed copy of a float32 H x W depth image in metres; missing pixels (0) stay missing."""
        depth = metres * np.float32(_around_one(self.scale, rng))
        deviation = float(rng.uniform(0, self.noise))
        if deviation > 0:
            noise = _noise(depth.shape, depth.dtype, deviation, rng)
            # Never through zero: a measured pixel stays measured.
            depth += np.clip(noise * depth, -0.5, 0.5) * depth
            np.maximum(depth, 0, out=depth)
        height, width = depth.shape
        for _ in range(int(rng.integers(self.holes + 1))):
            tall, wide = (int(rng.integers(1, max(2, int(n * self.hole_size)))) for n in (height, width))
            row, column = int(rng.integers(height)), int(rng.integers(width))
            cv2.ellipse(
                depth,
                (column, row),
                (max(1, wide // 2), max(1, tall // 2)),
                float(rng.uniform(0, 180)),
                0,
                360,
                0.0,
                -1,
            )
        return depth

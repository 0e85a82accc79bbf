"""Colour images that hang on walls, shine on screens and lie behind windows, drawn once per process."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.patterns import MipBank, fractal

Array = npt.NDArray[np.float32]

SIDE = 128
PICTURES = 64
VIEWS = 24
SCREENS = 16
_SEED = 977


def _random_color(rng: np.random.Generator) -> Array:
    return (rng.uniform(0, 1, 3) ** 1.5).astype(np.float32)


def _gradient(rng: np.random.Generator, top: Array, bottom: Array) -> Array:
    t = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None] ** rng.uniform(0.5, 2)
    return np.broadcast_to((1 - t) * top + t * bottom, (SIDE, SIDE, 3)).copy()


def _noise(rng: np.random.Generator, slope: float) -> Array:
    return np.asarray(cv2.resize(fractal(rng, slope), (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def _landscape(rng: np.random.Generator, sky_gain: float = 1.0) -> Array:
    """Sky over one to four ridges; row 0 is the top."""
    sky = np.array([0.45, 0.62, 0.9], np.float32) * rng.uniform(0.7, 1.3) * sky_gain
    image = _gradient(rng, sky, np.array([0.9, 0.9, 0.9], np.float32) * sky_gain)
    columns = np.arange(SIDE)
    for depth in np.sort(rng.uniform(0.3, 0.9, int(rng.integers(1, 5)))):
        ridge = depth * SIDE + 12 * (_noise(rng, 1.6)[0] - 0.5)
        color = _random_color(rng) * (0.5, 0.9, 0.4) * rng.uniform(0.3, 1)
        below = np.arange(SIDE)[:, None] > ridge[columns][None]
        shade = 0.5 + _noise(rng, 1.0)[..., None]
        image = np.where(below[..., None], color * shade, image)
    return image.astype(np.float32)


def _abstract(rng: np.random.Generator) -> Array:
    image = _gradient(rng, _random_color(rng), _random_color(rng))
    for _ in range(int(rng.integers(2, 14))):
        color = tuple(float(c) for c in _random_color(rng))
        at = tuple(int(c) for c in rng.integers(0, SIDE, 2))
        if rng.random() < 0.5:
            axes = tuple(int(c) for c in rng.integers(4, SIDE // 3, 2))
            cv2.ellipse(image, at, axes, float(rng.uniform(0, 180)), 0, 360, color, -1)
        else:
            to = tuple(int(c) for c in rng.integers(0, SIDE, 2))
            cv2.rectangle(image, at, to, color, -1)
    return image


def _portrait(rng: np.random.Generator) -> Array:
    image = _gradient(rng, _random_color(rng), _random_color(rng)) * (0.4 + 0.6 * _noise(rng, 1.5)[..., None])
    skin = np.array([0.75, 0.5, 0.38]) * rng.uniform(0.3, 1.1)
    cloth, hair = _random_color(rng), _random_color(rng) * 0.4
    x = int(rng.integers(50, 78))
    image = np.ascontiguousarray(image, np.float32)
    cv2.ellipse(image, (x, 130), (42, 45), 0, 0, 360, tuple(map(float, cloth)), -1)
    cv2.ellipse(image, (x, 56), (25, 31), 0, 0, 360, tuple(map(float, hair)), -1)
    cv2.ellipse(image, (x, 62), (19, 25), 0, 0, 360, tuple(map(float, skin)), -1)
    return image


def _print(rng: np.random.Generator) -> Array:
    """A text page, poster or map: dark strokes on a light ground."""
    image = np.full((SIDE, SIDE, 3), rng.uniform(0.6, 0.95), np.float32) * (0.8 + 0.2 * _random_color(rng))
    image = np.ascontiguousarray(image, np.float32)
    ink = tuple(float(c) for c in _random_color(rng) * 0.5)
    for row in range(14, SIDE - 8, int(rng.integers(6, 14))):
        start, end = int(rng.integers(8, 30)), int(rng.integers(60, SIDE - 8))
        cv2.line(image, (start, row), (end, row), ink, int(rng.integers(1, 5)))
    return image


def _mat(rng: np.random.Generator, image: Array) -> Array:
    """A light passe-partout around some pictures."""
    if rng.random() < 0.4:
        edge = int(rng.integers(8, 26))
        paper = rng.uniform(0.6, 0.95)
        small = cv2.resize(image, (SIDE - 2 * edge, SIDE - 2 * edge), interpolation=cv2.INTER_AREA)
        image = np.full((SIDE, SIDE, 3), paper, np.float32)
        image[edge:-edge, edge:-edge] = small
    return image


def _picture(rng: np.random.Generator) -> Array:
    maker = (_landscape, _abstract, _abstract, _portrait, _print)[int(rng.integers(5))]
    return np.clip(_mat(rng, maker(rng)), 0, 1).astype(np.float32)


def _view(rng: np.random.Generator) -> Array:
    """What is seen through a window: a bright, blurred outside."""
    image = _landscape(rng, sky_gain=rng.uniform(1.0, 2.0))
    grey = image.mean(axis=2, keepdims=True)
    image = grey + np.float32(rng.uniform(0.2, 0.8)) * (image - grey)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 5.0))


def _screen(rng: np.random.Generator) -> Array:
    image = (_landscape, _abstract, _portrait)[int(rng.integers(3))](rng) * (0.6, 0.8, 1.0)
    return np.clip(image, 0, 1).astype(np.float32)


@lru_cache(maxsize=1)
def picture_bank() -> MipBank:
    """Pictures, then window views, then screen contents; row 0 of an image is its top."""
    rng = np.random.default_rng(_SEED)
    images = [_picture(rng) for _ in range(PICTURES)]
    images += [_view(rng) for _ in range(VIEWS)]
    images += [_screen(rng) for _ in range(SCREENS)]
    return MipBank.from_images([np.ascontiguousarray(i, np.float32) for i in images])


def picture_index(kind: str, rng: np.random.Generator) -> int:
    """Random image of a kind (`picture`, `view` or `screen`) in the bank."""
    first, count = {"picture": (0, PICTURES), "view": (PICTURES, VIEWS), "screen": (PICTURES + VIEWS, SCREENS)}[kind]
    return first + int(rng.integers(count))

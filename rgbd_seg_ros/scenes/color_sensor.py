"""A colour camera: exposure, white balance, vignetting, blur, noise and compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.frame import RenderedFrame
from rgbd_seg_ros.scenes.render import exposure_of, to_srgb

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ColorSensor:
    """Parameters of one camera; lengths are fractions of the image width so that they hold at any size.

    Attributes:
        exposure: gain over the automatic exposure.
        balance: gains of red, green, blue.
        contrast: exponent on linear light (1 = none).
        saturation: 0 = grey, 1 = unchanged.
        vignetting: loss of light in the corners, 0..1.
        blur: standard deviation, fraction of the width.
        shot_noise, read_noise: standard deviations at full scale, and constant, in linear light.
        jpeg_quality: 0 = no compression.
    """

    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    vignetting: float = 0.1
    blur: float = 0.0015
    shot_noise: float = 0.01
    read_noise: float = 0.002
    jpeg_quality: int = 0

    @classmethod
    def random(cls, rng: np.random.Generator) -> ColorSensor:
        """A camera drawn at random, from good to poor."""
        warm, green = rng.normal(0, 0.09), rng.normal(0, 0.03)
        return cls(
            exposure=float(np.exp(rng.normal(0.15, 0.4))),
            balance=(float(np.exp(warm)), float(np.exp(green)), float(np.exp(-warm))),
            contrast=float(np.exp(rng.normal(0.0, 0.12))),
            saturation=float(rng.uniform(0.6, 1.2)),
            vignetting=float(rng.uniform(0, 0.4)),
            blur=float(rng.uniform(0.0, 0.0035)),
            shot_noise=float(rng.uniform(0.0, 0.03)),
            read_noise=float(rng.uniform(0.0, 0.004)),
            jpeg_quality=int(rng.integers(40, 96)) if rng.random() < 0.4 else 0,
        )

    def apply(self, frame: RenderedFrame, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """The image (uint8 H x W x 3) that this camera takes of an ideal view.

        Raises:
            ValueError: `frame` has no surface quantities (sensors were applied already).
        """
        if frame.surface is None:
            raise ValueError("the colour sensor needs an ideal view: render the scene again")
        height, width = frame.label.shape
        radiance = frame.surface.radiance
        gains = np.array(self.balance, np.float32) * np.float32(self.exposure * exposure_of(radiance))
        light = radiance * gains
        light *= self._vignette(height, width)[..., None]
        if self.blur * width > 0.2:
            light = cv2.GaussianBlur(light, (0, 0), self.blur * width)
        if self.saturation != 1.0:
            grey = light.mean(axis=2, keepdims=True)
            light = grey + np.float32(self.saturation) * (light - grey)
        light = np.clip(light, 0, 1)
        noise = rng.standard_normal(light.shape, dtype=np.float32)
        light += noise * np.sqrt(np.float32(self.shot_noise**2) * light + np.float32(self.read_noise**2))
        if self.contrast != 1.0:
            light = 0.2 * (np.maximum(light, 0) / 0.2) ** np.float32(self.contrast)
        return self._compressed(to_srgb(light))

    def _vignette(self, height: int, width: int) -> Array:
        x = np.linspace(-1, 1, width, dtype=np.float32)
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        return (1 - self.vignetting * (x * x + y * y) / 2).astype(np.float32)

    def _compressed(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self.jpeg_quality == 0:
            return image
        _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(decoded[..., ::-1])

"""An active depth camera (structured light or time of flight): noise, quantisation, holes and range limits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.frame import RenderedFrame

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DepthSensor:
    """Parameters of one depth camera; lengths in pixels refer to an image 320 pixels wide.

    Attributes:
        noise: standard deviation at 1 m, metres; grows with the square of the range.
        relative: further noise in proportion to the range (laser scanners, photogrammetry).
        step: quantisation at 1 m, metres; grows with the square of the range (disparity steps).
        near, far: range limits, metres.
        baseline: metres between projector and camera: the width of the shadow beside near objects; sign = side.
        edge: how far depth edges erode, pixels.
        dark: infrared return below which a surface vanishes at 3 m (return falls with the square of the range).
        grazing: cosine of incidence below which a surface vanishes.
        speckle: share of the surface lost in small blots.
        border: share of the width and height without data along the image border.
    """

    noise: float = 0.0015
    step: float = 0.0028
    near: float = 0.4
    far: float = 8.0
    baseline: float = 0.075
    edge: float = 1.0
    dark: float = 0.08
    grazing: float = 0.12
    speckle: float = 0.01
    border: float = 0.0
    relative: float = 0.0

    @classmethod
    def surveyor(cls, rng: np.random.Generator) -> DepthSensor:
        """Heights from overlapping aerial photographs: decimetres of noise, ragged edges, a few gaps."""
        return cls(
            0.0, 0.0, 1.0, 2000.0, 0.0, float(rng.uniform(0, 1.0)), 0.0, 0.0,
            speckle=float(rng.uniform(0, 0.03)), relative=float(rng.uniform(0.0002, 0.0012)),
        )  # fmt: skip

    @classmethod
    def long_range(cls, rng: np.random.Generator) -> DepthSensor:
        """Outdoor depth up to 1250 m, as simulators and stereo deliver it."""
        return cls(
            0.0, 0.0, 0.5, 1250.0, 0.0, float(rng.uniform(0, 0.8)), 0.0, 0.0,
            speckle=float(rng.uniform(0, 0.02)), relative=float(rng.uniform(0.0, 0.02)),
        )  # fmt: skip

    @classmethod
    def random(cls, rng: np.random.Generator, near: float = 0.4, far: float = 8.0) -> DepthSensor:
        """An indoor depth camera drawn at random: from a renderer's ideal depth to a poor Kinect."""
        if rng.random() < 0.1:
            return cls(0.0, 0.0, near, far, 0.0, 0.0, 0.0, 0.0, 0.0)
        return cls(
            noise=float(rng.uniform(0.0005, 0.004)),
            step=float(rng.uniform(0.0, 0.004)),
            near=near * float(rng.uniform(0.8, 1.7)),
            far=far * float(rng.uniform(0.6, 1.1)),
            baseline=float(rng.uniform(0.02, 0.1) * rng.choice([-1, 1])),
            edge=float(rng.uniform(0.3, 1.8)) if rng.random() < 0.7 else 0.0,
            dark=float(rng.uniform(0.03, 0.28)),
            grazing=float(rng.uniform(0.03, 0.25)),
            speckle=float(rng.uniform(0.0, 0.05)),
            border=float(rng.uniform(0.01, 0.07)) if rng.random() < 0.25 else 0.0,
        )

    def apply(self, frame: RenderedFrame, rng: np.random.Generator) -> Array:
        """The depth image (float32 H x W metres, whole millimetres, 0 = none) of an ideal view.

        Raises:
            ValueError: `frame` has no surface quantities (sensors were applied already).
        """
        if frame.surface is None:
            raise ValueError("the depth sensor needs an ideal view: render the scene again")
        height, width = frame.depth.shape
        scale = width / 320
        true = frame.depth
        depth = self._measured(true, scale, rng)
        lost = (true <= 0) | (depth < self.near) | (depth > self.far)
        if self.dark or self.grazing:
            lost |= self._weak(frame, rng)
        if self.baseline:
            lost |= self._shadow(true, frame.camera.fx)
        if self.edge:
            lost |= self._edges(true, scale, rng)
        if self.speckle:
            lost |= _blotches(height, width, 3 * scale, rng) < self.speckle
        if self.border:
            lost |= self._outside(height, width)
        depth[lost] = 0
        return np.rint(depth * 1000).astype(np.float32) / np.float32(1000)

    def _measured(self, true: Array, scale: float, rng: np.random.Generator) -> Array:
        """Noise in disparity, correlated over a few pixels, then rounding to disparity steps."""
        if self.relative:
            return true * (1 + np.float32(self.relative) * rng.standard_normal(true.shape, dtype=np.float32))
        if not self.noise and not self.step:
            return true.copy()
        inverse = 1 / np.maximum(true, 1e-3)
        if self.noise:
            fine = rng.standard_normal(true.shape, dtype=np.float32)
            coarse = cv2.resize(
                rng.standard_normal((true.shape[0] // 3 + 1, true.shape[1] // 3 + 1), dtype=np.float32),
                (true.shape[1], true.shape[0]),
                interpolation=cv2.INTER_LINEAR,
            )
            inverse += np.float32(self.noise) * (0.6 * fine + coarse)
        if self.step:
            inverse = np.rint(inverse / np.float32(self.step)) * np.float32(self.step)
        return (1 / np.maximum(inverse, 1e-3)).astype(np.float32)

    def _weak(self, frame: RenderedFrame, rng: np.random.Generator) -> Mask:
        """Too little light comes back: dark, far, grazing or mirror-like surfaces."""
        surface = frame.surface
        assert surface is not None
        height, width = frame.depth.shape
        cosine = surface.cosine
        straight = 1 - 0.6 * surface.gloss * (1 - cosine)
        returned = surface.infrared * np.sqrt(cosine) * straight * 9 / np.maximum(frame.depth, 0.5) ** 2
        uneven = 0.6 + 0.8 * _blotches(height, width, 5 * width / 320, rng)
        return (returned < self.dark * uneven) | (cosine < self.grazing * uneven)

    def _shadow(self, true: Array, focal: float) -> Mask:
        """Pixels that the projector cannot see because something nearer stands beside them.

        A point at disparity d is hidden if, k pixels towards the projector's side, a point has a disparity larger
        than d + k: a running maximum of (disparity - column) along the row finds all of them at once.
        """
        disparity = np.where(true > 0, focal * abs(self.baseline) / np.maximum(true, 1e-3), 0).astype(np.float32)
        if self.baseline < 0:
            disparity = disparity[:, ::-1]
        column = np.arange(true.shape[1], dtype=np.float32)
        reach = disparity + column
        hidden = np.maximum.accumulate(reach, axis=1) > reach + 1.0
        return hidden[:, ::-1] if self.baseline < 0 else hidden

    def _edges(self, true: Array, scale: float, rng: np.random.Generator) -> Mask:
        """Depth edges crumble, more on one pixel than on the next."""
        size = 2 * max(1, round(self.edge * scale)) + 1
        kernel = np.ones((size, size), np.uint8)
        spread = cv2.dilate(true, kernel) - cv2.erode(true, kernel)
        ragged = _blotches(true.shape[0], true.shape[1], max(1.0, 2 * scale), rng)
        # Small images cannot erode by less than one pixel on each side: there only a share of the pixels goes.
        share = 0.8 * min(1.0, 2 * self.edge * scale / (size - 1))
        return (spread > 0.06 * np.maximum(true, 0.3) * (1 + np.minimum(true, 10) * 0.3)) & (ragged < share)

    def _outside(self, height: int, width: int) -> Mask:
        """The frame without data that registration to the colour camera leaves (NYU: 6 to 8 %)."""
        mask = np.ones((height, width), bool)
        dy, dx = round(self.border * height), round(self.border * width)
        mask[dy : height - dy, dx : width - dx] = False
        return mask


def _blotches(height: int, width: int, size: float, rng: np.random.Generator) -> Array:
    """Uniform noise 0..1 in blots of about `size` pixels."""
    rows, columns = max(2, round(height / size)), max(2, round(width / size))
    coarse = rng.random((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

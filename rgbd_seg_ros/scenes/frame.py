"""What a rendered view consists of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.scenes.camera import Camera


@dataclass(frozen=True, slots=True)
class Surface:
    """Physical quantities per pixel that the sensor models read; all float32.

    Attributes:
        radiance: H x W x 3, linear light towards the camera, arbitrary unit.
        cosine: H x W, cosine between the surface normal and the viewing ray, 0..1.
        infrared: H x W, share of the projector's light that the surface returns, 0..1.
        gloss: H x W, 0 = matt, 1 = mirror.
    """

    radiance: npt.NDArray[np.float32] = field(repr=False)
    cosine: npt.NDArray[np.float32] = field(repr=False)
    infrared: npt.NDArray[np.float32] = field(repr=False)
    gloss: npt.NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RenderedFrame:
    """One registered RGB-D view with its exact labels.

    Attributes:
        rgb: uint8 H x W x 3.
        depth: float32 H x W metres along the optical axis, 0 = no measurement.
        label: uint8 H x W class index, 255 = unlabelled.
        camera: intrinsics with which the view was made.
        surface: inputs of the sensor models; None once sensors were applied.
    """

    rgb: npt.NDArray[np.uint8] = field(repr=False)
    depth: npt.NDArray[np.float32] = field(repr=False)
    label: npt.NDArray[np.uint8] = field(repr=False)
    camera: Camera
    surface: Surface | None = field(default=None, repr=False)

    def sensed(self, rgb: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32]) -> RenderedFrame:
        """The same view as sensors saw it; the physical quantities are dropped."""
        return replace(self, rgb=rgb, depth=depth, surface=None)

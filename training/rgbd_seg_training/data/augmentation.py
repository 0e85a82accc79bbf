"""Augmentation of one sample: coupled (one geometry for all) or decoupled (each modality its own)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import UNLABELLED
from rgbd_seg_ros.datasets.prepared_set import Sample
from rgbd_seg_training.data.geometry import Geometry, GeometryOptions
from rgbd_seg_training.data.photometry import ColorJitter, DepthJitter

PADDING_RGB = (124, 116, 104)
"""Padding of colour, and of HHA, which is normalised alike: the ImageNet mean, which is zero after normalisation."""

Item = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How training samples are disturbed.

    Attributes:
        geometry: size, scales and flip of what is drawn.
        color: disturbance of colour, None for none.
        depth: disturbance of depth, None for none.
        decoupled: draw a geometry of its own for depth; the item then has `label_rgb` and `label_depth`.
        least_overlap: for decoupled geometry, the share of the scene that both views should show (0: any).
    """

    geometry: GeometryOptions
    color: ColorJitter | None = field(default_factory=ColorJitter)
    depth: DepthJitter | None = field(default_factory=DepthJitter)
    decoupled: bool = False
    least_overlap: float = 0.0

    def apply(self, sample: Sample, metres_per_unit: float, rng: np.random.Generator) -> Item:
        """The training item of a sample (keys as `make_item`).

        Each draw has a stream of its own, so that colour looks the same whatever is drawn for depth.
        """
        shared, own, colour, depth = rng.spawn(4)
        first = self.geometry.draw(sample.label.shape[:2], shared)
        second = self.geometry.draw_overlapping(first, self.least_overlap, own) if self.decoupled else first
        item = make_item(sample, metres_per_unit, first, second if self.decoupled else None)
        if self.color:
            item["rgb"] = self.color.apply(item["rgb"].astype(np.uint8, copy=False), colour)
        if self.depth and sample.hha is None:
            item["depth"] = self.depth.apply(item["depth"].astype(np.float32, copy=False), depth)
        return item


def make_item(sample: Sample, metres_per_unit: float, geometry: Geometry, depth_geometry: Geometry | None) -> Item:
    """Warp a sample.

    Args:
        sample: the source images.
        metres_per_unit: scale of its depth.
        geometry: for colour (and for depth, where `depth_geometry` is None).
        depth_geometry: for depth alone: decoupled views.

    Returns:
        `rgb` uint8 H x W x 3, `depth` float32 H x W metres (uint8 H x W x 3 where the sample carries HHA), and
        `label` int64 H x W; decoupled: `label_rgb`, `label_depth` and the maps `matrix_rgb`, `matrix_depth`
        (float32 2 x 3) from output pixels (x, y, 1) to source pixels.
    """
    behind = depth_geometry or geometry
    item: Item = {"rgb": geometry.colour(sample.rgb, PADDING_RGB)}
    if sample.hha is None:
        item["depth"] = behind.nearest(sample.depth, 0).astype(np.float32) * np.float32(metres_per_unit)
    else:
        item["depth"] = behind.nearest(sample.hha, PADDING_RGB)
    label = geometry.nearest(sample.label, UNLABELLED).astype(np.int64)
    if depth_geometry is None:
        return item | {"label": label}
    return item | {
        "label_rgb": label,
        "label_depth": depth_geometry.nearest(sample.label, UNLABELLED).astype(np.int64),
        "matrix_rgb": geometry.matrix(),
        "matrix_depth": depth_geometry.matrix(),
    }

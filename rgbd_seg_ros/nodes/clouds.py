"""Labelled point clouds: x y z rgb label confidence, one point per pixel of the label image."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField

from rgbd_seg_ros.core.frames import Frame
from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.nodes.messages import byte_array, stamp_from_ns

_POINT = np.dtype(
    {
        "names": ["x", "y", "z", "rgb", "label", "confidence"],
        "formats": ["<f4", "<f4", "<f4", "<u4", "u1", "u1"],
        "offsets": [0, 4, 8, 12, 16, 17],
        "itemsize": 20,
    }
)
# rgb is declared as a float by convention of PCL and RViz: its bytes are 0x00RRGGBB.
_FIELDS = [
    PointField(name="x", offset=0, datatype=PointField.FLOAT32, count=1),
    PointField(name="y", offset=4, datatype=PointField.FLOAT32, count=1),
    PointField(name="z", offset=8, datatype=PointField.FLOAT32, count=1),
    PointField(name="rgb", offset=12, datatype=PointField.FLOAT32, count=1),
    PointField(name="label", offset=16, datatype=PointField.UINT8, count=1),
    PointField(name="confidence", offset=17, datatype=PointField.UINT8, count=1),
]
_INVALID_U16 = 65535


class CloudBuilder:
    """Builds organised clouds (height and width of the label image); keeps the ray table and the point buffer."""

    def __init__(self) -> None:
        self._camera: Intrinsics | None = None
        self._ray_x: npt.NDArray[np.float32] = np.empty(0, np.float32)
        self._ray_y: npt.NDArray[np.float32] = np.empty((0, 1), np.float32)
        self._points: npt.NDArray = np.empty((0, 0), _POINT)

    def build(
        self,
        depth: Frame,
        camera: Intrinsics,
        colors: npt.NDArray[np.uint8],
        label: npt.NDArray[np.uint8],
        confidence: npt.NDArray[np.uint8],
    ) -> PointCloud2:
        """The cloud of one label image; its header is left to the caller.

        Args:
            depth: aligned depth; of another size than `label` it is resized by nearest neighbour.
            camera: intrinsics of the label image's camera, of any size of the same picture.
            colors: H x W x 3 RGB, of the size of `label`.
            label: H x W classes.
            confidence: H x W, 0..255.

        Returns:
            Points in the optical frame; those without depth are NaN.
        """
        height, width = label.shape
        self._prepare(camera.resized(width, height))
        z = _metres(depth, width, height)
        points = self._points
        np.multiply(self._ray_x, z, out=points["x"])
        np.multiply(self._ray_y, z, out=points["y"])
        points["z"] = z
        red, green, blue = (colors[..., i].astype(np.uint32) for i in range(3))
        points["rgb"] = red << 16 | green << 8 | blue
        points["label"] = label
        points["confidence"] = confidence
        cloud = PointCloud2(height=height, width=width, fields=_FIELDS, is_bigendian=False, is_dense=False)
        cloud.point_step = _POINT.itemsize
        cloud.row_step = width * _POINT.itemsize
        cloud.data = byte_array(points)
        return cloud

    def _prepare(self, camera: Intrinsics) -> None:
        if camera == self._camera:
            return
        self._camera = camera
        self._ray_x = ((np.arange(camera.width) - camera.cx) / camera.fx).astype(np.float32)
        self._ray_y = ((np.arange(camera.height) - camera.cy) / camera.fy).astype(np.float32)[:, None]
        self._points = np.zeros((camera.height, camera.width), _POINT)


def stamped(cloud: PointCloud2, stamp_ns: int, frame_id: str) -> PointCloud2:
    """The cloud with its header filled in."""
    cloud.header.stamp = stamp_from_ns(stamp_ns)
    cloud.header.frame_id = frame_id
    return cloud


def _metres(depth: Frame, width: int, height: int) -> npt.NDArray[np.float32]:
    image: npt.NDArray = depth.image
    if depth.size != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)
    z = image.astype(np.float32) * np.float32(depth.metres_per_unit)
    missing = ~(z > 0.0) | ~np.isfinite(z)
    if image.dtype == np.uint16:
        missing |= image == _INVALID_U16
    z[missing] = np.nan
    return z

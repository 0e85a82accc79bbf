"""HHA: depth as horizontal disparity, height above ground and angle with gravity (numpy and OpenCV only).

The encoding of Gupta et al. (ECCV 2014), which CMX and PrimKD read in place of depth. Every sum over a window is a
box filter, so that the cost does not depend on the window; the plane of a window is solved in coordinates centred on
its pixel, which keeps the 3 x 3 systems well conditioned.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.errors import UserError

Plane = npt.NDArray[np.float64]

ANGLE_RADIUS = 3
GRAVITY_RADIUS = 10
STRIP_ROWS = 40
PIECE_PIXELS = 1 << 14
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
GRAVITY_STEPS = ((45.0, 5), (15.0, 5))
"""(threshold in degrees, iterations) of the gravity estimate."""


@dataclass(frozen=True, slots=True)
class HhaParts:
    """The quantities behind an HHA image.

    Attributes:
        normals: float32 3 x H x W unit normals, pointing away from the camera; NaN where they are undetermined.
        gravity: direction of gravity in the camera frame, unit length.
        height_cm: float32 H x W height above the lowest point.
        angle_deg: float32 H x W angle between normal and gravity; NaN where the normal is undetermined.
    """

    normals: npt.NDArray[np.float32]
    gravity: npt.NDArray[np.float64]
    height_cm: npt.NDArray[np.float32]
    angle_deg: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Rays:
    """Pixel coordinates relative to the principal point (x: 1 x W, y: H x 1) and focal lengths."""

    x: Plane
    y: Plane
    fx: float
    fy: float


class _WindowSums:
    """Sums over the (2 radius + 1)^2 window of each pixel of some rows, zeros outside the image."""

    def __init__(self, radius: int, rows: slice, height: int) -> None:
        self._side = 2 * radius + 1
        self.source = slice(max(0, rows.start - radius), min(height, rows.stop + radius))
        self._wanted = slice(rows.start - self.source.start, rows.stop - self.source.start)

    def __call__(self, image: Plane) -> Plane:
        side = (self._side, self._side)
        sums = cv2.boxFilter(image, cv2.CV_64F, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(sums[self._wanted], np.float64)


def _strip_normals(
    inverse: Plane, weight: Plane, x: Plane, y: Plane, sums: _WindowSums
) -> tuple[Plane, Plane, Plane, npt.NDArray[np.bool_]]:
    """Slopes a, b and offset c (all times the determinant) of 1/Z = a x + b y + c, and where they are determined.

    Moments are taken about each window's centroid: two unknowns remain and the third follows.
    """
    weight_x, weight_y = weight * x, weight * y
    scale = 1.0 / np.maximum(sums(weight), 1.0)
    sx, sy, sq = sums(weight_x), sums(weight_y), sums(inverse)
    mx, my, mq = sx * scale, sy * scale, sq * scale
    cxx, cxy, cyy = sums(weight_x * x) - sx * mx, sums(weight_x * y) - sx * my, sums(weight_y * y) - sy * my
    cxq, cyq = sums(inverse * x) - sx * mq, sums(inverse * y) - sy * mq
    determinant = cxx * cyy - cxy * cxy
    a = cyy * cxq - cxy * cyq
    b = cxx * cyq - cxy * cxq
    # Coordinates are integers apart from a constant: three pixels that are not in line give at least 1/3.
    return a, b, determinant * mq - a * mx - b * my, determinant > 0.25


def estimate_normals(
    inverse_depth: Plane, valid: npt.NDArray[np.bool_], rays: _Rays, radius: int
) -> npt.NDArray[np.float32]:
    """Normals by least squares of a plane in each window.

    A plane is linear in inverse depth: 1/Z = a x + b y + c with pixel coordinates x, y relative to the principal
    point, and its normal is (a fx, b fy, c).

    Args:
        inverse_depth: float64 H x W, 1/Z, 0 where not valid.
        valid: bool H x W.
        rays: pixel coordinates.
        radius: of the window.

    Returns:
        float32 3 x H x W, z >= 0; NaN where the window does not determine a plane.
    """
    height, width = valid.shape
    weight = valid.astype(np.float64)
    normals = np.empty((3, height, width), np.float32)
    # Strips keep the intermediate sums in the cache, which halves the time.
    for top in range(0, height, STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, height))
        sums = _WindowSums(radius, rows, height)
        a, b, c, determined = _strip_normals(
            inverse_depth[sums.source], weight[sums.source], rays.x, rays.y[sums.source], sums
        )
        a *= rays.fx
        b *= rays.fy
        length = np.sqrt(a * a + b * b + c * c)
        length[~determined | (length == 0)] = np.nan
        scale = 1.0 / np.where(c < 0, -length, length)
        for channel, values in enumerate((a, b, c)):
            np.multiply(values, scale, out=normals[channel, rows], casting="same_kind")
    return normals


def estimate_gravity(normals: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Direction most aligned with floor normals and most orthogonal to wall normals (unit, camera frame).

    Args:
        normals: float32 3 x H x W; NaN is left out.
    """
    # A normal of zero adds nothing to the sums of an iteration.
    known = np.where(np.isnan(normals), np.float32(0), normals).reshape(3, -1)
    # Pieces that stay in the cache over the few passes of an iteration.
    pieces = [known[:, i : i + PIECE_PIXELS] for i in range(0, known.shape[1], PIECE_PIXELS)]
    products = [np.stack([piece[i] * piece[j] for i, j in _PAIRS]) for piece in pieces]
    gravity = np.array([0.0, 1.0, 0.0])
    for degrees, iterations in GRAVITY_STEPS:
        for _ in range(iterations):
            updated = _refine_gravity(gravity, degrees, pieces, products)
            settled = np.allclose(updated, gravity, rtol=0, atol=1e-7)
            gravity = updated
            if settled:
                break
    return gravity


def _refine_gravity(
    gravity: npt.NDArray[np.float64],
    degrees: float,
    pieces: list[npt.NDArray[np.float32]],
    products: list[npt.NDArray[np.float32]],
) -> npt.NDArray[np.float64]:
    """One iteration: the smallest eigenvector of (wall normals - floor normals) as judged by the present direction."""
    floor_from, wall_to = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    direction = gravity.astype(np.float32)
    total = np.zeros(6)
    for piece, product in zip(pieces, products, strict=True):
        along = np.abs(direction @ piece)
        total += product @ ((along < wall_to).astype(np.float32) - (along > floor_from))
    matrix = np.empty((3, 3))
    for (i, j), value in zip(_PAIRS, total, strict=True):
        matrix[i, j] = matrix[j, i] = value
    values, vectors = np.linalg.eigh(matrix)
    # Before a bare wall every direction within it is as good as another: stay next to the present one.
    equal = vectors[:, values - values[0] <= 1e-6 * np.abs(values).max()]
    nearest = equal @ (equal.T @ gravity)
    length = float(np.linalg.norm(nearest))
    return nearest / length if length > 1e-9 else gravity


def _height(z_cm: Plane, rays: _Rays, gravity: npt.NDArray[np.float64]) -> Plane:
    """Height along gravity in centimetres above the lowest point (or 1.3 m below the camera where that is higher)."""
    # The rotation that takes (0, 1, 0) to gravity maps P to R^T P, whose second row is gravity . P.
    height = -z_cm * (gravity[0] * rays.x / rays.fx + gravity[1] * rays.y / rays.fy + gravity[2])
    lowest = float(height.min())
    return height - (-130.0 if lowest > -90.0 else lowest)


def measure(
    depth_m: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_],
    intrinsics: tuple[float, float, float, float],
    first_pixel: int = 1,
) -> HhaParts:
    """Normals, gravity, height and angle of a depth image; arguments as in `encode_hha`."""
    fx, fy, cx, cy = intrinsics
    rows, columns = depth_m.shape
    rays = _Rays(
        np.arange(first_pixel, columns + first_pixel, dtype=np.float64)[None] - cx,
        np.arange(first_pixel, rows + first_pixel, dtype=np.float64)[:, None] - cy,
        fx,
        fy,
    )
    z_cm = depth_m.astype(np.float64) * 100.0
    usable = valid & (z_cm > 0)
    inverse = np.divide(1.0, z_cm, out=np.zeros_like(z_cm), where=usable)
    gravity = estimate_gravity(estimate_normals(inverse, usable, rays, GRAVITY_RADIUS))
    normals = estimate_normals(inverse, usable, rays, ANGLE_RADIUS)
    cosine = np.tensordot(gravity.astype(np.float32), normals, 1)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return HhaParts(normals, gravity, _height(z_cm, rays, gravity).astype(np.float32), angle)


def fill_holes(depth_m: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Give every missing pixel (0) the distance of the nearest measured one; an image without any stays as it is."""
    depth = depth_m.astype(np.float32)
    missing = (depth <= 0).astype(np.uint8)
    if not missing.any() or missing.all():
        return depth
    _, nearest = cv2.distanceTransformWithLabels(missing, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(int(nearest.max()) + 1, np.float32)
    measured = missing == 0
    values[nearest[measured]] = depth[measured]
    return values[nearest]


def encode_hha(
    depth_m: npt.NDArray[np.floating],
    intrinsics: tuple[float, float, float, float],
    valid: npt.NDArray[np.bool_] | None = None,
    first_pixel: int = 1,
) -> npt.NDArray[np.uint8]:
    """HHA image of a depth image.

    Args:
        depth_m: H x W metres. Holes should be filled (see `fill_holes`): a 0 counts as a point at the camera.
        intrinsics: (fx, fy, cx, cy) in pixels.
        valid: bool H x W, where depth was measured (normals use those pixels alone); None takes depth > 0.
        first_pixel: coordinate of the first pixel in the convention of (cx, cy): 1 for the public NYU figures and code,
            0 for ROS camera_info.

    Returns:
        uint8 H x W x 3 = (disparity 31000 / cm, height in cm, angle in degrees + 38), rounded, clipped to 0..255.

    Raises:
        UserError: the image is no H x W depth image, or holds no valid pixel.
    """
    if depth_m.ndim != 2 or (valid is not None and valid.shape != depth_m.shape):
        raise UserError(f"HHA needs one depth image H x W (and a mask of its size), not shape {depth_m.shape}.")
    mask = depth_m > 0 if valid is None else valid
    if not (mask & (depth_m > 0)).any():
        raise UserError("HHA needs depth: this image has no valid pixel.")
    parts = measure(depth_m, mask, intrinsics, first_pixel)
    hha = np.empty((*depth_m.shape, 3), np.uint8)
    disparity = 31000.0 / np.maximum(depth_m.astype(np.float32) * 100.0, 100.0)
    angle = np.where(np.isnan(parts.angle_deg), 0.0, parts.angle_deg + 38.0)
    for channel, values in enumerate((disparity, parts.height_cm, angle)):
        hha[..., channel] = np.clip(np.rint(values), 0, 255)
    return hha

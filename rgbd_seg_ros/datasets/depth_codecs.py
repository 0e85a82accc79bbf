"""How depth files encode distance: every public convention the package reads, in one place.

| codec | file | metres |
|---|---|---|
| `linear` | uint16 (or uint8) | value * metres_per_unit |
| `sunrgbd` | uint16, bits rotated left by 3 | ((v >> 3) \\| (v << 13)) / 1000, clipped to 8 m |
| `float16` | uint16 whose bits are an IEEE half (Mid-Air) | the half |
| `hha` | uint8 H x W x 3 (RGB = disparity, height, angle) | 310 / disparity, as 31000 / centimetres was stored |
| `grey` | uint8 stretched between min_m and max_m | min_m + v / 255 * (max_m - min_m) |

Zero, NaN and infinity are missing in all of them and become 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.errors import UserError

DepthArray = npt.NDArray[np.float32]


def _linear(values: npt.NDArray[np.generic], metres_per_unit: float) -> DepthArray:
    return values.astype(np.float32) * np.float32(metres_per_unit)


def _sunrgbd(values: npt.NDArray[np.generic]) -> DepthArray:
    bits = values.astype(np.uint16)
    millimetres = (bits >> np.uint16(3)) | (bits << np.uint16(13))
    return np.minimum(millimetres.astype(np.float32) / 1000.0, np.float32(8.0))


def _float16(values: npt.NDArray[np.generic]) -> DepthArray:
    return np.ascontiguousarray(values.astype(np.uint16)).view(np.float16).astype(np.float32)


def _hha(values: npt.NDArray[np.generic]) -> DepthArray:
    disparity = values[..., 0].astype(np.float32)
    return np.divide(310.0, disparity, out=np.zeros_like(disparity), where=disparity > 0)


def _grey(values: npt.NDArray[np.generic], min_m: float, max_m: float) -> DepthArray:
    metres = min_m + values.astype(np.float32) / 255.0 * (max_m - min_m)
    return np.where(values == 0, np.float32(0), metres).astype(np.float32)


CODECS = ("linear", "sunrgbd", "float16", "hha", "grey")


def decode_depth(
    values: npt.NDArray[np.generic],
    codec: str = "linear",
    metres_per_unit: float = 0.001,
    min_m: float = 0.0,
    max_m: float = 65.535,
) -> DepthArray:
    """Turn the pixels of a depth file into metres.

    Args:
        values: the file's pixels, H x W (H x W x 3 for `hha`).
        codec: a name of the table above.
        metres_per_unit: for `linear`.
        min_m, max_m: for `grey`.

    Returns:
        float32 H x W, metres, 0 where missing.

    Raises:
        UserError: unknown codec.
    """
    decoders: dict[str, Callable[[], DepthArray]] = {
        "linear": lambda: _linear(values, metres_per_unit),
        "sunrgbd": lambda: _sunrgbd(values),
        "float16": lambda: _float16(values),
        "hha": lambda: _hha(values),
        "grey": lambda: _grey(values, min_m, max_m),
    }
    if codec not in decoders:
        raise UserError(f"Depth codec {codec!r} is unknown: choose one of {', '.join(CODECS)}.")
    metres = decoders[codec]()
    metres[~np.isfinite(metres)] = 0.0
    return metres


def encode_depth(metres: DepthArray, metres_per_unit: float, min_m: float, max_m: float) -> npt.NDArray[np.uint16]:
    """Metres to the uint16 of a prepared set: valid depth clipped to [min_m, max_m], missing stays 0.

    A valid distance never becomes 0: it is stored as at least one unit.
    """
    valid = np.isfinite(metres) & (metres > 0)
    clipped = np.clip(np.where(valid, metres, 0), min_m, max_m)
    units = np.clip(np.rint(clipped / metres_per_unit), 1, 65535)
    return np.where(valid, units, 0).astype(np.uint16)

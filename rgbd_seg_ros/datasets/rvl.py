"""RVL, the run-length and variable-length code of depth images (A. D. Wilson, "Fast Lossless Depth Image
Compression", ISS 2017), decoded with array operations: Python only steps from run to run.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_NIBBLE_SHIFTS = np.arange(28, -1, -4, dtype=np.uint32)


def decode_rvl(data: npt.NDArray[np.uint8], pixels: int) -> npt.NDArray[np.uint16]:
    """The `pixels` depth values of an RVL stream.

    The stream is a list of numbers: how many zero pixels follow, how many non-zero pixels follow, and for each of
    these the zigzag-coded difference to the previous non-zero pixel.

    Raises:
        ValueError: the stream ends before the last pixel or holds more than `pixels`.
    """
    numbers = _numbers(data)
    output = np.zeros(pixels, np.uint16)
    runs: list[tuple[int, int, int]] = []
    position = index = 0
    while position < pixels:
        if index + 1 >= len(numbers):
            raise ValueError(f"RVL data end at pixel {position} of {pixels}")
        position += int(numbers[index])
        count = int(numbers[index + 1])
        index += 2
        if position + count > pixels or index + count > len(numbers):
            raise ValueError(f"RVL data do not fit an image of {pixels} pixels")
        runs.append((position, index, count))
        position += count
        index += count
    previous = 0
    for start, first, count in runs:
        coded = numbers[first : first + count]
        values = previous + np.cumsum((coded >> 1) ^ -(coded & 1))
        output[start : start + count] = values
        previous = int(values[-1]) if count else previous
    return output


def _numbers(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The variable-length numbers: nibbles of three bits, lowest first, the top bit saying that more follow."""
    words = data[: data.size // 4 * 4].view("<u4")
    nibbles = ((words[:, None] >> _NIBBLE_SHIFTS) & 15).ravel().astype(np.int64)
    ends = np.flatnonzero(nibbles < 8)
    if not ends.size:
        return np.empty(0, np.int64)
    nibbles = nibbles[: ends[-1] + 1]
    starts = np.concatenate(([0], ends[:-1] + 1))
    place = np.arange(nibbles.size) - np.repeat(starts, ends - starts + 1)
    # A number of a 16-bit image needs at most six nibbles; more is damage, which the caller's bounds then refuse.
    return np.add.reduceat((nibbles & 7) << np.minimum(3 * place, 60), starts)

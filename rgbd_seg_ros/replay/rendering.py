"""Rendered sequences, packed and kept in a cache: rendering takes longer than playing."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.label_sets import LABEL_SETS
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.replay.sequence import Sequence, SequenceWriter, is_sequence
from rgbd_seg_ros.replay.source import SourceFrame
from rgbd_seg_ros.scenes import Camera, RenderedFrame, render_sequence

LABELS = {"indoor": "nyu13", "aerial": "potsdam6", "drone": "midair7"}

UNSEEN = 10**12
"""Rooms for plays are counted from here: training takes its rooms from seeds below."""


def rendered(
    cache: Path,
    *,
    world: str = "indoor",
    seed: int = 0,
    duration_s: float = 10.0,
    rate_hz: float = 30.0,
    size: tuple[int, int] = (640, 480),
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Sequence:
    """A rendered sequence with ground truth, from the cache where it was rendered before by the same code.

    Args:
        cache: folder of the cache.
        world: name of a rendered world.
        seed: number of the room, with its motion and sensors; none of them is a training room.
        duration_s, rate_hz: length and frame rate.
        size: width and height.
        workers: processes that render.
        progress: hears (frames done, frames in all) while rendering.
    """
    width, height = size
    key = f"{world}-{seed}-{width}x{height}-{duration_s:g}s-{rate_hz:g}hz-{code_version('rgbd_seg_ros.scenes')}"
    folder = cache / key
    if is_sequence(folder):
        return Sequence(folder)
    total = round(duration_s * rate_hz)
    frames = render_sequence(world, UNSEEN + seed, duration_s, rate_hz, Camera.default(width, height), workers)
    writer: SequenceWriter | None = None
    try:
        for number, frame in enumerate(frames):
            # The worlds differ in focal length; the first frame tells the one that was used.
            writer = writer or SequenceWriter(folder, name=f"rendered {world} {seed}", camera=frame.camera,
                                              label_set=LABEL_SETS[LABELS[world]], rate_hz=rate_hz)  # fmt: skip
            for part in _source_frames(world, round(number * 1e9 / rate_hz), frame):
                writer.add(part)
            if progress:
                progress(number + 1, total)
        if writer is None:
            raise UserError(f"a sequence of {duration_s:g} s at {rate_hz:g} Hz has no frame: ask for a longer one")
        return writer.finish()
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise


def _source_frames(world: str, stamp_ns: int, frame: RenderedFrame) -> Iterator[SourceFrame]:
    """Colour and depth; depth in uint16 millimetres as indoor cameras send it, outdoors in float32 metres."""
    depth = np.round(frame.depth * 1000.0).clip(0, 65535).astype(np.uint16) if world == "indoor" else frame.depth
    yield SourceFrame(Sensor.RGB, stamp_ns, frame.rgb, frame.label)
    yield SourceFrame(Sensor.DEPTH, stamp_ns, depth, frame.label)


@lru_cache
def code_version(package: str) -> str:
    """Hash of the Python sources of a package: a result of other code is another result."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations  # it is one of ours
    folder = Path(next(iter(spec.submodule_search_locations)))
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]

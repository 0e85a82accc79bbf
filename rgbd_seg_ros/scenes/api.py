"""Rendered worlds by name and seed: single samples for training, sequences for streams."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import cv2
import numpy as np

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.scenes.aerial import build_aerial
from rgbd_seg_ros.scenes.camera import Camera, Pose
from rgbd_seg_ros.scenes.color_sensor import ColorSensor
from rgbd_seg_ros.scenes.drone import build_drone
from rgbd_seg_ros.scenes.frame import RenderedFrame
from rgbd_seg_ros.scenes.indoor import build_indoor
from rgbd_seg_ros.scenes.scene import Scene

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class World:
    """How a world is built, and through which lenses it is seen.

    Attributes:
        build: (seed, generator) to scene.
        zoom: range of focal lengths, relative to the given camera, that single samples are drawn from.
        stream_zoom: the factor for sequences.
    """

    build: Callable[[int, np.random.Generator], Scene]
    zoom: Range
    stream_zoom: float


WORLDS: dict[str, World] = {
    "indoor": World(build_indoor, (0.6, 1.25), 1.0),
    # A long lens from high up comes close to the parallel projection of an orthophoto.
    "aerial": World(build_aerial, (2.5, 5.0), 3.5),
    "drone": World(build_drone, (0.6, 1.2), 0.7),
}
"""Every world by name."""
_CHUNK = 8


def _generator(world: str, seed: int, purpose: int) -> np.random.Generator:
    """Independent random streams per world, seed and purpose, the same on every machine."""
    return np.random.default_rng([list(WORLDS).index(world), seed, purpose])


def build_scene(world: str, seed: int) -> Scene:
    """Build a world.

    Args:
        world: a key of `WORLDS`.
        seed: not negative; the same seed gives the same scene.

    Raises:
        UserError: the world is unknown or the seed negative.
    """
    if world not in WORLDS:
        raise UserError(f"there is no rendered world named {world!r}; choose one of {', '.join(WORLDS)}")
    if seed < 0:
        raise UserError(f"scene seed {seed} is negative; choose 0 or more")
    return WORLDS[world].build(seed, _generator(world, seed, 0))


def render_sample(world: str, seed: int, camera: Camera, zoom: Range | None = None) -> RenderedFrame:
    """One training sample: random scene, pose, focal length and sensors, deterministic by seed.

    The focal length is `camera`'s times a factor from `zoom` (None = the world's own range; (1, 1) keeps it).
    The result's `camera` is what was used.
    """
    scene = build_scene(world, seed)
    rng = _generator(world, seed, 1)
    used = camera.zoomed(float(np.exp(rng.uniform(*np.log(zoom or WORLDS[world].zoom)))))
    frame = scene.render(scene.sample_pose(rng), used)
    color, depth = ColorSensor.random(rng), scene.depth_sensors(rng)
    return frame.sensed(color.apply(frame, rng), depth.apply(frame, rng))


def generate_samples(
    world: str, seeds: Iterable[int], camera: Camera, workers: int = 0, zoom: Range | None = None
) -> Generator[RenderedFrame, None, None]:
    """`render_sample` for every seed, in their order; closing the generator early ends the workers.

    The result does not depend on `workers` (0 = this process).
    """
    yield from _parallel(partial(render_sample, world, camera=camera, zoom=zoom), seeds, workers)


def render_sequence(
    world: str, seed: int, duration_s: float, rate_hz: float, camera: Camera, workers: int = 0
) -> Generator[RenderedFrame, None, None]:
    """A stream: one camera with fixed random sensors moves smoothly through one scene; deterministic by seed."""
    poses = build_scene(world, seed).trajectory(duration_s, rate_hz, seed)
    camera = camera.zoomed(WORLDS[world].stream_zoom)
    yield from _parallel(partial(_sequence_frame, world, seed, camera), enumerate(poses), workers)


_last_scene: tuple[str, int, Scene] | None = None


def _sequence_frame(world: str, seed: int, camera: Camera, step: tuple[int, Pose]) -> RenderedFrame:
    global _last_scene  # noqa: PLW0603  one scene per worker process, built on its first frame
    if _last_scene is None or _last_scene[:2] != (world, seed):
        _last_scene = (world, seed, build_scene(world, seed))
    scene = _last_scene[2]
    index, pose = step
    fixed, noise = _generator(world, seed, 2), np.random.default_rng([seed, index])
    color, depth = ColorSensor.random(fixed), scene.depth_sensors(fixed)
    frame = scene.render(pose, camera)
    return frame.sensed(color.apply(frame, noise), depth.apply(frame, noise))


def _chunk(function: Callable[..., RenderedFrame], items: list[object]) -> list[RenderedFrame]:
    return [function(item) for item in items]


def _parallel(function: Callable[..., RenderedFrame], items: Iterable[object], workers: int) -> Iterator[RenderedFrame]:
    """Apply a picklable function to items in order, at most a few chunks ahead of the consumer."""
    rest = iter(items)
    if workers <= 0:
        yield from map(function, rest)
        return
    # Spawned, not forked: the caller may hold threads (torch, rclpy) that a fork would break.
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[list[RenderedFrame]]] = deque()
    pool = ProcessPoolExecutor(workers, context, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        while True:
            while len(waiting) < 3 * workers and (chunk := list(islice(rest, _CHUNK))):
                waiting.append(pool.submit(_chunk, function, chunk))
            if not waiting:
                return
            yield from waiting.popleft().result()
    finally:
        # A consumer that stops early must not wait for what it no longer wants.
        pool.shutdown(cancel_futures=True)

"""Times, memory and agreement of every backend and mode of a bundle on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.base import BackendError
from rgbd_seg_ros.inference.backends.registry import check_settings
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.segmenter import Segmentation, Segmenter

STAGES = ("preprocess", "inference", "postprocess")
REFERENCES = ("torch", "onnxruntime")
"""Backends that the others are compared with; the first one that was measured."""
_PAUSE_S = 0.005  # long enough for the workers of the last backend to stop spinning and go to sleep


@dataclass
class Measurement:
    """One backend and one mode.

    Attributes:
        backend, device: name of the backend and what it runs on.
        mode: which model.
        load_s: time to load all modes of this backend, warm-up included.
        memory_mib: growth of resident memory by this mode, warm-up included.
        latency_ms: every measured frame, from images to labels at image size.
        stages_ms: the same by stage.
        agreement: share of labels equal to those of `reference`; NaN without a reference.
        reference: backend compared with.
    """

    backend: str
    device: str
    mode: Mode
    load_s: float
    memory_mib: float
    latency_ms: list[float] = field(default_factory=list)
    stages_ms: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    agreement: float = float("nan")
    reference: str = ""


@dataclass(frozen=True)
class BenchmarkResult:
    """All measurements, and why some backends have none."""

    measurements: list[Measurement]
    unusable: dict[str, str]


def run_benchmark(
    bundle: Bundle,
    backends: Sequence[str],
    *,
    rounds: int = 100,
    threads: int = 2,
    size: tuple[int, int] = (480, 640),
    network_size: tuple[int, int] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> BenchmarkResult:
    """Measures `backends` in interleaved rounds: each of them labels one frame in turn, so that a disturbance of the
    machine hits all alike.

    Args:
        bundle: what to measure.
        backends: names; those that cannot be used here are listed with their reason.
        rounds: measured frames per backend and mode.
        threads: CPU threads per backend.
        size: (height, width) of the camera images.
        network_size: (height, width) of the network input, for bundles with dynamic size.
        settings: settings of single backends as `name.setting`.
        progress: gets a line of text per step.

    Raises:
        UserError: a setting does not exist.
    """
    check_settings(settings or {})
    segmenters: dict[str, Segmenter] = {}
    measurements: list[Measurement] = []
    unusable: dict[str, str] = {}
    for name in backends:
        started = time.perf_counter()
        try:
            segmenter = Segmenter(bundle, name, threads, size=network_size, settings=settings)
            segmenter.warm_up()
        except (UserError, BackendError) as error:
            unusable[name] = str(error)
            continue
        segmenters[name] = segmenter
        load_s = time.perf_counter() - started
        progress(f"{name}: loaded in {load_s:.1f} s")
        for mode, memory in segmenter.memory_mib.items():
            measurements.append(Measurement(name, segmenter.device, mode, load_s, memory))
    if not measurements:
        return BenchmarkResult([], unusable)
    images = [camera_images(size, seed) for seed in range(4)]
    _compare(segmenters, measurements, images)
    for index in range(rounds):
        if index % max(1, rounds // 10) == 0:
            progress(f"round {index} of {rounds}")
        # Another one starts each time, so that nobody always runs behind the same neighbour.
        for measurement in measurements[index % len(measurements) :] + measurements[: index % len(measurements)]:
            _measure(segmenters[measurement.backend], measurement, *images[index % len(images)])
    for name, segmenter in segmenters.items():
        if segmenter.backend != name:  # it fell back: its times would be those of another backend
            unusable[name] = "; ".join(segmenter.diagnostics)
        segmenter.close()
    return BenchmarkResult([m for m in measurements if m.backend not in unusable], unusable)


def camera_images(size: tuple[int, int], seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """A made-up pair with soft structure: colour uint8 H x W x 3 and depth uint16 millimetres with holes."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.random((12, 16, 4), np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    rgb = (255 * smooth[..., :3]).astype(np.uint8)
    depth = (500 + 6000 * smooth[..., 3]).astype(np.uint16)
    depth[smooth[..., 0] > 0.85] = 0
    return rgb, depth


def _measure(
    segmenter: Segmenter, measurement: Measurement, rgb: npt.NDArray[np.uint8], depth: npt.NDArray[np.uint16]
) -> None:
    time.sleep(_PAUSE_S)
    started = time.perf_counter()
    result = _segment(segmenter, measurement.mode, rgb, depth)
    measurement.latency_ms.append(1e3 * (time.perf_counter() - started))
    for stage in STAGES:
        measurement.stages_ms[stage].append(result.stage_ms[stage])


def _segment(
    segmenter: Segmenter, mode: Mode, rgb: npt.NDArray[np.uint8], depth: npt.NDArray[np.uint16]
) -> Segmentation:
    return segmenter.segment(mode, rgb if mode is not Mode.DEPTH else None, depth if mode is not Mode.RGB else None)


def _compare(
    segmenters: dict[str, Segmenter],
    measurements: list[Measurement],
    images: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]],
) -> None:
    """Fills in the agreement with the reference backend."""
    # One that fell back would compare with another backend under its name.
    own = {name for name, segmenter in segmenters.items() if segmenter.backend == name}
    reference = next((name for name in REFERENCES if name in own), None)
    if reference is None:
        return
    expected: dict[Mode, list[npt.NDArray[np.uint8]]] = {}
    for measurement in sorted(measurements, key=lambda m: m.backend != reference):
        labels = [_segment(segmenters[measurement.backend], measurement.mode, *pair).label for pair in images]
        truth = expected.setdefault(measurement.mode, labels)
        measurement.agreement = float(np.mean([np.mean(a == b) for a, b in zip(labels, truth, strict=True)]))
        measurement.reference = reference

"""Images in, labels out: the one class that nodes, replay and evaluation use to run a bundle."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.base import Backend, BackendError, BackendOptions, Session, UInt8
from rgbd_seg_ros.inference.backends.registry import AUTO_ORDER, check_settings, make_backend
from rgbd_seg_ros.inference.bundle import Bundle
from rgbd_seg_ros.inference.manifest import DYNAMIC_STEP, MAX_SIDE
from rgbd_seg_ros.inference.preprocess import InputBuffers, to_image_size

logger = logging.getLogger(__name__)

_WARM_UP_RUNS = 2  # the first run allocates, the second one shows that nothing is left to allocate
RECOVERED_AFTER = 100
"""Good runs of a model that was loaded again which earn it another retry."""


@dataclass(frozen=True)
class Segmentation:
    """What a model says about one image.

    Attributes:
        label: H x W uint8 class index.
        confidence: H x W uint8, round(255 * probability of the class).
        stage_ms: milliseconds of `preprocess`, `inference` and `postprocess`.
    """

    label: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    stage_ms: dict[str, float]


class Segmenter:
    """Runs the models of a bundle; for one thread at a time.

    A run that fails is repeated once on the same backend with the model loaded anew. When that fails too, or the model
    fails again within `RECOVERED_AFTER` runs, the next backend takes over and labels the image at hand. The last usable
    backend is kept: its failure costs that image, and the model is loaded anew for the next one.

    Args:
        bundle: from `load_bundle`.
        backend: `auto` for the first of `AUTO_ORDER` that works here, or a name out of it.
        threads: CPU threads of the runtime.
        preload: keep every mode in memory; otherwise only the one in use, and a switch costs a load.
        size: (height, width) of the network input, for bundles with dynamic size only.
        settings: settings of single backends as `name.setting`, see docs/inference.md.

    Attributes:
        backend: name of the backend in use.
        device: what it runs on, version included.
        backend_reason: `device` and why this backend was chosen.
        failed_runs: runs that failed so far, on any backend.

    Raises:
        UserError: no backend can run the bundle, or an argument does not fit it.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: str = "auto",
        threads: int = 2,
        preload: bool = True,
        size: tuple[int, int] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if threads < 1:
            raise UserError(f"threads is {threads}; give at least 1.")
        check_settings(settings or {})
        self.bundle = bundle
        self.failed_runs = 0
        self._notes: dict[str, str] = {}
        self._runs_since_retry: dict[Mode, int] = {}
        self._preload = preload
        self._options = BackendOptions(threads, _network_size(bundle, size), settings or {})
        self._buffers = InputBuffers(*self._options.size)
        self._sessions: dict[Mode, Session] = {}
        self._memory: dict[Mode, float] = {}
        if backend != "auto":
            make_backend(backend)  # refuses an unknown name
        # After a named one come those that can take over at once, while images are waiting.
        others = [n for n in AUTO_ORDER if n != backend and not make_backend(n).prepares]
        self._candidates = [*AUTO_ORDER] if backend == "auto" else [backend, *others]
        self._backend = self._choose(named=backend != "auto")

    @property
    def modes(self) -> frozenset[Mode]:
        """The modes that can be asked for."""
        return self.bundle.modes

    @property
    def resident_modes(self) -> frozenset[Mode]:
        """The modes whose models are in memory now."""
        return frozenset(self._sessions)

    @property
    def diagnostics(self) -> list[str]:
        """One sentence for each backend that was not usable, failed or had to load a model again, oldest first."""
        return [f"{name}: {note}" for name, note in self._notes.items()]

    @property
    def memory_mib(self) -> dict[Mode, float]:
        """Growth of memory by load and warm-up of each mode, MiB; by `tensorrt` and `torch` that of a GPU too."""
        return dict(self._memory)

    def warm_up(self) -> None:
        """Runs every mode that is in memory, so that its first real frame costs what later ones do."""
        height, width = self._options.size
        rgb, depth = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.float32)
        warm: Backend | None = None
        while warm is not self._backend:  # another one may take over on the way, whose models are all cold
            warm = self._backend
            for mode in self._in_order(self.resident_modes):
                before = self._backend.memory_mib()
                for _ in range(_WARM_UP_RUNS):
                    self.segment(mode, rgb, depth, 1.0)
                if self._backend is not warm:
                    break
                self._memory[mode] += self._backend.memory_mib() - before

    def segment(
        self,
        mode: Mode,
        rgb: npt.NDArray[Any] | None,
        depth: npt.NDArray[Any] | None,
        metres_per_unit: float = 0.001,
    ) -> Segmentation:
        """Labels one frame or pair, at the size of `rgb`, or of `depth` where mode `depth` gets no colour image.

        Args:
            mode: which model.
            rgb: H x W x 3 uint8 RGB; read in modes `fusion` and `rgb`.
            depth: H x W uint16 or float32; read in modes `fusion` and `depth`.
            metres_per_unit: unit of `depth`.

        Raises:
            ValueError: an image that `mode` reads is missing or of a wrong type.
            UserError: the bundle has no such mode.
            BackendError: every backend failed on this image; the next one may succeed.
        """
        started = time.perf_counter()
        inputs: dict[str, npt.NDArray[Any]] = {}
        for sensor in mode.sensors:
            image = rgb if sensor is Sensor.RGB else depth
            if image is None:
                raise ValueError(f"mode {mode.value} needs a {sensor.value} image")
            buffers = self._buffers
            inputs[sensor.value] = (
                buffers.color(image) if sensor is Sensor.RGB else buffers.depth(image, metres_per_unit)
            )
        prepared = time.perf_counter()
        label, confidence = self._run(mode, inputs)
        inferred = time.perf_counter()
        reference = rgb if rgb is not None else depth
        assert reference is not None  # a mode without sensors ended in _run
        size = (reference.shape[0], reference.shape[1])
        result = (to_image_size(label, size), to_image_size(confidence, size))
        stages = {
            "preprocess": (prepared - started) * 1e3,
            "inference": (inferred - prepared) * 1e3,
            "postprocess": (time.perf_counter() - inferred) * 1e3,
        }
        return Segmentation(*result, stages)

    def close(self) -> None:
        """Frees the models."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _choose(self, named: bool) -> Backend:
        """The first candidate that is usable and loads its models; drops the ones before it."""
        while self._candidates:
            backend = make_backend(self._candidates[0])
            try:
                device = backend.check(self.bundle)
                self._load(backend)
            except BackendError as error:
                if named:
                    raise UserError(f"backend {backend.name} cannot be used: {error}.") from error
                self._give_up_candidate(str(error))
                logger.info("backend %s is not used: %s", backend.name, error)
                continue
            self.backend, self.device = backend.name, device
            passed_over = "; ".join(self.diagnostics) or "first choice"
            self.backend_reason = f"{device} ({'named by the user' if named else passed_over})"
            return backend
        raise UserError(f"no backend can run bundle {self.bundle.folder}: {'; '.join(self.diagnostics)}.")

    def _give_up_candidate(self, why: str) -> None:
        self.close()
        self._runs_since_retry.clear()
        self._notes[self._candidates.pop(0)] = why

    def _load(self, backend: Backend) -> None:
        modes = self._in_order(self.modes)
        backend.prepare(self.bundle, modes, self._options)
        for mode in modes if self._preload else modes[:1]:
            self._open(backend, mode)

    @staticmethod
    def _in_order(modes: frozenset[Mode]) -> list[Mode]:
        """Fusion first: without preload it is the one to start with."""
        return [mode for mode in Mode if mode in modes]

    def _open(self, backend: Backend, mode: Mode) -> Session:
        if not self._preload:
            self.close()
        before = backend.memory_mib()
        session = backend.open(self.bundle, mode, self._options)
        self._memory[mode] = backend.memory_mib() - before
        self._sessions[mode] = session
        return session

    def _run(self, mode: Mode, inputs: Mapping[str, npt.NDArray[Any]]) -> tuple[UInt8, UInt8]:
        if mode not in self.modes:
            raise UserError(f"bundle {self.bundle.folder} has no model for mode '{mode.value}'.")
        while True:
            try:
                result = self._session(mode).run(inputs)
            except BackendError as error:
                self._recover(mode, error)
                continue
            if mode in self._runs_since_retry:
                self._runs_since_retry[mode] += 1
            return result

    def _session(self, mode: Mode) -> Session:
        return self._sessions.get(mode) or self._open(self._backend, mode)

    def _recover(self, mode: Mode, error: BackendError) -> None:
        """After a failed run: drops the model so that it is loaded anew, or moves on to the next backend."""
        self.failed_runs += 1
        if session := self._sessions.pop(mode, None):
            session.close()
        if self._runs_since_retry.get(mode, RECOVERED_AFTER) >= RECOVERED_AFTER:
            self._runs_since_retry[mode] = 0
            self._notes[self.backend] = f"mode {mode.value} failed ({error}) and was loaded again"
            logger.warning("backend %s: %s", self.backend, self._notes[self.backend])
            return
        last = self._candidates[0]
        logger.warning("backend %s failed again: %s", last, error)
        self._give_up_candidate(f"{error} (again, after mode {mode.value} was loaded anew)")
        try:
            self._backend = self._choose(named=False)
        except UserError as nothing_left:
            self._candidates = [last]
            self._runs_since_retry[mode] = 0
            raise BackendError(str(nothing_left)) from error


def _network_size(bundle: Bundle, size: tuple[int, int] | None) -> tuple[int, int]:
    manifest = bundle.manifest
    fixed = (manifest.height, manifest.width)
    if size is None or size == fixed:
        return fixed
    if not manifest.dynamic:
        have = f"{fixed[0]}x{fixed[1]}"
        raise UserError(f"bundle {bundle.folder} has the fixed size {have} (HxW); export it with dynamic size.")
    if any(side % DYNAMIC_STEP or not 2 * DYNAMIC_STEP <= side <= MAX_SIDE for side in size):
        raise UserError(
            f"network size {size[0]}x{size[1]} (HxW) is not possible; give multiples of {DYNAMIC_STEP} from 64 on."
        )
    return size

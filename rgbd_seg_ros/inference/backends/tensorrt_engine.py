"""TensorRT engines: built from ONNX once, kept on disk, rebuilt when anything that they depend on differs.

The functions take the TensorRT module as an argument: TensorRT for RTX has the same builder, and builds without a GPU.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from rgbd_seg_ros.inference.backends.base import BackendError

logger = logging.getLogger(__name__)

_PROGRESS_EVERY_S = 5.0
_RECIPE = 1


@dataclass(frozen=True)
class EngineKey:
    """Everything that an engine depends on.

    Attributes:
        model: SHA-256 of the ONNX file.
        gpu: name of the GPU.
        capability: compute capability of the GPU.
        runtime: name and version of the TensorRT library.
        precision: of the bundle, and whether TF32 may be used.
        shapes: shape of each input.
        recipe: number of the way in which `build_engine` builds; raised when that changes.
    """

    model: str
    gpu: str
    capability: tuple[int, int]
    runtime: str
    precision: str
    shapes: Mapping[str, tuple[int, ...]]
    recipe: int = _RECIPE

    def digest(self) -> str:
        """The key as a file name."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def default_cache() -> Path:
    """Where engines are kept: `$XDG_CACHE_HOME/rgbd_seg_ros/engines`, or under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rgbd_seg_ros" / "engines"


class EngineCache:
    """Engines on disk, each in a file named by its key, with its SHA-256 in front.

    A damaged file is built again. A build that ran out of time is remembered, so that not every start of a robot wastes
    those minutes again. A folder that cannot be written costs a warning; the engine then lives as long as the process.

    Args:
        folder: made when the first engine is stored.
    """

    _unwritten: ClassVar[dict[Path, bytes]] = {}

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def engine(self, key: EngineKey, build: Callable[[], bytes], timeout_s: float = float("inf")) -> bytes:
        """The engine of `key`, built and stored if it is not there.

        Args:
            key: what it is for.
            build: makes it; `BuildTimeoutError` where it takes longer than `timeout_s`.
            timeout_s: the time that `build` may take.

        Raises:
            BackendError: the build fails, or ran out of as much time before.
        """
        path, given_up = self._path(key), self._path(key).with_suffix(".given_up")
        engine = _read(path) or self._unwritten.get(path)
        if engine is not None:
            return engine
        if _seconds_in(given_up) >= timeout_s:
            raise BackendError(
                f"its build took more than {timeout_s:g} s before; raise tensorrt.timeout_s, or remove {given_up} "
                "to try again"
            )
        try:
            engine = build()
        except BuildTimeoutError:
            self._write(given_up, f"{timeout_s}\n".encode())
            raise
        if self._write(path, hashlib.sha256(engine).digest() + engine):
            given_up.unlink(missing_ok=True)
        else:
            self._unwritten[path] = engine
        return engine

    def forget(self, key: EngineKey) -> None:
        """Removes the engine of `key`, one that does not load."""
        if self._unwritten.pop(self._path(key), None) is None:
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: EngineKey) -> Path:
        return self._folder / f"{key.digest()}.engine"

    def _write(self, path: Path, content: bytes) -> bool:
        try:
            _write(path, content)
        except OSError as error:
            logger.warning("engine cache %s cannot be written (%s): the next start builds again", self._folder, error)
            return False
        return True


class BuildTimeoutError(BackendError):
    """The build of an engine took too long."""


@functools.cache
def engine_log(trt: Any) -> Any:
    """The one logger for a TensorRT module, which keeps the first that it gets; `last_error` is what it said last."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last_error = message.strip()
                logger.error("TensorRT: %s", self.last_error)

    return Log()


def build_engine(
    trt: Any, onnx_model: bytes, shapes: Mapping[str, tuple[int, ...]], *, tf32: bool = False, timeout_s: float = 600.0
) -> bytes:
    """Builds the engine of an ONNX model, strongly typed: precision is what the ONNX file says.

    Args:
        trt: module `tensorrt` 10 or 11, or `tensorrt_rtx`.
        onnx_model: the file.
        shapes: shape of each input; fixes what is dynamic in the file.
        tf32: let fp32 products be rounded to TF32.
        timeout_s: give up after so long.

    Raises:
        BackendError: the model does not parse or the build fails.
        BuildTimeoutError: it takes too long.
    """
    log = engine_log(trt)
    log.last_error = ""
    builder = trt.Builder(log)
    # From version 11 on every network is strongly typed, and the flag may be gone.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx_model):
        errors = "; ".join(str(parser.get_error(i)).splitlines()[0] for i in range(parser.num_errors))
        raise BackendError(f"TensorRT cannot parse the model: {errors}")
    config = builder.create_builder_config()
    if not tf32 and hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, shape, shape, shape)
    config.add_optimization_profile(profile)
    watch = _watch(trt, timeout_s)
    config.progress_monitor = watch
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        if time.monotonic() > watch.deadline:
            raise BuildTimeoutError(f"the TensorRT build took more than {timeout_s:g} s; raise tensorrt.timeout_s")
        raise BackendError(f"the TensorRT build failed: {log.last_error or 'it gives no reason'}")
    return bytes(engine)


def _watch(trt: Any, timeout_s: float) -> Any:
    """A progress monitor that logs now and then and stops the build at its deadline."""

    class Watch(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.started = time.monotonic()
            self.deadline = self.started + timeout_s
            self._next_line = self.started + _PROGRESS_EVERY_S
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            now = time.monotonic()
            if now > self._next_line:
                self._next_line = now + _PROGRESS_EVERY_S
                steps = self._steps[phase_name]
                logger.info("TensorRT build, %d s: %s %d/%d", now - self.started, phase_name, step + 1, steps)
            return now < self.deadline

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Watch()


def _read(path: Path) -> bytes | None:
    """The engine in `path`, None if it is not there or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, engine = content[:32], content[32:]
    if hashlib.sha256(engine).digest() != digest:
        logger.warning("engine %s is damaged and will be built again", path)
        return None
    return engine


def _seconds_in(path: Path) -> float:
    """The number in `path`, 0 where there is none."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)

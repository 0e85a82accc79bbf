"""The models of the node, and what happens when inference fails: drop, reload once, give up."""

from __future__ import annotations

from collections.abc import Callable

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.records import WorkOrder
from rgbd_seg_ros.inference.segmenter import Segmentation, Segmenter

RECOVERED_AFTER = 100
"""Labels in a row after a reload that earn the next one."""


class EngineError(Exception):
    """One inference failed.

    Attributes:
        final: the models were reloaded before and keep failing: the node gives up.
    """

    def __init__(self, text: str, final: bool) -> None:
        super().__init__(text)
        self.final = final


class Engine:
    """A segmenter that survives single failures.

    Args:
        load: makes a segmenter that is ready to run; called again for a reload.
        max_errors: failures in a row that trigger a reload, and after it the final failure.

    Raises:
        UserError: the models cannot be loaded.
    """

    def __init__(self, load: Callable[[], Segmenter], max_errors: int) -> None:
        self._load = load
        self._max_errors = max_errors
        self._segmenter = load()
        self._failed_in_row = 0
        self._labelled_in_row = 0
        self._reloaded = False
        self.errors = 0
        self.last_error = ""
        self.modes: frozenset[Mode] = self._segmenter.modes

    @property
    def backend(self) -> str:
        """Which runtime is in use, and why."""
        return f"{self._segmenter.backend}: {self._segmenter.backend_reason}"

    @property
    def incidents(self) -> str:
        """What failed on the way and was mended: runs repeated with a model loaded anew, backends given up."""
        if not self._segmenter.failed_runs:
            return ""
        return f"{self._segmenter.failed_runs} failed runs; {'; '.join(self._segmenter.diagnostics)}"

    def segment(self, order: WorkOrder) -> Segmentation:
        """Label one order by the model of its mode.

        Raises:
            EngineError: it failed; when not `final`, the next order may succeed.
        """
        rgb = order.rgb.image if order.rgb is not None and Sensor.RGB in order.mode.sensors else None
        depth = order.depth if Sensor.DEPTH in order.mode.sensors else None
        try:
            result = self._segmenter.segment(
                order.mode,
                rgb,
                depth.image if depth is not None else None,
                depth.metres_per_unit if depth is not None else 1.0,
            )
        except Exception as error:  # every runtime has exceptions of its own, and no frame may end the worker
            raise self._failure(error) from error
        self._failed_in_row = 0
        self._labelled_in_row += 1
        if self._labelled_in_row >= RECOVERED_AFTER:
            self._reloaded = False
        return result

    def close(self) -> None:
        """Free the models."""
        self._segmenter.close()

    def _failure(self, error: Exception) -> EngineError:
        self.errors += 1
        self._failed_in_row += 1
        self._labelled_in_row = 0
        self.last_error = f"{type(error).__name__}: {error}"
        if self._failed_in_row < self._max_errors:
            return EngineError(self.last_error, final=False)
        self._failed_in_row = 0
        if self._reloaded:
            return EngineError(f"inference keeps failing after a reload of the models ({self.last_error})", True)
        return self._reload()

    def _reload(self) -> EngineError:
        self._reloaded = True
        self._segmenter.close()
        try:
            self._segmenter = self._load()
        except Exception as error:  # a lasting fault, such as a lost GPU, fails here with a runtime's own exception
            return EngineError(f"inference failed and the models cannot be reloaded ({error})", final=True)
        return EngineError(f"models were reloaded after {self._max_errors} failures ({self.last_error})", final=False)

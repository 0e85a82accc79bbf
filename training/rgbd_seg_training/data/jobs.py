"""Running many independent jobs in worker processes, with progress, in order."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Result = TypeVar("Result")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )


def end_with_parent() -> None:
    """End this worker process when its parent is gone; a pool's workers would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start_worker() -> None:
    end_with_parent()
    # One thread per process: the processes are the parallelism.
    import cv2

    cv2.setNumThreads(1)


def run_jobs(
    function: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], workers: int, title: str
) -> Iterator[Result]:
    """Call `function(*job)` for every job and yield the results in the order of the jobs.

    Args:
        function: a module-level function (it must be picklable when workers > 1).
        jobs: argument tuples.
        workers: processes; 1 runs in this process.
        title: text beside the progress bar, which is shown on a terminal only.
    """
    with _progress() as progress:
        task = progress.add_task(title, total=len(jobs))
        if workers <= 1:
            for job in jobs:
                yield function(*job)
                progress.advance(task)
            return
        # spawn: forking a process that has started threads (OpenCV, torch) can hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
            for result in pool.map(function, *zip(*jobs, strict=True), chunksize=max(1, min(16, len(jobs) // 64))):
                yield result
                progress.advance(task)

"""Runs beside each other, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from ..data.jobs import end_with_parent


def in_processes(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[Any]:
    """What `function` returns for each of `jobs`, its arguments, as they finish.

    An error ends what has not begun; what is under way ends first. An interrupt ends that too, at once: it would
    otherwise take hours, and runs go on from their last checkpoint.

    Args:
        function: of a module, so that a fresh process can find it.
        jobs: arguments of the calls.
        workers: processes at a time.
    """
    # Fresh processes: a forked copy of a process that has used torch's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent, max_tasks_per_child=1) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException as error:
            for future in futures:
                future.cancel()
            if not isinstance(error, (Exception, GeneratorExit)):
                for worker in multiprocessing.active_children():
                    worker.terminate()
            raise

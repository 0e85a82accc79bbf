"""SIGTERM ends a command as ^C does: in order, and with every process that it started."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TERMINATED = 128 + signal.SIGTERM


def unwind_on_sigterm() -> None:
    """From now on SIGTERM ends the worker processes of this process and then unwinds its main thread.

    Without it, Python would die on the spot: pools of workers and ROS nodes in sessions of their own would live on.
    """

    def terminate(*_: object) -> None:
        for child in multiprocessing.active_children():
            child.terminate()
        raise SystemExit(TERMINATED)

    signal.signal(signal.SIGTERM, terminate)


@contextmanager
def orderly_end() -> Iterator[None]:
    """`unwind_on_sigterm` for the length of a block; nothing in threads other than the main one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    unwind_on_sigterm()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

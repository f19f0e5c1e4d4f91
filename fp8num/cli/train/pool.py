"""
Processes that train, and end with the command.

::

    Ctrl-C --> the command alone --> terminates the processes
    the command is killed --> they notice, and end
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

__all__ = ["processes"]


@contextmanager
def processes(count: int) -> Iterator[Executor | None]:
    """
    Offer processes to work in.

    Parameters
    ----------
    count : int
        How many.

    Yields
    ------
    Executor or None
        None for one: this process does the work.

    Raises
    ------
    ChildProcessError
        If one ends before its work does.
    """
    if count == 1:
        yield None
        return
    import threading
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    others, threads = set(active_children()), set(threading.enumerate())
    # Spawned and not forked: BLAS has threads, which do not survive a fork.
    executor = ProcessPoolExecutor(count, get_context("spawn"), _prepare)
    try:
        with _no_interrupts():  # which those that start inherit
            for _ in range(count):
                executor.submit(int)
        yield executor
    except (
        BaseException
    ) as error:  # an interrupt above all: trainings that nobody waits for are ended
        # 1. The executor's thread lets go of what was cancelled, on which it would fail in 2.
        executor.shutdown(wait=False, cancel_futures=True)
        # 2. It sees the processes end, and closes the pipe on which another thread may wait.
        for process in set(active_children()) - others:
            process.terminate()
        # 3. Both end here, while there is an executor: they would not at Python's exit.
        for thread in set(threading.enumerate()) - threads:
            thread.join(timeout=10)
        if isinstance(error, BrokenExecutor):
            msg = "a process of --workers was ended from outside, or had no memory; ask for fewer"
            raise ChildProcessError(msg) from error
        raise
    executor.shutdown()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for some milliseconds, and in the processes started meanwhile for good."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():  # has no say in signals
        yield
        return
    # They inherit a mask too, but with one another thread would get the interrupt, too late.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _prepare() -> None:
    """Let a process leave interrupts to the command, and end when that is killed."""
    import os
    import signal
    from multiprocessing import parent_process
    from multiprocessing.connection import wait
    from threading import Thread

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()

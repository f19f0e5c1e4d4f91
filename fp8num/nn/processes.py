"""
Processes that train, each with one thread of BLAS, and end with this one.

::

    Ctrl-C --> this process alone --> terminates the others
    this process is killed --> they notice, and end
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fp8num.codec._arguments import MOST_AT_ONCE
from fp8num.nn._numbers import whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

__all__ = ["processes"]

#: What libraries of linear algebra take their number of threads from, when they are loaded.
_THREADS = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@contextmanager
def processes(count: int) -> Iterator[Executor | None]:
    """
    Offer processes to train in, as `compare` takes them for its `executor`.

    Parameters
    ----------
    count : int
        How many.

    Yields
    ------
    Executor or None
        None for one: this process does the work, with the threads that it has.

    Raises
    ------
    TypeError, ValueError
        If `count` is no positive integer.
    ChildProcessError
        If a process ends before its work does.

    Notes
    -----
    Each process has one thread of BLAS: with more, they would wait for each other.  Results
    are the same, but with the accumulator ``"blas-float32"``, whose sums may depend on the
    number of threads.  An error or Ctrl-C within ends the processes at once.

    A program that calls this from its main module needs ``if __name__ == "__main__":``, as
    for anything that starts processes, and what is sent to them must be importable.

    Examples
    --------
    >>> from fp8num.nn.compare import compare
    >>> from fp8num.nn.data import spirals
    >>> data = spirals(n=60, test=30)
    >>> with processes(2) as executor:
    ...     found = compare(
    ...         data, ["mxfp8"], seeds=2, epochs=1, sizes=(2, 8, 3), executor=executor
    ...     )
    >>> found.recipes
    ('fp32', 'mxfp8')
    """
    number = whole("count", count, 1, MOST_AT_ONCE)
    if number == 1:
        yield None
        return
    import threading
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    others, threads = set(active_children()), set(threading.enumerate())
    # Spawned and not forked: BLAS has threads, which do not survive a fork.
    context = get_context("spawn")
    all_started = context.Event()
    executor = ProcessPoolExecutor(number, context, _prepare, (all_started,))
    try:
        with _one_thread(), _no_interrupts():  # which those that start inherit
            for _ in range(number):
                executor.submit(int)
        all_started.set()
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
            msg = (
                f"one of {number} processes was ended from outside, or had no memory; ask for fewer"
            )
            raise ChildProcessError(msg) from error
        raise
    executor.shutdown()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tell processes that are started meanwhile to have one thread of BLAS."""
    # Such a process loads its BLAS before anything of ours runs in it: only its environment
    # can say how many threads there are to be.
    import os

    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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


def _prepare(all_started: Any) -> None:  # noqa: ANN401 - an event of some context
    """Let a process leave interrupts to its parent, and end when that is killed."""
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
    # Whoever is ready sooner would be given the task that is to start another.
    all_started.wait()

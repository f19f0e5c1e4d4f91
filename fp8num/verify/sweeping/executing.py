"""
Independent tasks on somebody else's engine, a few at a time.

::

    indices -> task -> any Executor (processes, threads, a cluster) -> results as they come
"""

from __future__ import annotations

import os
import pickle
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from contextlib import contextmanager
from itertools import islice
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Executor, Future

__all__ = ["IN_FLIGHT", "as_they_come", "in_order", "process_pool", "require_sendable"]

#: The most tasks that an executor is given at once.
IN_FLIGHT = 256

T = TypeVar("T")


def as_they_come(
    task: Callable[[int], T],
    indices: Iterable[int],
    executor: Executor | None = None,
    limit: int = IN_FLIGHT,
) -> Generator[tuple[int, T]]:
    """
    Yield the result of a task for each index, in whatever order they come.

    Parameters
    ----------
    task : callable
        What to do for an index.
    indices : iterable of int
        For which to do it.
    executor : Executor, optional
        What to do it on; here, one after another, unless given.  It is not shut down, and
        when this generator is closed, tasks that have not begun are cancelled.
    limit : int, optional
        The most tasks in flight.

    Yields
    ------
    int, result
        An index and what the task gave for it.
    """
    if executor is None:
        for index in indices:
            yield index, task(index)
        return
    remaining = iter(indices)
    waiting: dict[Future[T], int] = {}
    try:
        while True:
            for index in islice(remaining, limit - len(waiting)):
                waiting[executor.submit(task, index)] = index
            if not waiting:
                return
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
    finally:
        for future in waiting:
            future.cancel()


def in_order(results: Iterable[tuple[int, T]], indices: Iterable[int]) -> Iterator[tuple[int, T]]:
    """Yield results in the order of `indices`, each as soon as those before it are there."""
    early: dict[int, T] = {}
    source = iter(results)
    for wanted in indices:
        while wanted not in early:
            index, result = next(source)
            early[index] = result
        yield wanted, early.pop(wanted)


@contextmanager
def process_pool(task: Callable[[int], object], workers: int) -> Iterator[Executor]:
    """
    Make worker processes for a task, and end them afterwards.

    Parameters
    ----------
    task : callable
        What they will be asked to do.
    workers : int
        How many there are.

    Yields
    ------
    Executor
        The pool.

    Raises
    ------
    TypeError
        If the task cannot be sent to another process.
    RuntimeError
        If the processes cannot be started.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    sent = require_sendable(task)
    # Spawned and not forked: libraries with threads or a GPU do not survive a fork.
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, _end_with_parent) as pool:
        try:
            refusal = pool.submit(_try_to_load, sent).result()
        except BrokenExecutor as error:
            msg = (
                "worker processes could not be started; a script with workers above 1 must do "
                'its work under `if __name__ == "__main__":`, or use workers=1'
            )
            raise RuntimeError(msg) from error
        if refusal is not None:
            raise TypeError(refusal)
        yield pool


def require_sendable(task: Callable[[int], object]) -> bytes:
    """Return what is sent to another process for a task; TypeError if it cannot be."""
    try:
        return pickle.dumps(task)
    except Exception as error:
        msg = _not_sendable(error)
        raise TypeError(msg) from error


def _not_sendable(error: Exception) -> str:
    return (
        f"implementation cannot be sent to another process ({type(error).__name__}: {error}); "
        "define it at the top level of a module that can be imported, or use workers=1"
    )


def _try_to_load(sent: bytes) -> str | None:
    """Say, in a worker, why a task cannot be used there."""
    try:
        pickle.loads(sent)  # noqa: S301 - it comes from the process that started this one
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told to the caller
        return _not_sendable(error)
    return None


def _end_with_parent() -> None:
    """End a worker when its parent is killed: it would wait for work for ever."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait as wait_for

    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()

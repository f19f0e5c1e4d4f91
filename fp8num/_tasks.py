"""
Tasks on anybody's executor, a few at a time, and processes of our own to do them in.

::

    items -> task -> Executor (processes, threads, a cluster) or here -> results
    Ctrl-C --> this process alone --> terminates the others
    this process is killed --> they notice, and end
"""

from __future__ import annotations

import os
import pickle
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Executor, Future

__all__ = ["IN_FLIGHT", "check_executor", "check_task", "in_order", "pool", "results", "sorted_as"]

#: The most tasks that an executor is given at once.
IN_FLIGHT = 256

#: What libraries of linear algebra take their number of threads from, when they are loaded.
_THREADS = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

Item = TypeVar("Item")
T = TypeVar("T")


# Tasks.


def results(
    task: Callable[[Item], T],
    items: Iterable[Item],
    executor: Executor | None = None,
    limit: int = IN_FLIGHT,
    *,
    ordered: bool = False,
) -> Generator[tuple[Item, T]]:
    """Yield each item with what a task gives for it."""
    if executor is None:
        for item in items:
            yield item, task(item)
        return
    from concurrent.futures import FIRST_COMPLETED, wait

    remaining = iter(items)
    waiting: dict[Future[T], Item] = {}
    try:
        while True:
            for item in islice(remaining, limit - len(waiting)):
                waiting[executor.submit(task, item)] = item
            if not waiting:
                return
            oldest = next(iter(waiting))
            done = {oldest} if ordered else wait(waiting, return_when=FIRST_COMPLETED).done
            for future in done:
                result = future.result()
                yield waiting.pop(future), result
    finally:  # the executor is the caller's: it gets nothing more to do
        for future in waiting:
            future.cancel()


def in_order(
    task: Callable[[Item], T],
    items: Iterable[Item],
    executor: Executor | None = None,
    limit: int = IN_FLIGHT,
) -> Iterator[T]:
    """Yield what a task gives for each item, in the order of the items."""
    for _, result in results(task, items, executor, limit, ordered=True):
        yield result


def sorted_as(items: Iterable[Item], found: Iterable[tuple[Item, T]]) -> Iterator[tuple[Item, T]]:
    """Yield what comes for items in their order, each as soon as those before it are there."""
    early: dict[Item, T] = {}
    source = iter(found)
    for wanted in items:
        while wanted not in early:
            item, result = next(source)
            early[item] = result
        yield wanted, early.pop(wanted)


# What does them.


def check_executor(executor: object) -> None:
    """Refuse what is neither an executor nor None."""
    if executor is not None and not callable(getattr(executor, "submit", None)):
        msg = (
            f"executor must be a concurrent.futures.Executor or None, got {type(executor).__name__}"
        )
        raise TypeError(msg)


def check_task(task: Callable[..., object], executor: Executor, *, ours: bool = False) -> None:
    """Refuse a task that worker processes could not do."""
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor

    if not isinstance(executor, ProcessPoolExecutor):
        return
    try:
        sent = pickle.dumps(task)
    except Exception as error:
        msg = _not_sendable(error)
        raise TypeError(msg) from error
    if not ours:
        return
    try:
        refusal = executor.submit(_try_to_load, sent).result()
    except BrokenExecutor as error:
        msg = (
            "worker processes could not be started; a script with workers above 1 must do "
            'its work under `if __name__ == "__main__":`, or use workers=1'
        )
        raise RuntimeError(msg) from error
    if refusal is not None:
        raise TypeError(refusal)


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


@contextmanager
def pool(workers: int) -> Iterator[Executor]:
    """Make worker processes with one thread of BLAS each, and end them afterwards."""
    import threading
    import time
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    others, threads = set(active_children()), set(threading.enumerate())
    # Spawned and not forked: BLAS and GPUs have threads, which do not survive a fork.
    context = get_context("spawn")
    all_started = context.Event()
    executor = ProcessPoolExecutor(workers, context, _prepare, (all_started,))
    try:
        # Those that start inherit this; one that cannot is told of by the first task.
        with _one_thread(), _no_interrupts(), suppress(BrokenExecutor):
            for _ in range(workers):
                executor.submit(int)
        all_started.set()
        yield executor
    except BaseException as error:  # an interrupt above all: what nobody waits for is ended
        # 1. The executor's thread lets go of what was cancelled, on which it would fail in 2.
        executor.shutdown(wait=False, cancel_futures=True)
        # 2. It sees the processes end, and closes the pipe on which another thread may wait.
        for process in set(active_children()) - others:
            process.terminate()
        # 3. Both end here, while there is an executor: they would not at Python's exit.
        for thread in set(threading.enumerate()) - threads:
            while thread.ident is None:  # it is being started at this moment
                time.sleep(0.001)
            thread.join(timeout=10)
        if isinstance(error, BrokenExecutor):
            msg = (
                f"one of {workers} processes was ended from outside, or had no memory; "
                "ask for fewer"
            )
            raise ChildProcessError(msg) from error
        raise
    executor.shutdown()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tell processes that are started meanwhile to have one thread of BLAS."""
    # Such a process loads its BLAS before anything of ours runs in it: only its environment
    # can say how many threads there are to be.
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

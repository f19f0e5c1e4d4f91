"""Processes that train, each with one thread of BLAS, and end with this one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from fp8num._arguments import MOST_AT_ONCE, integer
from fp8num._tasks import pool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

__all__ = ["processes"]


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
    number = integer("count", count, 1, MOST_AT_ONCE)
    if number == 1:
        yield None
        return
    with pool(number) as executor:
        yield executor

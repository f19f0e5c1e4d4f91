"""
Work through arrays of any strides block by block, in C order, on some threads.

Blocks fit the cache, and are all the memory that a conversion needs besides its result.
"""

from __future__ import annotations

from contextvars import copy_context
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["BLOCK", "LOOKUP_BLOCK", "blocks_of", "run", "share"]

T = TypeVar("T")

#: Elements of a block for kernels with many temporaries: 256 KiB for each of float64.
BLOCK = 1 << 15
#: For look-ups, which have one or two: larger ones spend less time between blocks.
LOOKUP_BLOCK = 1 << 18

#: Parts of the work for each thread.
PARTS = 4

Arrays = tuple[npt.NDArray[Any], ...]


def run(
    work: Callable[..., None],
    arrays: Arrays,
    threads: int = 1,
    block: int = BLOCK,
    *,
    outputs: int = 1,
) -> None:
    """
    Call ``work(*blocks)`` for matching blocks of arrays of one shape.

    Parameters
    ----------
    work : callable
        Takes a block of each array, one-dimensional, contiguous and native; fills the outputs.
    arrays : tuple of ndarray
        Inputs, and the outputs last.
    threads : int, optional
        How many threads share the work.  NumPy releases the interpreter's lock.
    block : int, optional
        The most elements of a block.
    outputs : int, optional
        How many of the arrays are outputs.
    """
    size = arrays[-1].size
    if size <= block:
        if (flat := _flat(arrays)) is not None:
            work(*flat)
            return
        threads = 1
    if threads == 1:
        _run_range(work, arrays, (0, size), block, outputs)
        return
    # More parts than threads: who gets the slower core does fewer of them.
    count = min(threads * PARTS, -(-size // block))
    parts = pairwise(size * i // count for i in range(count + 1))
    share(lambda ends: _run_range(work, arrays, ends, block, outputs), parts, threads)


def share(work: Callable[[T], None], parts: Iterable[T], threads: int) -> None:
    """Call ``work(part)`` for all parts, which threads take as they come, under one errstate."""
    if threads == 1:
        for part in parts:
            work(part)
        return
    remaining, lock = iter(parts), Lock()

    def next_part() -> T | None:
        with lock:
            return next(remaining, None)

    def take_parts() -> None:
        while (part := next_part()) is not None:
            work(part)

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(copy_context().run, take_parts) for _ in range(threads - 1)]
        take_parts()  # the calling thread works too: it is on its core already
        for done in others:
            done.result()


def _flat(arrays: Arrays) -> list[npt.NDArray[Any]] | None:
    """Return arrays on one axis if their blocks are slices: contiguous, in C order, native."""
    flat = []
    for array in arrays:
        if not (array.flags.c_contiguous and array.dtype.isnative):
            return None
        flat.append(array.reshape(-1))
    return flat


def blocks_of(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield an array's elements in C order, in native blocks that are only to be read."""
    for (block,) in _blocks((array,), (0, array.size), BLOCK, outputs=0):
        yield block


def _run_range(
    work: Callable[..., None], arrays: Arrays, ends: tuple[int, int], block: int, outputs: int
) -> None:
    for blocks in _blocks(arrays, ends, block, outputs):
        work(*blocks)


def _blocks(arrays: Arrays, ends: tuple[int, int], block: int, outputs: int) -> Iterator[Arrays]:
    """Yield matching blocks of the elements between two ends."""
    start, stop = ends
    if (flat := _flat(arrays)) is not None:
        for low in range(start, stop, block):
            yield tuple(array[low : min(low + block, stop)] for array in flat)
        return
    if start == stop:
        return
    # NumPy 2.0's iterator frees its buffers too early for a byte-swapped 0-d array.
    arrays = tuple(np.atleast_1d(array) for array in arrays)
    # NumPy's type stubs do not know "contig", which makes strided blocks copies.
    inputs = len(arrays) - outputs
    roles: Any = [["readonly", "contig"]] * inputs + [["writeonly", "contig"]] * outputs
    with np.nditer(
        arrays,
        flags=["external_loop", "buffered", "ranged"],
        op_flags=roles,
        op_dtypes=[array.dtype.newbyteorder("=") for array in arrays],
        order="C",
        buffersize=block,
    ) as iterator:
        iterator.iterrange = (start, stop)  # type: ignore[misc]  # it can be set
        for blocks in iterator:
            yield blocks if isinstance(blocks, tuple) else (blocks,)

"""
Every word of a type through an implementation, in chunks, anywhere, to be resumed.

::

    words -> chunks of 2**24 -> serial | processes | any Executor -> Parts, in order -> Sweep
                                     journal: finished chunks, on disk

The record depends on the words and on the implementation, and on nothing else: not on who
did which chunk, in which order, or how often the work was interrupted.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from fp8num._arguments import MOST_AT_ONCE, integer
from fp8num._tasks import IN_FLIGHT, check_executor, check_task, pool, results, sorted_as
from fp8num.formats import Format, get_format
from fp8num.projection import get_projection
from fp8num.verify.conformance import describe_projection
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.sweeping.chunks import Part, judge_chunk
from fp8num.verify.sweeping.journal import Journal
from fp8num.verify.sweeping.plan import Plan, make_plan
from fp8num.verify.sweeping.record import Sweep, combine
from fp8num.verify.truth import truth_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator
    from concurrent.futures import Executor

    import numpy.typing as npt

    from fp8num.projection import NanResult, Profile, Rounding, Saturation
    from fp8num.verify.implementation import Implementation
    from fp8num.verify.tally import NanRule

__all__ = ["Sweep", "sweep"]


def sweep(
    implementation: Implementation | Callable[[npt.NDArray[Any]], Any],
    fmt: Format | str,
    *,
    takes: Literal["values", "bits"] = "values",
    source: SourceType | npt.DTypeLike | str = "float32",
    rounding: Rounding | str = "NearestTiesToEven",
    saturation: Saturation | str = "SatFinite",
    like: str | Profile | None = None,
    nan: NanResult | str = "max",
    compare_nan: NanRule | Literal["class", "code"] = "class",
    executor: Executor | None = None,
    workers: int = 1,
    journal: str | os.PathLike[str] | None = None,
    progress: Callable[[int], object] | None = None,
    digests: bool = False,
    chunk_bits: int = 24,
    first: int = 0,
    count: int | None = None,
    samples: int | None = None,
    seed: int = 0,
    timeout: float | None = None,
) -> Sweep:
    """
    Judge an implementation by every word of a type, or by samples of a 64-bit one.

    Parameters
    ----------
    implementation : callable or Implementation
        Takes an array of values of `source` (or of their bits) and returns codes, as
        integers or as an array of ml_dtypes.  It is given up to 2**18 words at a time.
    fmt : Format or str
        The format of the codes.
    takes : {"values", "bits"}, optional
        Whether a callable is given values, or their bits as unsigned integers.
    source : SourceType, str or dtype, optional
        The type of the values: float16, bfloat16, float32 or float64.
    rounding, saturation, like, nan
        What it should do, as for `fp8num.encode`; the rounding must be deterministic.
    compare_nan : {"class", "code"}, optional
        Whether any code of NaN will do, or only the expected one.
    executor : concurrent.futures.Executor, optional
        What does the chunks: a pool, or a cluster's.  It is not shut down.
    workers : int, optional
        Without `executor`: processes that do the chunks; with 1, this one does.
    journal : path, optional
        A file to which finished chunks are written, and from which they are taken if the
        same call has been made before and was interrupted.  A callable is known by
        its name and its module's file, a program by its files, and other objects by name.
    progress : callable, optional
        Called with the number of words of each chunk that is done, or was done before.
    digests : bool, optional
        Whether to hash the codes of each chunk.
    chunk_bits : int, optional
        A chunk has 2 to the power of this many words.
    first, count : int, optional
        The words to try.  The default is all; float64 has too many.
    samples : int, optional
        How many samples of float64 to try instead.
    seed : int, optional
        Which samples.
    timeout : float, optional
        Seconds that a call of a callable may take.

    Returns
    -------
    Sweep
        The record.  What the implementation does wrong is in it: a fault, such as an
        exception or a wrong shape, ends its chunk, and `FAULTS` faulty chunks the sweep.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, the implementation cannot be sent to another process, or
        the journal cannot be used.
    RuntimeError
        If worker processes cannot be started.

    Examples
    --------
    >>> from fp8num.verify.sweeping.encoder import Encoder
    >>> found = sweep(Encoder(rounding="rz"), "E4M3FN", source="bfloat16", rounding="rne")
    >>> found.ok, found.domain
    (False, 'all 65,536 words of bfloat16')
    >>> dict(found.tally.mismatches)["normal tie"], found.tally.witnesses[0].expected
    (118, 1)
    """
    fmt, kind = get_format(fmt), get_source(source)
    projection = get_projection(fmt, rounding, saturation, like, nan)
    plan = make_plan(
        implementation,
        fmt,
        projection,
        kind,
        rule=describe_projection(
            projection, like if like is None or isinstance(like, str) else like.name
        ),
        takes=takes,
        timeout=timeout,
        compare_nan=compare_nan,
        digests=digests,
        chunk_bits=chunk_bits,
        first=first,
        count=count,
        samples=samples,
        seed=seed,
    )
    check_executor(executor)
    workers = integer("workers", workers, 1, MOST_AT_ONCE)
    if executor is not None and workers != 1:
        msg = f"workers is for processes that are made here, got {workers} besides executor"
        raise ValueError(msg)
    truth_of(fmt, projection, kind)  # refuses what cannot be judged, before any work
    began = time.perf_counter()
    with ExitStack() as stack:
        book = None
        if journal is not None:
            if "<" in plan.implementation.name:
                msg = (
                    f"implementation {plan.implementation.name} must have a name of its own to be "
                    "known again from a journal; define it at the top of a module"
                )
                raise ValueError(msg)
            book = stack.enter_context(
                Journal(journal, plan.to_dict(), partial(Part.from_dict, plan))
            )
        done = {} if book is None else book.records
        task = partial(judge_chunk, plan)
        limit = IN_FLIGHT
        if executor is not None:
            check_task(task, executor)
        elif workers > 1 and len(done) < len(plan.chunks):
            executor = stack.enter_context(pool(workers))
            check_task(task, executor, ours=True)
            limit = 2 * workers
        left = (index for index in plan.chunks if index not in done)
        new = results(task, left, executor, limit)
        finished = stack.enter_context(closing(_finished(plan, done, new, book, progress)))
        return combine(plan, sorted_as(plan.chunks, finished), began)


def _finished(
    plan: Plan,
    done: dict[int, Part],
    new: Generator[tuple[int, Part]],
    book: Journal | None,
    progress: Callable[[int], object] | None,
) -> Generator[tuple[int, Part]]:
    """Yield the parts that were there, then new ones, each once it is in the journal."""
    with closing(new):
        for index, part in chain(done.items(), new):
            if book is not None and index not in done:
                book.append(index, part.to_dict())
            if progress is not None:
                progress(plan.size_of(index))
            yield index, part

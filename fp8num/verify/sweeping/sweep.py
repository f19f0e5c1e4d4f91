"""
Every word of a type through an implementation, in chunks, anywhere, to be resumed.

::

    words -> chunks of 2**24 -> serial | processes | any Executor -> results, in order -> Sweep
                                     journal: finished chunks, on disk

The record depends on the words and on the implementation, and on nothing else: not on who
did which chunk, in which order, or how often the work was interrupted.
"""

from __future__ import annotations

import time
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fp8num._arguments import MOST_AT_ONCE, integer
from fp8num._records import as_dict
from fp8num._tasks import IN_FLIGHT, check_executor, check_task, pool, results, sorted_as
from fp8num.formats import Format, get_format
from fp8num.projection import get_projection
from fp8num.verify.conformance import (
    Conformance,
    Direction,
    Finding,
)
from fp8num.verify.implementation import Fault
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.sweeping.chunks import ChunkResult, SweepPlan, judge_chunk, make_plan
from fp8num.verify.sweeping.journal import Journal
from fp8num.verify.tally import NanRule, Tally, exclusions_of
from fp8num.verify.truth import describe_projection, truth_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable
    from concurrent.futures import Executor

    import numpy.typing as npt

    from fp8num.projection import NanResult, Profile, Projection, Rounding, Saturation
    from fp8num.verify.implementation import Implementation

__all__ = ["FAULTS", "Sweep", "combine", "sweep"]

#: Faulty chunks, in order, after which a sweep is given up.
FAULTS = 3


@dataclass(frozen=True, kw_only=True, repr=False)
class Sweep:
    """
    What a sweep has found.

    Parameters
    ----------
    implementation : str
        Its name.
    fmt : Format
        The format of the codes.
    source : SourceType
        The type of the words.
    projection : Projection
        What was expected.
    rule : str
        The same in words.
    compare_nan : NanRule
        When two codes of NaN counted as equal.
    domain : str
        What the words are, in a sentence.
    size : int
        How many they are.
    chunk_bits : int
        A chunk has 2 to the power of this many words, those at the ends perhaps fewer.
    chunks : range
        The indices of the chunks; a word's is its top bits.
    tally : Tally
        What the comparison found.
    digests : tuple of str or None
        SHA-256 of the codes of each chunk, little endian, None where there was a fault;
        empty unless asked for.
    faults : tuple of Finding
        What else is wrong, each in its chunk.
    seconds : float
        Wall time of this call; it says nothing about what was resumed.
    """

    implementation: str
    fmt: Format
    source: SourceType
    projection: Projection
    rule: str
    compare_nan: NanRule
    domain: str
    size: int
    chunk_bits: int
    chunks: range
    tally: Tally
    digests: tuple[str | None, ...]
    faults: tuple[Finding, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether all words were tried, all codes are right, and nothing else is wrong."""
        return self.tally.cases == self.size and not self.tally.total and not self.faults

    def __bool__(self) -> bool:
        return self.ok  # so that `assert sweep(...)` asserts something

    def to_dict(self) -> dict[str, Any]:
        """
        Return the record as a dictionary that JSON can hold.

        Returns
        -------
        dict
            All of it but ``seconds`` is the same however the work was done.
        """
        return {
            **as_dict(self, "ok", "implementation"),
            "format": self.fmt.to_dict(),
            "source": self.source.name,
            "projection": as_dict(self.projection),
            **as_dict(self, "rule", "compare_nan", "domain", "size", "chunk_bits"),
            "chunks": [self.chunks.start, self.chunks.stop],
            "cases": self.tally.cases,
            "mismatches": dict(self.tally.mismatches),
            "witnesses": [
                {
                    "class": witness.kind,
                    "word": f"{witness.word:0{self.source.digits}x}",
                    "input": self.source.hex(witness.word),
                    "expected": witness.expected,
                    "got": witness.got,
                }
                for witness in self.tally.witnesses
            ],
            **as_dict(self, "digests", "faults", "seconds"),
        }

    def to_conformance(self) -> Conformance:
        """Return the verdict; which inputs there are of each class was not counted."""
        return Conformance(
            implementation=self.implementation,
            fmt=self.fmt,
            source=self.source,
            direction=Direction.ENCODE,
            rule=self.rule,
            domain=self.domain,
            exclusions=exclusions_of(self.projection, self.fmt, self.compare_nan),
            cases=(),
            tally=self.tally,
            flags=None,
            findings=self.faults,
            coverage=None,
            nan=self.compare_nan,
            budget=0,
            seconds=self.seconds,
        )

    def __repr__(self) -> str:
        return repr(self.to_conformance())

    def __str__(self) -> str:
        return str(self.to_conformance())

    def digests_dict(self, name: str | None = None) -> dict[str, Any]:
        """
        Return the digests in the layout in which recordings of other stacks are kept.

        Parameters
        ----------
        name : str, optional
            What they are listed under.  The default is the implementation's name.

        Returns
        -------
        dict
            ``about``, ``meta``, and ``digests``: a list of a digest per chunk, by name.

        Raises
        ------
        ValueError
            If the sweep was made without digests.
        """
        if not self.digests:
            msg = f"the sweep of {self.implementation} has no digests; make it with digests=True"
            raise ValueError(msg)
        return {
            "about": f"SHA-256 of the output bytes for each of the consecutive chunks of "
            f"2**{self.chunk_bits} from chunk {self.chunks.start} on, in order: {self.domain}",
            "meta": {"format": self.fmt.name, "source": self.source.name, "numpy": np.__version__},
            "digests": {self.implementation if name is None else name: list(self.digests)},
        }


def combine(plan: SweepPlan, parts: Iterable[tuple[int, ChunkResult]], began: float) -> Sweep:
    """Put the parts of a sweep together."""
    tally, faults, digests = Tally(), [], []
    try:
        for _, part in parts:
            tally += part.tally
            digests.append(part.digest)
            if part.fault is not None:
                faults.append(part.fault)
            if len(faults) == FAULTS:
                break
    except BrokenExecutor as error:
        chunk = plan.chunks[len(digests)]
        detail = f"a worker process ended when chunk {chunk} or a later one was its task: {error}"
        faults.append(Finding(Fault.DIED, detail))
    return Sweep(
        implementation=plan.implementation.name,
        fmt=plan.fmt,
        source=plan.source,
        projection=plan.projection,
        rule=plan.rule,
        compare_nan=plan.compare_nan,
        domain=plan.domain,
        size=plan.count,
        chunk_bits=plan.chunk_bits,
        chunks=plan.chunks,
        tally=tally,
        digests=tuple(digests) if plan.digests else (),
        faults=tuple(faults),
        seconds=time.perf_counter() - began,
    )


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
    >>> from fp8num.verify.implementation import Encoder
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
    return _run(plan, executor, workers, journal, progress)


def _run(
    plan: SweepPlan,
    executor: Executor | None,
    workers: int,
    journal: str | os.PathLike[str] | None,
    progress: Callable[[int], object] | None,
) -> Sweep:
    """Do the chunks that are not in the journal, wherever they are to be done."""
    began = time.perf_counter()
    with ExitStack() as stack:
        book = None if journal is None else stack.enter_context(_book(plan, journal))
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


def _book(plan: SweepPlan, journal: str | os.PathLike[str]) -> Journal:
    """Open the journal; ValueError if the implementation could not be known again from it."""
    if "<" in plan.implementation.name:
        msg = (
            f"implementation {plan.implementation.name} must have a name of its own to be "
            "known again from a journal; define it at the top of a module"
        )
        raise ValueError(msg)
    return Journal(journal, plan.to_dict(), partial(ChunkResult.from_dict, plan))


def _finished(
    plan: SweepPlan,
    done: dict[int, ChunkResult],
    new: Generator[tuple[int, ChunkResult]],
    book: Journal | None,
    progress: Callable[[int], object] | None,
) -> Generator[tuple[int, ChunkResult]]:
    """Yield the parts that were there, then new ones, each once it is in the journal."""
    with closing(new):
        for index, part in chain(done.items(), new):
            if book is not None and index not in done:
                book.append(index, part.to_dict())
            if progress is not None:
                progress(plan.size_of(index))
            yield index, part

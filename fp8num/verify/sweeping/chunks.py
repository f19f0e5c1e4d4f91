"""
What is to be done in a sweep, cut into chunks: of each, words are made, converted and compared.

::

    first          chunk 67 = words with the top bits 67          first + count
    |----------|----------------------|----------------------|----------|

    plan, index -> words of a block -> implementation -> codes -> the run's code?  -> ChunkResult
                   (in the cache)                                 no: looked at closely

A chunk is known by the top bits of its words, whatever part of them is swept.  It knows nothing
about the others, so that chunks can be done anywhere and in any order.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import integer, member, refuse
from fp8num._records import as_dict, entries, listed, made, maybe, text, whole
from fp8num._text import brief
from fp8num.projection import NanResult
from fp8num.verify.cases.sampling import describe_samples, sample_words
from fp8num.verify.classes import CLASSES
from fp8num.verify.conformance import Finding
from fp8num.verify.implementation import (
    Fault,
    ImplementationError,
    as_implementation,
    ask,
    fingerprint,
)
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.tally import NanRule, Tally, Witness, tally
from fp8num.verify.truth import Truth, truth_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.implementation import Implementation

__all__ = ["BLOCK", "WRITTEN_TO", "ChunkResult", "SweepPlan", "judge_chunk", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What is done in a sweep: all that a chunk needs but its index."""

    implementation: Implementation  #: what is judged
    fmt: Format  #: the format of the codes
    projection: Projection  #: how they should come about
    rule: str  #: the same in words
    #: The type of the words; a `SourceType` would be another object in another process.
    source_name: str
    compare_nan: NanRule  #: when two codes of NaN count as equal
    digests: bool  #: whether the output is hashed
    #: A chunk has 2 to the power of this many words, those at the ends perhaps fewer.
    chunk_bits: int
    first: int  #: the words; or, if there is a seed, the samples
    count: int  #: the words; or, if there is a seed, the samples
    seed: int | None  #: of the samples; None if consecutive words are taken

    @property
    def source(self) -> SourceType:
        """The type of the words."""
        return get_source(self.source_name)

    @property
    def chunks(self) -> range:
        """The indices of the chunks; a word's is its top bits."""
        last = self.first + self.count - 1
        return range(self.first >> self.chunk_bits, (last >> self.chunk_bits) + 1)

    def span(self, index: int) -> tuple[int, int]:
        """Return the first word of a chunk and the word after its last."""
        low, high = index << self.chunk_bits, (index + 1) << self.chunk_bits
        return max(low, self.first), min(high, self.first + self.count)

    def size_of(self, index: int) -> int:
        """Return how many words a chunk has; ValueError if there is no such chunk."""
        if index not in self.chunks:
            msg = f"there are chunks {self.chunks.start} to {self.chunks.stop - 1}"
            raise ValueError(msg)
        start, stop = self.span(index)
        return stop - start

    @property
    def domain(self) -> str:
        """What the inputs are, in a sentence."""
        if self.seed is not None:
            return describe_samples(self.fmt, self.seed, self.count)
        if self.count == 1 << self.source.bits:
            return f"all {self.count:,} words of {self.source_name}"
        return f"{self.where(self.first, self.first + self.count)} of {self.source_name}"

    def where(self, start: int, stop: int) -> str:
        """Write which inputs are meant."""
        if self.seed is not None:
            return f"samples {start:,} to {stop - 1:,}"
        digits = self.source.digits
        return f"words {start:0{digits}x} to {stop - 1:0{digits}x}"

    def words(self, start: int, size: int) -> npt.NDArray[Any]:
        """Return some of the inputs, in an array of their own."""
        if self.seed is not None:
            return sample_words(self.fmt, self.seed, start, size)
        return self.source.every(start, size)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as a dictionary that JSON can hold, the implementation by name."""
        return {
            "implementation": self.implementation.name,
            "fingerprint": fingerprint(self.implementation),
            "takes": getattr(self.implementation, "takes", None),
            "format": self.fmt.to_dict(),
            "projection": as_dict(self.projection),
            "source": self.source_name,
            "compare_nan": self.compare_nan.value,
            "digests": self.digests,
            "chunk_bits": self.chunk_bits,
            "first": self.first,
            "count": self.count,
            "seed": self.seed,
        }


def make_plan(
    implementation: Implementation | Callable[[npt.NDArray[Any]], Any],
    fmt: Format,
    projection: Projection,
    source: SourceType,
    *,
    rule: str,
    takes: str,
    timeout: float | None,
    compare_nan: NanRule | str,
    digests: bool,
    chunk_bits: int,
    first: int,
    count: int | None,
    samples: int | None,
    seed: int,
) -> SweepPlan:
    """Check what `fp8num.verify.sweeping.sweep.sweep` was asked for."""
    if projection.nan is NanResult.RAISE and not fmt.has_nan:
        msg = f"nan must not be 'raise' in a sweep, which gives NaNs too; {fmt.name} has none"
        raise ValueError(msg)
    start, size = _extent(source, first, count, samples)
    return SweepPlan(
        implementation=as_implementation(implementation, takes=takes, timeout=timeout),
        fmt=fmt,
        projection=projection,
        rule=rule,
        source_name=source.name,
        compare_nan=member("compare_nan", compare_nan, NanRule),
        digests=digests,
        chunk_bits=integer("chunk_bits", chunk_bits, 4, 32),
        first=start,
        count=size,
        seed=None if samples is None else integer("seed", seed, 0),
    )


def _extent(
    source: SourceType, first: int, count: int | None, samples: int | None
) -> tuple[int, int]:
    """Return the first word, or sample, and how many there are."""
    if samples is not None:
        if source.bits != 64:
            msg = (
                f"samples is for float64, got source {source.name}, which is swept whole; "
                "leave samples out, or give first and count"
            )
            raise ValueError(msg)
        if first != 0 or count is not None:
            msg = f"samples has no first and count, got first={brief(first)}, count={brief(count)}"
            raise ValueError(msg)
        return 0, integer("samples", samples, 1)
    first = integer("first", first, 0, (1 << source.bits) - 1)
    left = (1 << source.bits) - first
    if count is None and source.bits == 64:
        msg = "source float64 has 2**64 words; give samples, such as 2**24, or first and count"
        raise ValueError(msg)
    return first, left if count is None else integer("count", count, 1, left)


#: Words of a block: what the codec takes at once, 1 MiB of float32.
BLOCK = 1 << 18
#: Looked for in the first block of each chunk, and wherever a code is wrong.
WRITTEN_TO = "the array that it was given has changed"


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What was found in a chunk."""

    tally: Tally  #: of the words up to a fault
    #: SHA-256 of the codes, little endian, if asked for and there is no fault.
    digest: str | None = None
    fault: Finding | None = None  #: why the chunk was given up

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dictionary that JSON can hold."""
        return {
            "cases": self.tally.cases,
            "mismatches": [[name, count] for name, count in self.tally.mismatches],
            "witnesses": [[w.word, w.kind, w.expected, w.got] for w in self.tally.witnesses],
            "digest": self.digest,
            "fault": None if self.fault is None else [self.fault.fault.value, self.fault.detail],
        }

    @classmethod
    def from_dict(cls, plan: SweepPlan, index: int, found: object) -> ChunkResult:
        """Return what `to_dict` has written."""
        size = plan.size_of(index)
        code = whole(0, (1 << plan.fmt.bits) - 1)
        witness = listed(whole(0, (1 << plan.source.bits) - 1), made(_known_class), code, code)
        record = entries(
            "a part",
            found,
            {
                "cases": whole(0, size),
                "mismatches": listed(listed(made(_known_class), whole(1, size))),
                "witnesses": listed(witness),
                "digest": maybe(text),
                "fault": maybe(listed(made(Fault), text)),
            },
        )
        cases, fault, digest = record["cases"], record["fault"], record["digest"]
        counts = dict(record["mismatches"])
        witnesses = tuple(Witness(*fields) for fields in record["witnesses"])
        if fault is None and cases != size:
            msg = f"{cases} of {size} words"
            raise ValueError(msg)
        seen = Counter(one.kind for one in witnesses)
        if (
            len(counts) != len(record["mismatches"])
            or sum(counts.values()) > cases
            or any(number > counts.get(kind, 0) for kind, number in seen.items())
        ):
            msg = f"mismatches {counts!s:.80} and {len(witnesses)} witnesses of {cases} words"
            raise ValueError(msg)
        if (digest is not None) != (plan.digests and fault is None) or not _is_digest(digest):
            refuse("digest of a part", "that of its codes", digest)
        finding = None if fault is None else Finding(*fault)
        return cls(Tally(cases, record["mismatches"], witnesses), digest, finding)


def _known_class(name: object) -> str:
    """Return the name of a class; ValueError if there is none of that name."""
    if not isinstance(name, str) or name not in CLASSES:
        refuse("a class", "one of those of a sweep", name)
    return name


def _is_digest(digest: str | None) -> bool:
    return digest is None or re.fullmatch(r"[0-9a-f]{64}", digest) is not None


def judge_chunk(plan: SweepPlan, index: int) -> ChunkResult:
    """Send the words of a chunk through the implementation and compare the codes."""
    known = truth_of(plan.fmt, plan.projection, plan.source)
    start, stop = plan.span(index)
    # Making consecutive words is the cost of an addition in the cache.
    base = plan.source.every(0, min(BLOCK, stop - start))
    buffer, scratch = np.empty_like(base), np.empty(base.shape, np.bool_)
    # What the codes of consecutive words hash to is known as long as they are right.
    hasher = hashlib.sha256() if plan.digests and plan.seed is not None else None
    found, right = Tally(), 0
    for low in range(start, stop, BLOCK):
        high = min(low + BLOCK, stop)
        if plan.seed is None:
            size = high - low
            words = np.add(base[:size], base.dtype.type(low), out=buffer[:size])
        else:
            words = plan.words(low, high - low)
        try:
            got = ask(plan.implementation, words, plan.source, plan.fmt)
            if low == start:
                _require_same(words, plan.words(low, words.size))
            if plan.seed is None and _are_right(got, known, low, scratch):
                right += words.size
            else:
                if plan.digests and hasher is None:
                    hasher = _hash_of_runs(known, start, low)
                found += _look_closely(plan, known, low, words, got)
        except ImplementationError as error:
            detail = f"chunk {index}, {plan.where(low, high)}: {error}"
            return ChunkResult(found + Tally(right), None, Finding(error.fault, detail))
        if hasher is not None:
            hasher.update(_bytes(got))
    found += Tally(right)
    if not plan.digests:
        return ChunkResult(found)
    digest = known.digest(start, stop - start) if hasher is None else hasher.hexdigest()
    return ChunkResult(found, digest)


def _require_same(words: npt.NDArray[Any], given: npt.NDArray[Any]) -> None:
    """Refuse an implementation that has written to its input."""
    if not np.array_equal(words, given):
        raise ImplementationError(Fault.INPUT, WRITTEN_TO)


def _are_right(
    got: npt.NDArray[Any], known: Truth, first: int, scratch: npt.NDArray[np.bool_]
) -> bool:
    """Whether codes are those of consecutive words: run by run, without writing them down."""
    for start, stop, code in known.runs(first, first + got.size):
        piece = slice(start - first, stop - first)
        if np.not_equal(got[piece], code, out=scratch[piece]).any():
            return False
    return True


def _look_closely(
    plan: SweepPlan,
    known: Truth,
    first: int,
    words: npt.NDArray[Any],
    got: npt.NDArray[Any],
) -> Tally:
    """Count the mismatches of a block; ImplementationError if its input was written to."""
    given = plan.words(first, words.size)
    _require_same(words, given)
    if plan.seed is None:
        expected = np.empty_like(got)
        known.fill(first, expected)
    else:
        expected = known.codes_of(given)
    return tally(given, expected, got, plan.fmt, plan.source, nan=plan.compare_nan)


def _hash_of_runs(known: Truth, start: int, stop: int) -> Any:  # noqa: ANN401 - hashlib's object
    """Return a hash that has taken the codes of consecutive words."""
    hasher = hashlib.sha256()
    for low in range(start, stop, BLOCK):
        codes = np.empty(min(BLOCK, stop - low), known.codes.dtype)
        known.fill(low, codes)
        hasher.update(_bytes(codes))
    return hasher


def _bytes(codes: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(codes, codes.dtype.newbyteorder("<")).data

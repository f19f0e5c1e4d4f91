"""
What is to be done in a sweep: which words, cut into chunks, and what is expected of them.

::

    first          chunk 67 = words with the top bits 67          first + count
    |----------|----------------------|----------------------|----------|

A chunk is known by the top bits of its words, whatever part of them is swept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fp8num._arguments import integer, member
from fp8num._records import as_dict
from fp8num._text import brief
from fp8num.projection import NanResult
from fp8num.verify.implementation import as_implementation, fingerprint
from fp8num.verify.sources import SourceType, get_source
from fp8num.verify.sweeping.sampling import describe_samples, sample_words
from fp8num.verify.tally import NanRule

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.implementation import Implementation

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    What is done in a sweep: all that a chunk needs but its index.

    Parameters
    ----------
    implementation : Implementation
        What is judged.
    fmt : Format
        The format of the codes.
    projection : Projection
        How they should come about.
    rule : str
        The same in words.
    source_name : str
        The type of the words; a `SourceType` would be another object in another process.
    compare_nan : NanRule
        When two codes of NaN count as equal.
    digests : bool
        Whether the output is hashed.
    chunk_bits : int
        A chunk has 2 to the power of this many words, those at the ends perhaps fewer.
    first, count : int
        The words; or, if there is a seed, the samples.
    seed : int or None
        Of the samples; None if consecutive words are taken.
    """

    implementation: Implementation
    fmt: Format
    projection: Projection
    rule: str
    source_name: str
    compare_nan: NanRule
    digests: bool
    chunk_bits: int
    first: int
    count: int
    seed: int | None

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
) -> Plan:
    """Check what `fp8num.verify.sweeping.sweep.sweep` was asked for."""
    if projection.nan is NanResult.RAISE and not fmt.has_nan:
        msg = f"nan must not be 'raise' in a sweep, which gives NaNs too; {fmt.name} has none"
        raise ValueError(msg)
    start, size = _extent(source, first, count, samples)
    return Plan(
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

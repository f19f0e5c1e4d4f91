"""
Functional coverage: which combinations of what a rounder looks at were tried.

::

    |x|  low --------- place --------- high       last     parity of low's code
               guard 0   |    guard 1             guard    at or above the place
    sticky 0 at low and at the place, else 1      sticky   what lies below the guard bit

    bin       class of the rounded number x sign x last x guard x sticky
              for each format, source, rounding and saturation
    possible  some word of the source is in it
    hole      possible, and no case was in it
    binades   of the source, of each sign: outside the format's range many share a bin

Where rounding to nearest divides gaps half way these are the three bits of a hardware rounder;
for tabulated formats the place is where their standard divides the gap.  Which bins can be hit
is decided and not guessed: all five are constant between one line, a value or a place, and the
next, so each stretch between them that holds a word of the source is listed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num._names import in_a_line
from fp8num.formats import TabulatedFormat
from fp8num.projection import Rounding, Saturation
from fp8num.verify.classes import check_words, gaps

if TYPE_CHECKING:
    from fractions import Fraction

    import pandas as pd

    from fp8num.formats import Format
    from fp8num.projection import Projection
    from fp8num.verify.sources import SourceType

__all__ = [
    "BINS",
    "RESULTS",
    "Bin",
    "BinRuns",
    "Count",
    "Coverage",
    "bin_of_each",
    "cover",
    "stretches_of",
]

#: The classes of a number after rounding, before saturation.
RESULTS = ("zero", "subnormal", "normal", "overflow", "infinity", "nan")
_ZERO, _SUBNORMAL, _NORMAL, _OVERFLOW, _INFINITY, _NAN = range(len(RESULTS))
#: Bins of one projection: sign, last, guard and sticky are the low four bits of the index.
BINS = len(RESULTS) << 4
_NEAREST = (Rounding.NEAREST_TIES_TO_EVEN, Rounding.NEAREST_TIES_TO_AWAY)


class BinRuns(NamedTuple):
    """BinRuns of words that a rounder cannot tell apart, in the order of the words."""

    starts: npt.NDArray[Any]  #: the first word of each
    below: npt.NDArray[np.int64]  #: index of the magnitude at or below; -1 without zero
    guard: npt.NDArray[np.int64]
    sticky: npt.NDArray[np.int64]
    sign: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]  #: _INFINITY, _NAN, or 0 for numbers


@lru_cache(maxsize=64)
def stretches_of(fmt: Format, source: SourceType) -> BinRuns:
    """Return the stretches of words between neighbouring lines, of both signs."""
    # At the successor of the largest value and above guard is 0, and sticky tells whether it is
    # the successor; of zeros, infinities and NaNs both are 0.  Below the smallest value of a
    # format without zero, guard and sticky are 1.
    ladder = gaps(fmt)
    rows = {0: (0, 0, 0)} if fmt.has_zero else {0: (-1, 0, 0), 1: (-1, 1, 1)}

    def draw(point: Fraction, below: int, guard: int, *, at: bool = True) -> None:
        """Draw a line: sticky is 0 at it, 1 above it.  Later lines are at or above."""
        place, is_number = source.place(point)
        if is_number and at:
            rows[place] = (below, guard, 0)
        rows[place + 1] = (below, guard, 1)

    for index, (low, place, _) in enumerate(ladder):
        draw(low, index, 0)
        draw(place, index, 1, at=place > low)  # posit8 goes up from 0 at once
    draw(ladder[-1].high, len(ladder), 0)
    finite = sorted((start, row) for start, row in rows.items() if start < source.infinity)
    starts = [start for start, _ in finite] + [source.infinity, source.infinity + 1]
    columns = np.array([row for _, row in finite] + [(0, 0, 0)] * 2, np.int64).T
    below, guard, sticky = np.concatenate([columns, columns], axis=1)
    kind = np.zeros((2, len(starts)), np.int64)
    kind[:, -2:] = _INFINITY, _NAN
    magnitudes = np.array(starts, np.uint64)
    words = np.concatenate([magnitudes, magnitudes + np.uint64(source.sign)]).astype(source.word)
    sign = np.repeat([0, 1], len(starts))
    found = BinRuns(words, below, guard, sticky, sign, kind.ravel())
    for array in found:
        array.flags.writeable = False
    return found


def bin_of_each(stretches: BinRuns, fmt: Format, rounding: Rounding) -> npt.NDArray[np.int64]:
    """Return the index of the bin of each stretch."""
    _, below, guard, sticky, sign, kind = stretches
    codes = fmt.magnitudes.codes.astype(np.int64)
    # What follows the largest value would have the next code; below all values is even.
    last = np.concatenate([codes, [codes[-1] + 1, 0]])[below] & 1
    inexact = guard | sticky
    up = np.where(below < 0, inexact, _goes_up(stretches, last, fmt, rounding))
    rounded = below + up
    result = np.where(rounded < fmt.first_normal, _SUBNORMAL, _NORMAL)
    result[rounded >= codes.size] = _OVERFLOW
    result[rounded < int(fmt.has_zero)] = _ZERO
    if fmt.successor is None and rounding not in _NEAREST:
        # Nothing is there to round to above the largest value, in either direction.
        result[(below == codes.size - 1) & (sticky == 1)] = _OVERFLOW
    special = kind > 0
    result[special] = kind[special]
    last[special] = 0
    found: npt.NDArray[np.int64] = result << 4 | sign << 3 | last << 2 | guard << 1 | sticky
    return found


def _goes_up(
    stretches: BinRuns, last: npt.NDArray[np.int64], fmt: Format, rounding: Rounding
) -> npt.NDArray[np.int64]:
    """Return 1 where a magnitude is rounded to the value above it."""
    inexact = stretches.guard | stretches.sticky
    match rounding:
        case Rounding.TOWARD_ZERO:
            return np.zeros_like(last)
        case Rounding.TOWARD_POSITIVE:
            return inexact & (1 - stretches.sign)
        case Rounding.TOWARD_NEGATIVE:
            return inexact & stretches.sign
        case Rounding.TO_ODD:
            return inexact & (1 - last)
    if isinstance(fmt, TabulatedFormat):  # ties are the standard's, whatever the mode
        flags = [int(at) for _, _, at in fmt.nearest]
        tie = np.array([*flags, 0, 0])[stretches.below]
    else:
        tie = last if rounding is Rounding.NEAREST_TIES_TO_EVEN else np.ones_like(last)
    up: npt.NDArray[np.int64] = stretches.guard & (stretches.sticky | tie)
    return up


#: Holes that `str` lists.
_SHOWN = 20


class Bin(NamedTuple):
    """A combination that some input has."""

    format: str
    source: str
    rounding: str
    saturation: str
    sign: int
    last: int
    guard: int
    sticky: int
    result: str
    cases: int  #: that were tried
    word: int  #: the first word of the source that has the combination

    def __str__(self) -> str:
        return (
            f"{'-' if self.sign else '+'} last {self.last} guard {self.guard} "
            f"sticky {self.sticky} {self.result}, such as word {self.word:#x}"
        )


@dataclass(frozen=True)
class Count:
    """How many cases were in each bin of one projection."""

    fmt: Format  #: the format
    source: SourceType  #: the type of the inputs
    projection: Projection  #: how they were converted
    cases: tuple[int, ...]  #: by index of the bin
    #: The source's binades that a case was in: bit ``i`` stands for the positive one of index
    #: ``i`` in ``source.binades()``, and the bits above those for the negative ones.
    binades: int

    @property
    def key(self) -> tuple[Any, ...]:
        """What is counted together, in the order in which it is listed."""
        rounding, saturation = self.projection.rounding, self.projection.saturation
        return (
            self.fmt.name,
            repr(self.fmt.to_dict() | {"source": ""}),
            self.source.bits,
            self.source.name,
            list(Rounding).index(rounding),
            list(Saturation).index(saturation),
            repr(self.projection),
        )

    def plus(self, other: Count) -> Count:
        """Return the cases of both, which have the same key."""
        cases = tuple(a + b for a, b in zip(self.cases, other.cases, strict=True))
        return replace(self, cases=cases, binades=self.binades | other.binades)

    @property
    def possible_binades(self) -> int:
        """How many binades the source has, of both signs."""
        return 2 * self.source.binades().size

    def bins(self) -> tuple[Bin, ...]:
        """Return the possible bins."""
        stretches = stretches_of(self.fmt, self.source)
        indices, first = np.unique(
            bin_of_each(stretches, self.fmt, self.projection.rounding), return_index=True
        )
        return tuple(
            Bin(
                self.fmt.name,
                self.source.name,
                self.projection.rounding.value,
                self.projection.saturation.value,
                sign=index >> 3 & 1,
                last=index >> 2 & 1,
                guard=index >> 1 & 1,
                sticky=index & 1,
                result=RESULTS[index >> 4],
                cases=self.cases[index],
                word=word,
            )
            for index, word in zip(indices.tolist(), stretches.starts[first].tolist(), strict=True)
        )


@dataclass(frozen=True, repr=False)
class Coverage:
    """
    Cases by bin, of any formats, sources and projections; ``+`` adds them up.

    Adding is associative and commutative, so that parts may be counted anywhere, in any
    order; ``Coverage()`` is nothing.

    Parameters
    ----------
    counts : tuple of Count
        One for each format, source and projection, in the order of their keys.

    Examples
    --------
    >>> from fp8num.formats import E2M1FN
    >>> from fp8num.projection import Projection
    >>> from fp8num.verify.sources import get_source
    >>> source = get_source("float32")
    >>> words = source.words(np.array([1, -1, 1.25, 5, 7, np.inf, 0], np.float32))
    >>> coverage = cover(words, E2M1FN, source, Projection())
    >>> print(str(coverage).splitlines()[0])
    E2M1FN from float32, NearestTiesToEven, SatFinite: 6 of 40 bins hit, 3 of 554 binades (cases: 7)
    """

    counts: tuple[Count, ...] = ()

    def __add__(self, other: Coverage) -> Coverage:
        """Return the coverage of the cases of both."""
        # Keys are text: a hash that was made in another process is not the same here.
        found = {count.key: count for count in self.counts}
        for count in other.counts:
            key = count.key
            found[key] = found[key].plus(count) if key in found else count
        return Coverage(tuple(found[key] for key in sorted(found)))

    def bins(self) -> tuple[Bin, ...]:
        """Return the possible bins, with their cases."""
        return tuple(each for count in self.counts for each in count.bins())

    def holes(self) -> tuple[Bin, ...]:
        """
        Return the possible bins that no case was in.

        Returns
        -------
        tuple of Bin
            Each with the first word that would fill it.
        """
        return tuple(each for each in self.bins() if not each.cases)

    @property
    def cases(self) -> int:
        """The number of cases."""
        return sum(sum(count.cases) for count in self.counts)

    @property
    def ratio(self) -> float:
        """The share of the possible bins that were hit; NaN if there are none."""
        bins = self.bins()
        return sum(each.cases > 0 for each in bins) / len(bins) if bins else math.nan

    @property
    def binades(self) -> tuple[int, int]:
        """The binades of the sources that were hit, and how many there are, of both signs."""
        hit = sum(count.binades.bit_count() for count in self.counts)
        return hit, sum(count.possible_binades for count in self.counts)

    def to_frame(self) -> pd.DataFrame:
        """
        Return the possible bins as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each: format, source, rounding, saturation and result (text), sign,
            last, guard, sticky, cases and word (integers).
        """
        import pandas as pd

        return pd.DataFrame(self.bins(), columns=list(Bin._fields))

    def to_dict(self) -> dict[str, Any]:
        """
        Return the possible bins as a dictionary that JSON can hold.

        Returns
        -------
        dict
            cases; possible, hit and ratio (None if nothing is possible); binades, a
            dictionary of possible and hit; bins, a dictionary for each, as the columns of
            `to_frame`.
        """
        bins = self.bins()
        ratio = self.ratio
        return {
            "cases": self.cases,
            "possible": len(bins),
            "hit": sum(each.cases > 0 for each in bins),
            "ratio": None if math.isnan(ratio) else ratio,
            "binades": dict(zip(("hit", "possible"), self.binades, strict=True)),
            "bins": [each._asdict() for each in bins],
        }

    def __repr__(self) -> str:
        return in_a_line(self)

    def __str__(self) -> str:
        return "\n".join(_describe(count) for count in self.counts) or "nothing covered"


def _describe(count: Count) -> str:
    """Write the ratio of one projection and its holes."""
    bins = count.bins()
    holes = [each for each in bins if not each.cases]
    how = f"{count.projection.rounding.value}, {count.projection.saturation.value}"
    first = (
        f"{count.fmt.name} from {count.source.name}, {how}: {len(bins) - len(holes)} of "
        f"{len(bins)} bins hit, {count.binades.bit_count():,} of {count.possible_binades:,} "
        f"binades (cases: {sum(count.cases):,})"
    )
    lines = [first]
    lines += [f"  hole: {hole}" for hole in holes[:_SHOWN]]
    if len(holes) > _SHOWN:
        lines.append(f"  holes not shown: {len(holes) - _SHOWN}")
    missed = count.possible_binades - count.binades.bit_count()
    if missed:
        lines.append(f"  binades without a case: {missed:,}")
    return "\n".join(lines)


def cover(
    words: npt.NDArray[Any], fmt: Format, source: SourceType, projection: Projection
) -> Coverage:
    """Count cases by bin; ValueError if the rounding is stochastic."""
    # The class is that of the rounded number before saturation, as the standards speak of it:
    # overflow is what rounds past the largest value, whatever it becomes; infinities and NaNs
    # are classes of inputs.  Last is the parity of the code of the value at or below.
    check_words(words, source)
    if projection.rounding.is_stochastic:
        msg = (
            f"projection must round deterministically, got {projection.rounding.value}: "
            "the class of the result is not a matter of the input alone"
        )
        raise ValueError(msg)
    stretches = stretches_of(fmt, source)
    native = words.astype(source.word, copy=False).ravel()
    places = np.searchsorted(stretches.starts, native, side="right") - 1
    per_stretch = np.bincount(places, minlength=stretches.starts.size)
    of_each = bin_of_each(stretches, fmt, projection.rounding)
    # Counts as weights are exact: float64 holds integers up to 2**53.
    cases = np.bincount(of_each, per_stretch, minlength=BINS).astype(np.int64)
    binades = _binades(native, source)
    return Coverage((Count(fmt, source, projection, tuple(cases.tolist()), binades),))


def _binades(words: npt.NDArray[Any], source: SourceType) -> int:
    """Return the binades that words are in, a bit for each, as `Count` keeps them."""
    first = source.binades()
    magnitudes = words & source.word.type(source.sign - 1)
    finite = (magnitudes > 0) & (magnitudes < source.infinity)
    places = np.searchsorted(first, magnitudes[finite], side="right") - 1
    hit = np.zeros((2, first.size), np.bool_)
    hit[(words[finite] >= source.sign).astype(np.intp), places] = True
    return int.from_bytes(np.packbits(hit.ravel(), bitorder="little").tobytes(), "little")

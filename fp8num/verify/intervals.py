"""
The record of a comparison: intervals of words on which two conversions disagree.

::

    words    ... 464 | 464.00003 ........ 480 ........ infinity | NaN ...
    code a        7e | 7f                                       | 7f
    code b        7e | 7e                                       | 7f
                     `- one interval: first, last, 7f, 7e ------'

The record says over which domain it was made, and never more than was tried there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num._names import in_a_line
from fp8num._records import as_dict, counted, wrapped
from fp8num._text import printable
from fp8num.verify.classes import CLASSES
from fp8num.verify.hexlines import code_digits

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType
    from fp8num.verify.tally import NanRule

__all__ = ["Difference", "Interval", "Stretches"]

SCHEMA = 1
#: Groups of intervals that are printed, and intervals of each: `to_frame` has all.
GROUPS, SHOWN = 12, 4
#: Characters of a line of text; a table may be wider.
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Interval:
    """Words of one sign, one after the other, with one code of each conversion."""

    source: SourceType  #: the type of the words
    first: int  #: the first and the last word, each an exact witness
    last: int  #: the first and the last word, each an exact witness
    count: int  #: words from `first` to `last` at which the conversions were compared
    code_a: int  #: what they gave
    code_b: int  #: what they gave
    kinds: tuple[str, ...]  #: the classes of the inputs, in the order of `CLASSES`

    @property
    def width(self) -> int:
        """Words from `first` to `last`, compared or not."""
        return self.last - self.first + 1

    @property
    def ends(self) -> tuple[int, int]:
        """The words of the smallest and the largest number."""
        ascending = self.first < self.source.sign
        return (self.first, self.last) if ascending else (self.last, self.first)

    @property
    def low(self) -> str:
        """The smallest number, as a hex float; NaNs count as beyond infinity."""
        return _short_hex(self.source.hex(self.ends[0]))

    @property
    def high(self) -> str:
        """The largest number, as a hex float."""
        return _short_hex(self.source.hex(self.ends[1]))

    @property
    def decimals(self) -> tuple[str, str]:
        """The smallest and the largest number in as few decimal digits as tell them apart."""
        low, high = self.source.values(np.array(self.ends, self.source.word))
        with np.printoptions(legacy=False):
            return str(low), str(high)

    def __str__(self) -> str:
        ends = self.low if self.first == self.last else f"{self.low} to {self.high}"
        inputs = "1 input" if self.count == 1 else f"{self.count:,} inputs"
        return f"{ends}, {inputs}: {self.code_a:02x}, {self.code_b:02x}"


def _short_hex(text: str) -> str:
    """Leave out the zeros at the end of a hex float's fraction."""
    digits, mark, exponent = text.partition("p")
    if not mark:  # infinity or NaN
        return text
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{exponent}"


class Stretches(NamedTuple):
    """Stretches of words with one code of each conversion, as columns."""

    first: npt.NDArray[np.uint64]  #: the first and the last word of each
    last: npt.NDArray[np.uint64]  #: the first and the last word of each
    words: npt.NDArray[np.uint64]  #: how many of its words were compared
    a: npt.NDArray[Any]  #: the codes
    b: npt.NDArray[Any]  #: the codes
    kinds: npt.NDArray[np.uint32]  #: the classes of its words: bit ``i`` stands for ``CLASSES[i]``

    def joined(self, touching: npt.NDArray[np.bool_], source: SourceType) -> Stretches:
        """Join neighbours with the same codes, if they touch and are of one sign."""
        if not self.first.size:
            return self
        sign = np.uint64(source.sign)
        same = touching & (self.a[1:] == self.a[:-1]) & (self.b[1:] == self.b[:-1])
        same &= (self.first[1:] >= sign) == (self.first[:-1] >= sign)
        heads = np.flatnonzero(np.append(True, ~same))
        tails = np.append(heads[1:], self.first.size) - 1
        return Stretches(
            self.first[heads],
            self.last[tails],
            np.add.reduceat(self.words, heads),
            self.a[heads],
            self.b[heads],
            np.bitwise_or.reduceat(self.kinds, heads),
        )

    def adjacent(self, source: SourceType) -> Stretches:
        """Join neighbours with no word between them."""
        return self.joined(self.first[1:] - self.last[:-1] == 1, source)

    def first_ones(self, most: int) -> Stretches:
        """Return the first so many."""
        return Stretches._make(column[:most] for column in self)

    def intervals(self, source: SourceType) -> tuple[Interval, ...]:
        """Return them as records."""
        return tuple(
            Interval(source, first, last, words, a, b, _names(kinds))
            for first, last, words, a, b, kinds in zip(
                *(column.tolist() for column in self), strict=True
            )
        )


def _names(kinds: int) -> tuple[str, ...]:
    """Return the names of a set of classes."""
    return tuple(name for i, name in enumerate(CLASSES) if kinds >> i & 1)


@dataclass(frozen=True, kw_only=True, repr=False)
class Difference:
    """
    Every input at which two conversions were seen to disagree.

    Parameters
    ----------
    name_a, name_b : str
        What they are called.
    fmt : Format
        The format of the codes.
    source : SourceType
        The type of the inputs.
    nan : NanRule
        When two codes of NaN counted as equal.
    domain : str
        What was compared, in a sentence.
    notes : tuple of str
        What the record does not say.
    cases : int
        Inputs that were compared.
    exact : bool
        Whether those are all words of the type.
    by_class : tuple of (str, int)
        Disagreeing inputs by class, those with none left out.
    intervals : tuple of Interval
        In the order of the words; the first ones, if an implementation has too many.
    """

    name_a: str
    name_b: str
    fmt: Format
    source: SourceType
    nan: NanRule
    domain: str
    notes: tuple[str, ...]
    cases: int
    exact: bool
    by_class: tuple[tuple[str, int], ...]
    intervals: tuple[Interval, ...]

    @property
    def count(self) -> int:
        """The number of inputs that disagree."""
        return sum(count for _, count in self.by_class)

    @property
    def omitted(self) -> int:
        """How many of them are in no interval, for there were too many intervals."""
        return self.count - sum(interval.count for interval in self.intervals)

    @property
    def equal(self) -> bool:
        """Whether inputs were compared and none disagrees."""
        return bool(self.cases) and not self.count

    @property
    def exit_code(self) -> int:
        """What a program should exit with: 0 if `equal`, else 1."""
        return 0 if self.equal else 1

    def code_text(self, code: int) -> str:
        """
        Write a code and what it stands for.

        Parameters
        ----------
        code : int
            A code of the format.

        Returns
        -------
        str
            Such as ``"7e = 448"``; a number beyond float64 is written as a product.
        """
        digits = f"{code:0{code_digits(self.fmt)}x}"
        kind = self.fmt.classify(code)
        if kind in {"nan", "infinity"}:
            minus = "-" if kind == "infinity" and code & self.fmt.sign_bit else ""
            return f"{digits} = {minus}{'nan' if kind == 'nan' else 'inf'}"
        if self.fmt.fits_float64:
            value = float(self.fmt.values[code])  # noqa: PD011 - nothing of pandas
            return f"{digits} = {value:.6g}"
        integer, exponent = self.fmt.decompose(code)
        return f"{digits} = {integer}*2^{exponent}"

    def to_dict(self) -> dict[str, Any]:
        """
        Return the record as a dictionary that JSON can hold.

        Returns
        -------
        dict
            Words and codes as hexadecimal text; with a ``schema`` number, which changes
            when the meaning of a key does.
        """
        return {
            "schema": SCHEMA,
            "equal": self.equal,
            "a": self.name_a,
            "b": self.name_b,
            "format": self.fmt.to_dict(),
            "source": self.source.name,
            **as_dict(self, "nan", "domain", "notes", "cases", "exact", "count"),
            "classes": dict(self.by_class),
            "intervals": [self._record(interval) for interval in self.intervals],
            "omitted": self.omitted,
        }

    def _record(self, interval: Interval) -> dict[str, Any]:
        low, high = interval.decimals
        return {
            "first": f"{interval.first:0{self.source.digits}x}",
            "last": f"{interval.last:0{self.source.digits}x}",
            "count": interval.count,
            "width": interval.width,
            "low": interval.low,
            "high": interval.high,
            "low_decimal": low,
            "high_decimal": high,
            "a": self.code_text(interval.code_a),
            "b": self.code_text(interval.code_b),
            "classes": list(interval.kinds),
        }

    def to_frame(self) -> pd.DataFrame:
        """
        Return the intervals as a table.

        Returns
        -------
        pandas.DataFrame
            A row per interval: first and last (words), count, width, low and high (hex
            floats), code_a and code_b, what these stand for as value_a and value_b
            (text), and classes.
        """
        import pandas as pd

        names = ("first", "last", "count", "width", "low", "high", "code_a", "code_b")
        columns = {name: [getattr(item, name) for item in self.intervals] for name in names}
        words = {name: np.array(columns[name], self.source.word) for name in ("first", "last")}
        values = {
            f"value_{side}": [
                self.code_text(code).partition(" = ")[2] for code in columns[f"code_{side}"]
            ]
            for side in "ab"
        }
        classes = {"classes": [", ".join(interval.kinds) for interval in self.intervals]}
        return pd.DataFrame(columns | words | values | classes)

    def __repr__(self) -> str:
        return in_a_line(self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        """Write the record for a terminal."""
        arrow = f"{self.source.name} -> {self.fmt.name}"
        if self.equal:
            verdict = "EQUAL" if self.exact else "NO DIFFERENCE FOUND"
            yield f"{verdict}: {printable(self.name_a)} and {printable(self.name_b)}, {arrow}"
        else:
            intervals = counted(len(self.intervals), "interval")
            yield f"DIFFERENT: {printable(self.name_a)} and {printable(self.name_b)}, {arrow}"
            yield f"  inputs    {self.count:,} of {self.cases:,} disagree, in {intervals}"
            if self.omitted:
                yield f"            and beyond, where {self.omitted:,} inputs were counted only"
        yield from wrapped("domain", f"{self.domain}; {counted(self.cases, 'case')}")
        yield f"  NaN       compared by {self.nan.value}"
        for note in self.notes:
            yield from wrapped("note", note)
        groups: dict[tuple[str, ...], list[Interval]] = {}
        for interval in self.intervals:
            # Both signs together: their intervals are mirror images as a rule.
            key = tuple(kind.removeprefix("-") for kind in interval.kinds)
            groups.setdefault(key, []).append(interval)
        largest = sorted(groups.items(), key=lambda item: -sum(i.count for i in item[1]))
        for kinds, intervals_of in largest[:GROUPS]:
            yield from self._group(kinds, intervals_of)
        hidden = sum(len(group) for _, group in largest[GROUPS:])
        if hidden:
            yield f"\n{counted(hidden, 'interval')} of other classes not shown"

    def _group(self, kinds: tuple[str, ...], intervals: list[Interval]) -> Iterator[str]:
        """Write the intervals whose inputs are of the same classes."""
        total = sum(interval.count for interval in intervals)
        yield (
            f"\n{', '.join(kinds)}: {counted(total, 'input')} "
            f"in {counted(len(intervals), 'interval')}"
        )
        heading = ("from", "to", "decimal", "inputs", *map(printable, (self.name_a, self.name_b)))
        yield from _columns([heading, *map(self._row, intervals[:SHOWN])])
        if len(intervals) > SHOWN:
            yield f"  ... and {counted(len(intervals) - SHOWN, 'more interval')}"

    def _row(self, interval: Interval) -> tuple[str, ...]:
        low, high = interval.decimals
        single = interval.width == 1
        tried = f"{interval.count:,}"
        return (
            interval.low,
            "" if single else interval.high,
            low if low == high else f"{low} to {high}",
            tried if interval.count == interval.width else f"{tried} of {interval.width:,}",
            self.code_text(interval.code_a),
            self.code_text(interval.code_b),
        )


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Align the cells of a table, the inputs to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if i == 3 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()

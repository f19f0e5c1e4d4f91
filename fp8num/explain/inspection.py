"""
Everything about one conversion: code, neighbours, error, flags.

::

    text -> Fraction -> round to odd -> float64 -> encode -> code      (rounded once)
                 '------------ distances and errors, exactly ------------'
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from fp8num._text import shorten
from fp8num.explain.codes import code_value
from fp8num.explain.numerals import WrittenNumber, round_to_odd

if TYPE_CHECKING:
    from fp8num.formats import Format
    from fp8num.projection import Projection

__all__ = [
    "ConversionOptions",
    "Ladder",
    "Neighbour",
    "Record",
    "finite",
    "inspect",
    "inspect_code",
]


@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """The options of a conversion, as `fp8num.encode` takes them."""

    rounding: str = "NearestTiesToEven"
    saturation: str = "SatFinite"
    like: str | None = None
    random_bits: int | None = None
    random_width: int | None = None


class Neighbour(NamedTuple):
    """A value of the format beside the number, and its distance from it."""

    code: int
    value: Fraction
    ulps: Fraction


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is shown of a number, or of a code, in a format."""

    fmt: Format
    code: int
    value: Fraction | float
    below: Neighbour | None
    above: Neighbour | None
    ulp: Fraction | None  #: the gap that the number lies in
    number: WrittenNumber | None = None
    projection: Projection | None = None
    conversion: ConversionOptions = ConversionOptions()
    flags: tuple[str, ...] = ()

    @property
    def error(self) -> Fraction | None:
        """Result less number, if both are finite."""
        if self.number is None:
            return None
        result, given = finite(self.value), finite(self.number.value)
        return None if result is None or given is None else result - given

    @property
    def relative_error(self) -> Fraction | None:
        """Error divided by the number, if that is not zero."""
        given = None if self.number is None else finite(self.number.value)
        return None if self.error is None or not given else self.error / given


def finite(value: Fraction | float) -> Fraction | None:
    """Return a finite number as a Fraction, -0 as 0; None for what is not finite."""
    if isinstance(value, Fraction):
        return value
    return Fraction(0) if value == 0 else None


def inspect(number: WrittenNumber, fmt: Format, conversion: ConversionOptions) -> Record:
    """Convert a number and say everything about it."""
    import numpy as np

    from fp8num.codec import encode, flags
    from fp8num.projection import get_projection

    options: dict[str, Any] = vars(conversion)
    x = np.float64(round_to_odd(number.value))
    code = int(encode(x, fmt, **options))
    raised = flags(x, fmt, **options)
    return Record(
        fmt=fmt,
        code=code,
        value=code_value(code, fmt),
        **_surroundings(finite(number.value), fmt),
        number=number,
        projection=get_projection(fmt, conversion.rounding, conversion.saturation, conversion.like),
        conversion=conversion,
        flags=tuple(
            name
            for name in ("inexact", "underflow", "overflow", "invalid")
            if getattr(raised, name)
        ),
    )


def inspect_code(written: str, fmt: Format) -> Record:
    """Say everything about a code."""
    try:
        code = int(written, 0)
    except ValueError:
        code = -1
    if not 0 <= code < 1 << fmt.bits:
        msg = (
            f"VALUE must be a code of {fmt.name}, from 0 to {(1 << fmt.bits) - 1:#x}, "
            f"got {shorten(written)!r}"
        )
        raise ValueError(msg)
    value = code_value(code, fmt)
    return Record(fmt=fmt, code=code, value=value, **_surroundings(finite(value), fmt))


def _surroundings(x: Fraction | None, fmt: Format) -> dict[str, Any]:
    """Return the neighbours of a number and the gap it lies in."""
    if x is None:
        return {"below": None, "above": None, "ulp": None}
    ladder = Ladder(fmt)
    ulp = ladder.gap(x)
    found: dict[str, Any] = {"ulp": ulp}
    for name, code in zip(("below", "above"), ladder.neighbours(x), strict=True):
        if code is None:
            found[name] = None
            continue
        value = finite(code_value(code, fmt))
        assert value is not None
        found[name] = Neighbour(code, value, abs(x - value) / ulp)
    return found


class Ladder:
    """The finite magnitudes of a format as exact numbers, found as they are asked for."""

    def __init__(self, fmt: Format) -> None:
        self.fmt = fmt
        self.count = len(fmt.magnitudes.codes)

    def magnitude(self, index: int) -> Fraction:
        """Return a magnitude; after the last what would follow it."""
        if index < self.count:
            integer, exponent = self.fmt.decompose(self.code(index))
        else:
            assert self.fmt.successor is not None
            integer, exponent = self.fmt.successor
        return integer * Fraction(2) ** exponent

    def code(self, index: int) -> int:
        """Return the code of a magnitude."""
        return int(self.fmt.magnitudes.codes[index])

    def index(self, x: Fraction) -> int:
        """Return the index of the largest magnitude up to that of x; -1 if there is none."""
        return bisect_right(range(self.count), abs(x), key=self.magnitude) - 1

    def gap(self, x: Fraction) -> Fraction:
        """Return the distance between the magnitudes on either side of x."""
        index = max(self.index(x), 0)
        if index + 1 == self.count and self.fmt.successor is None:
            index -= 1  # nothing follows: the gap below the largest value
        return self.magnitude(index + 1) - self.magnitude(index)

    def neighbours(self, x: Fraction) -> tuple[int | None, int | None]:
        """Return the codes of the next smaller and the next larger value, if there are such."""
        outer = self.index(x) + 1
        inner = bisect_left(range(self.count), abs(x), key=self.magnitude) - 1
        outward = self.code(outer) if outer < self.count else None
        inward = self.code(inner) if inner >= 0 else None
        if not self.fmt.signed:
            return (None, self.code(0)) if x < 0 else (inward, outward)
        if x == 0:
            return self._negative(outward), outward
        if inward is None:  # there is no zero: the values on its other side follow
            inward = self._negative(self.code(0))
            return (inward, outward) if x > 0 else (self._negative(outward), self.code(0))
        return (inward, outward) if x > 0 else (self._negative(outward), self._negative(inward))

    def _negative(self, code: int | None) -> int | None:
        """Return the code of minus a value; that of zero where there is no -0."""
        if code is None or (code == 0 and self.fmt.has_zero and not self.fmt.has_negative_zero):
            return code
        return self.fmt.negate_code(code)

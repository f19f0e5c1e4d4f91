"""
Hypothesis strategies for small floating-point formats.

::

    codes       values            one code, one value of a format
    code_arrays value_arrays      arrays of them; values near rounding boundaries
    rounding_boundaries           where a conversion decides, and the floats beside it
    formats                       formats themselves, at random
    roundings saturations projections

All shrink towards what is simple: code 0, the smallest magnitude, plus, a value rather
than a midpoint, the default projection, the narrowest signed format.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fp8num.formats import Format, Overflow, Specials, TabulatedFormat, get_format
from fp8num.projection import Projection, Rounding, Saturation

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "code_arrays",
    "codes",
    "formats",
    "projections",
    "rounding_boundaries",
    "roundings",
    "saturations",
    "value_arrays",
    "values",
]

# Codes and values.


def codes(fmt: Format | str, *, finite: bool = False) -> st.SearchStrategy[int]:
    """
    Generate codes of a format.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts.
    finite : bool, optional
        Whether to leave out the codes of infinities and NaNs.

    Returns
    -------
    SearchStrategy of int
        Shrinks to the code of zero (of the smallest value where there is none); a
        positive code is simpler than a negative one, a finite one than a special.

    Examples
    --------
    Every code is read and written back::

        @given(code=strategies.codes("E5M2", finite=True))
        def test_my_decoder(code):
            assert my_encode(my_decode(code)) == code
    """
    fmt = get_format(fmt)
    finite_codes, all_codes = _simplest_first(fmt)
    return st.sampled_from(finite_codes if finite else all_codes)


def values(fmt: Format | str, *, finite: bool = False) -> st.SearchStrategy[float]:
    """
    Generate values of a format.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts; float64 must hold its values.
    finite : bool, optional
        Whether to leave out infinities and NaNs.

    Returns
    -------
    SearchStrategy of float
        Each value as often as it has codes: -0, and NaN of both signs, where the format
        has them.  Shrinks as `codes` does.

    Raises
    ------
    ValueError
        If float64 cannot hold the values.

    Examples
    --------
    ::

        @given(value=strategies.values("E4M3FN", finite=True))
        def test_values_are_kept(value):
            assert my_quantize(value) == value
    """
    fmt = get_format(fmt)
    table = fmt.values
    return codes(fmt, finite=finite).map(lambda code: float(table[code]))


@lru_cache(maxsize=64)
def _simplest_first(fmt: Format) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the finite codes, by sign and magnitude, and all codes, NaNs at the end."""
    positive = [int(code) for code in fmt.magnitudes.codes]
    finite = dict.fromkeys(positive)
    if fmt.signed:
        skip = 1 if fmt.has_zero and not fmt.has_negative_zero else 0
        finite |= dict.fromkeys(fmt.negate_code(code) for code in positive[skip:])
    special = [code for code in range(1 << fmt.bits) if code not in finite]
    special.sort(key=lambda code: (fmt.classify(code) == "nan", code))
    return tuple(finite), (*finite, *special)


def code_arrays(
    fmt: Format | str, shape: int | tuple[int, ...] | st.SearchStrategy[tuple[int, ...]]
) -> st.SearchStrategy[npt.NDArray[Any]]:
    """
    Generate arrays of codes.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts.
    shape : int, tuple of int, or a strategy of tuples
        Shape of the arrays.

    Returns
    -------
    SearchStrategy of ndarray of uint8 (uint16 above 8 bits)
        Shrinks to zeros.

    Examples
    --------
    Arrays of an ml_dtypes type, which Hypothesis alone cannot make, are views::

        strategies.code_arrays("E5M2", (3, 4)).map(lambda a: a.view(ml_dtypes.float8_e5m2))
    """
    fmt = get_format(fmt)
    return hnp.arrays(fmt.code_dtype, shape, elements=codes(fmt))


# Where a conversion decides.


class _Source(NamedTuple):
    """A type that values come in; `shift` puts its words at the top of the array's words."""

    precision: int
    emin: int
    dtype: np.dtype[Any]
    shift: int = 0

    @property
    def word(self) -> np.dtype[Any]:
        """The unsigned integers that hold the bits."""
        return np.dtype(f"u{self.dtype.itemsize}")

    @property
    def infinity(self) -> int:
        """The word of infinity, one more than that of the largest finite number."""
        return (2 - 2 * self.emin + 1) << (self.precision - 1)  # emax = 1 - emin

    @property
    def specials(self) -> tuple[int, ...]:
        """Words that every conversion should be tried with, the simplest first."""
        hidden = 1 << (self.precision - 1)
        infinity = self.infinity
        # Quiet NaNs only: passing a signalling one around changes it, with a warning.
        nans = (infinity | hidden >> 1, infinity | hidden - 1)
        return (0, 1, hidden, infinity - 1, infinity, *nans)

    def place(self, magnitude: Fraction) -> int:
        """Return the word of the nearest finite float, ties to even."""
        if magnitude == 0:
            return 0
        exponent = max(_floor_log2(magnitude), self.emin)
        scaled = magnitude / Fraction(2) ** (exponent - self.precision + 1)
        # Packing by addition: the hidden bit is worth one in the exponent field.
        place = round(scaled) + ((exponent - self.emin) << (self.precision - 1))
        return min(place, self.infinity - 1)

    def bits(self, word: int, *, negative: bool) -> int:
        """Return the bits of a float, given those of its magnitude."""
        return word << self.shift | int(negative) << (8 * self.dtype.itemsize - 1)

    def scalar(self, bits: int) -> np.floating[Any]:
        """Return the float that has these bits, whatever they are."""
        array: npt.NDArray[Any] = np.array([bits], self.word).view(self.dtype)
        found: np.floating[Any] = array[0]
        return found


_SOURCES = {
    "float16": _Source(11, -14, np.dtype(np.float16)),
    "bfloat16": _Source(8, -126, np.dtype(np.float32), shift=16),
    "float32": _Source(24, -126, np.dtype(np.float32)),
    "float64": _Source(53, -1022, np.dtype(np.float64)),
}


def _source(dtype: npt.DTypeLike) -> _Source:
    """Return the source type of a name or dtype; bfloat16 needs no ml_dtypes."""
    name = "bfloat16" if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype).name
    if name not in _SOURCES:
        msg = f"dtype must be one of {', '.join(_SOURCES)}, got {name}"
        raise ValueError(msg)
    return _SOURCES[name]


def _floor_log2(x: Fraction) -> int:
    """Return the exponent of a positive number."""
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= x else exponent - 1


def rounding_boundaries(
    fmt: Format | str, dtype: npt.DTypeLike = np.float64, *, finite: bool = False
) -> st.SearchStrategy[np.floating[Any]]:
    """
    Generate floats at which a conversion to a format decides.

    These are the values of the format and the value that would follow the largest; the
    midpoints between them, and for posit8 the midpoints on the encoding too; the floats
    on either side of all those; and what every conversion should be tried with: zeros,
    the source type's own subnormals, largest number, infinities and NaNs, of both signs
    and with different payloads.  The largest value and the edges of the subnormals come
    often.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts; float64 must hold its values.
    dtype : dtype or str, optional
        Type that values come in: float16, bfloat16, float32 or float64.  Where it cannot
        hold a midpoint, the nearest float stands for it.
    finite : bool, optional
        Whether to leave out infinities and NaNs.

    Returns
    -------
    SearchStrategy of NumPy float
        Scalars of the type; those of bfloat16 are float32.  Shrinks to +0; plus is
        simpler than minus, a value than a midpoint, either than the floats beside it, a
        small magnitude than a large one.

    Raises
    ------
    ValueError
        If float64 cannot hold the values, or `dtype` is none of these.

    Examples
    --------
    A hundred of these find a converter that rounds twice, or takes ties the wrong way::

        @given(x=strategies.rounding_boundaries("E4M3FN", np.float32))
        def test_my_converter(x):
            assert my_encode(x) == fp8num.encode(x, "E4M3FN")
    """
    source = _source(dtype)
    return _words(get_format(fmt), source, finite=finite).map(source.scalar)


def value_arrays(
    fmt: Format | str,
    dtype: npt.DTypeLike,
    shape: int | tuple[int, ...] | st.SearchStrategy[tuple[int, ...]],
    *,
    finite: bool = False,
) -> st.SearchStrategy[npt.NDArray[np.floating[Any]]]:
    """
    Generate arrays of floats at which a conversion to a format decides.

    Parameters
    ----------
    fmt, dtype, finite
        As for `rounding_boundaries`.
    shape : int, tuple of int, or a strategy of tuples
        Shape of the arrays.

    Returns
    -------
    SearchStrategy of ndarray
        Of `dtype`; of float32 for bfloat16, whose ``astype`` to bfloat16 is exact.
        Shrinks to zeros.

    Raises
    ------
    ValueError
        As `rounding_boundaries`.

    Examples
    --------
    ::

        @given(x=strategies.value_arrays("E5M2", np.float32, (4, 32)))
        def test_my_kernel(x):
            np.testing.assert_array_equal(my_encode(x), fp8num.encode(x, "E5M2"))
    """
    source = _source(dtype)
    words = _words(get_format(fmt), source, finite=finite)
    # Arrays of words and a view, as assigning a float may change a NaN's bits.
    arrays = hnp.arrays(source.word, shape, elements=words, fill=words)
    return arrays.map(lambda array: array.view(source.dtype))


def _words(fmt: Format, source: _Source, *, finite: bool) -> st.SearchStrategy[int]:
    """Generate the bits of `rounding_boundaries`."""
    fmt.require_float64()
    count, edges = _count(fmt), _edges(fmt)
    last = len(fmt.magnitudes.codes) - 1
    overflow = source.place(_boundary(fmt, "midpoint", last))
    specials = [
        word for word in (*source.specials, overflow) if not finite or word < source.infinity
    ]
    # Of all places, a third are edges and a fifth specials: each one of them comes often.
    edges *= max(1, 7 * count // (9 * len(edges)))
    specials *= max(1, 4 * count // (9 * len(specials)))
    top = source.infinity - 1 if finite else source.infinity

    def bits(choices: tuple[bool, str, int, int]) -> int:
        negative, kind, side, index = choices
        if index >= count + len(edges):
            return source.bits(specials[index - count - len(edges)], negative=negative)
        if index >= count:
            index = edges[index - count]
        word = source.place(_boundary(fmt, kind, index)) + side
        return source.bits(min(max(word, 0), top), negative=negative)

    kinds = ("value", "midpoint", "encoding")[: 3 if isinstance(fmt, TabulatedFormat) else 2]
    # One integer for all places, and not a strategy for each sort: shrinking finds its way
    # from a special or an edge to the first place that will do.
    index = st.integers(0, count + len(edges) + len(specials) - 1)
    side = st.sampled_from((0, 0, -1, 1))  # at it as often as beside it
    return st.tuples(st.booleans(), st.sampled_from(kinds), side, index).map(bits)


def _edges(fmt: Format) -> list[int]:
    """Return the indices of the places where the rule changes: zero, subnormals, overflow."""
    last = len(fmt.magnitudes.codes) - 1
    around = {0, max(fmt.first_normal - 1, 0), fmt.first_normal, last}
    return sorted(around if fmt.successor is None else {*around, last + 1})


def _boundary(fmt: Format, kind: str, index: int) -> Fraction:
    """Return a magnitude, or where the gap above it is divided if there is one."""
    if kind == "encoding":
        assert isinstance(fmt, TabulatedFormat)
        if index < len(fmt.nearest):
            integer, exponent, _ = fmt.nearest[index]
            return integer * Fraction(2) ** exponent
    low = _magnitude(fmt, index)
    if kind != "midpoint" or index + 1 >= _count(fmt):
        return low
    return (low + _magnitude(fmt, index + 1)) / 2


def _count(fmt: Format) -> int:
    """Return the number of magnitudes, with what would follow the largest."""
    return len(fmt.magnitudes.codes) + (fmt.successor is not None)


def _magnitude(fmt: Format, index: int) -> Fraction:
    """Return a magnitude, or what would follow the largest."""
    table = fmt.magnitudes.codes
    dyadic = fmt.decompose(int(table[index])) if index < len(table) else fmt.successor
    assert dyadic is not None
    return dyadic[0] * Fraction(2) ** dyadic[1]


# Formats and projections.

#: Families in the order of shrinking.
_FAMILIES = (
    Specials.NONE,
    Specials.FN,
    Specials.IEEE,
    Specials.FNUZ,
    Specials.FINITE,
    Specials.EXTENDED,
)
#: More, and float64 cannot hold every bias.
_MOST_EXPONENT_BITS = 10


def formats(
    max_bits: int = 8,
    *,
    min_bits: int = 2,
    specials: Collection[Specials | str] = _FAMILIES,
    signed: bool | None = None,
    subnormals: bool | None = None,
) -> st.SearchStrategy[Format]:
    """
    Generate formats given by parameters.

    Parameters
    ----------
    max_bits, min_bits : int, optional
        The widest and the narrowest, 2 to 16.
    specials : collection of Specials or str, optional
        The families to draw from.
    signed, subnormals : bool, optional
        Whether all formats have a sign, or subnormals; None means either.

    Returns
    -------
    SearchStrategy of Format
        Any legal combination of parameters, with biases other than the family's and
        every possible result of overflow; float64 holds the values of each.  A format
        is named by its spelling, which `get_format` reads.  Shrinks to
        ``w1m0b0-none``, whose values are 0, 2, -0 and -2.

    Raises
    ------
    ValueError
        If no format is like that.

    Examples
    --------
    ::

        @given(data=st.data(), fmt=strategies.formats(max_bits=6))
        def test_my_library_for_any_format(data, fmt):
            x = data.draw(strategies.rounding_boundaries(fmt))
            assert my_encode(x, fmt) == fp8num.encode(x, fmt)
    """
    families = {Specials(family) for family in specials}
    shapes = [
        shape
        for shape in _shapes()
        if shape.specials in families
        and min_bits <= shape.bits <= max_bits
        and signed in {None, shape.signed}
        and subnormals in {None, shape.subnormals}
    ]
    if not shapes:
        names = [family.value for family in _FAMILIES if family in families]
        msg = (
            f"min_bits={min_bits}, max_bits={max_bits}, specials={names}, signed={signed} and "
            f"subnormals={subnormals} leave no format; allow more"
        )
        raise ValueError(msg)
    return _formats(shapes)


@st.composite
def _formats(draw: st.DrawFn, shapes: list[_Shape]) -> Format:
    """Draw one parameter after the other, so that each shrinks by itself."""
    # Widths are drawn as often as there are formats of them; the exponent bits are the rest.
    bits = draw(st.sampled_from(sorted(shape.bits for shape in shapes)))
    shapes = [shape for shape in shapes if shape.bits == bits]
    for name in ("signed", "subnormals", "mantissa_bits", "specials"):
        choices = list(dict.fromkeys(getattr(shape, name) for shape in shapes))
        # A single choice would not be drawn, and those after it would take its place.
        chosen = draw(st.sampled_from(choices * 2 if len(choices) == 1 else choices))
        shapes = [shape for shape in shapes if getattr(shape, name) == chosen]
    overflow = draw(st.sampled_from(_overflows(shapes[0].specials)))
    offset = draw(st.just(0) | st.integers(-8, 8) | st.integers(-400, 400))
    return _named(shapes[0], offset, overflow)


class _Shape(NamedTuple):
    """The parameters of a format but its bias and overflow."""

    specials: Specials
    signed: bool
    subnormals: bool
    exponent_bits: int
    mantissa_bits: int

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.signed + self.exponent_bits + self.mantissa_bits


@lru_cache(maxsize=1)
def _shapes() -> tuple[_Shape, ...]:
    """Return what `Format` accepts, in the order of shrinking."""
    found = []
    for signed, subnormals, mantissa_bits, exponent_bits, family in product(
        (True, False), (True, False), range(16), range(1, _MOST_EXPONENT_BITS + 1), _FAMILIES
    ):
        shape = _Shape(family, signed, subnormals, exponent_bits, mantissa_bits)
        try:
            Format(name="?", **shape._asdict())
        except ValueError:  # what is legal is said there and nowhere else
            continue
        found.append(shape)
    return tuple(found)


def _overflows(family: Specials) -> list[Overflow | None]:
    """Return the possible results of overflow, the family's own first."""
    other = [Overflow.INFINITY] * family.has_infinity + [Overflow.NAN] * family.has_nan
    return [None, Overflow.MAX, *other]


def _named(shape: _Shape, offset: int, overflow: Overflow | None) -> Format:
    """Return a format whose name is its spelling."""
    fmt = Format(name="?", **shape._asdict(), overflow=overflow)
    assert fmt.bias is not None
    fmt = replace(fmt, bias=fmt.bias + offset)
    return replace(fmt, name=fmt.spelling)


def roundings(*, stochastic: bool = False) -> st.SearchStrategy[Rounding]:
    """
    Generate rounding modes.

    Parameters
    ----------
    stochastic : bool, optional
        Whether to generate the stochastic modes too; they need random bits.

    Returns
    -------
    SearchStrategy of Rounding
        Shrinks to nearest with ties to even.
    """
    return st.sampled_from([mode for mode in Rounding if stochastic or not mode.is_stochastic])


def saturations() -> st.SearchStrategy[Saturation]:
    """
    Generate what a number beyond the range becomes.

    Returns
    -------
    SearchStrategy of Saturation
        Shrinks to SatFinite.
    """
    return st.sampled_from(list(Saturation))


def projections(*, stochastic: bool = False) -> st.SearchStrategy[Projection]:
    """
    Generate projections: a rounding mode and a saturation mode.

    Parameters
    ----------
    stochastic : bool, optional
        Whether to generate the stochastic modes too; they need random bits.

    Returns
    -------
    SearchStrategy of Projection
        Shrinks to the default, nearest with ties to even and SatFinite.
    """
    return st.builds(
        Projection, rounding=roundings(stochastic=stochastic), saturation=saturations()
    )

"""
Strategies for the numbers at which a conversion decides.

::

      value      tie       value      tie        value            successor
    ----|---------|----------|---------|----------|---- ... --------|----
       -=+       -=+        -=+       -=+        -=+               -=+

Each place is put among the words of the source type exactly, and drawn as often as the
floats on both its sides.  Words are drawn and made floats in the end, as an array: a NaN
that is passed on as a number may change its bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fp8num.formats import Format, TabulatedFormat, get_format
from fp8num.verify.cases import nan_payloads
from fp8num.verify.classes import gaps
from fp8num.verify.sources import SOURCES, SourceType, get_source

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["boundary_arrays", "rounding_boundaries", "value_arrays"]

#: Values of the format that the floats of one array lie around.
MOST_GROUPS = 1 << 12
#: Stands for any NaN among the special words.
_NAN = -1


def rounding_boundaries(
    fmt: Format | str, dtype: npt.DTypeLike = np.float64, *, finite: bool = False
) -> st.SearchStrategy[np.floating[Any]]:
    """
    Generate floats at which a conversion to a format decides.

    These are the values of the format and the value that would follow the largest; the
    midpoints between them, and for posit8 the midpoints on the encoding too; the floats
    on either side of all those; and what every conversion should be tried with: zeros,
    the source type's own subnormals, largest number, infinities and NaNs, of both signs,
    quiet and signalling, with any payload.  The largest value and the edges of the subnormals come
    often.

    Parameters
    ----------
    fmt : Format or str
        The format, or what `get_format` accepts; float64 must hold its values.
    dtype : dtype or str, optional
        Type that values come in: float16, bfloat16, float32 or float64.  Where it cannot
        hold a place, the largest float below stands for it.
    finite : bool, optional
        Whether to leave out infinities and NaNs.

    Returns
    -------
    SearchStrategy of NumPy float
        Scalars of the type; those of bfloat16 are float32.  Shrinks to +0; plus is
        simpler than minus, a value than a midpoint, either than the floats beside it, a
        small magnitude than a large one, the quiet NaN than others.

    Raises
    ------
    ValueError
        If float64 cannot hold the values, or `dtype` is none of these.

    Notes
    -----
    NumPy warns when a signalling NaN becomes a float of another width, which makes it quiet;
    a test that does so wants ``np.errstate(invalid="ignore")``.

    Examples
    --------
    A hundred of these find a converter that rounds twice, or takes ties the wrong way::

        @given(x=strategies.rounding_boundaries("E4M3FN", np.float32))
        def test_my_converter(x):
            assert my_encode(x) == fp8num.encode(x, "E4M3FN")
    """
    source = _source(dtype)
    words = _words(get_format(fmt), source, finite=finite)
    return words.map(lambda word: _floats(np.array([word], source.word), source)[0])


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
        Of `dtype`; of float32 for bfloat16, whose ``astype`` to bfloat16 is exact but for the
        payload of a NaN (their upper 16 bits are the bfloat16).
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
    arrays = hnp.arrays(source.word, shape, elements=words, fill=words)
    return arrays.map(lambda array: _floats(array, source))


def boundary_arrays(
    fmt: Format | str, dtype: npt.DTypeLike = np.float64, *, finite: bool = False
) -> st.SearchStrategy[npt.NDArray[np.floating[Any]]]:
    """
    Generate arrays of all floats at which a conversion decides, between two values.

    From one value of the format to another, an array holds all magnitudes that
    `rounding_boundaries` draws, ascending, and perhaps the specials.  Where one by one it
    takes thousands of examples to meet a single wrong code, the first few arrays hold it,
    and shrinking leaves what lies around it.

    Parameters
    ----------
    fmt, dtype, finite
        As for `rounding_boundaries`.

    Returns
    -------
    SearchStrategy of ndarray, one-dimensional
        Of `dtype`; of float32 for bfloat16.  Positive, negative, or first one and then the
        other; around at most 4096 values.  Shrinks to what lies around +0; to the floats
        around one value and the midpoint above it, of one sign, plus if that will do.

    Raises
    ------
    ValueError
        As `rounding_boundaries`.

    Examples
    --------
    A hundred of these find one tie of any format that is rounded the wrong way::

        @given(data=st.data(), fmt=strategies.formats())
        def test_my_kernel_for_any_format(data, fmt):
            x = data.draw(strategies.boundary_arrays(fmt, np.float32))
            np.testing.assert_array_equal(my_encode(x, fmt), fp8num.encode(x, fmt))
    """
    source = _source(dtype)
    fmt = get_format(fmt)
    fmt.require_float64()
    words, starts = _ladder(fmt, source)
    specials = [word for word in _specials(source) if not finite or word < source.infinity]
    nans = [] if finite else nan_payloads(source).words.tolist()
    specials += [word for word in nans if word < source.sign]
    groups = len(starts) - 1
    most = min(groups, MOST_GROUPS)

    def array(
        choices: tuple[tuple[bool, ...], bool, int, int],
    ) -> npt.NDArray[np.floating[Any]]:
        signs, with_specials, last, count = choices
        last = min(last, groups - 1)
        first = max(last + 1 - min(count, most), 0)
        part = words[starts[first] : starts[last + 1]]
        if with_specials:
            part = np.append(part, np.array(specials, source.word))
        part = np.unique(part)
        signed = [part | source.word.type(source.sign * negative) for negative in signs]
        return _floats(np.concatenate(signed), source)

    # The end first, then how many groups lie before it: each shrinks by itself.  Half of
    # either are beyond the ladder, so that arrays often hold its end, its beginning or all.
    signs = st.sampled_from(((False,), (True,), (False, True)))
    last, count = st.integers(0, 2 * groups - 1), st.integers(1, 2 * most)
    return st.tuples(signs, st.booleans(), last, count).map(array)


def _source(dtype: npt.DTypeLike) -> SourceType:
    """Return the source type of a name or dtype; ValueError if there is none."""
    try:
        return get_source(dtype)
    except ValueError:
        given = getattr(dtype, "__name__", dtype)
        msg = f"dtype must be one of {', '.join(SOURCES)}, got {given}"
        raise ValueError(msg) from None


def _floats(words: npt.NDArray[Any], source: SourceType) -> npt.NDArray[np.floating[Any]]:
    """Return the floats that words are the bits of; those of bfloat16 as float32."""
    found: npt.NDArray[np.floating[Any]]
    if source.name == "bfloat16":  # the upper half of a float32, and no ml_dtypes is needed
        found = (words.astype(np.uint32) << np.uint32(16)).view(np.float32)
    else:
        found = words.view(source.dtype)
    return found


def _specials(source: SourceType) -> tuple[int, ...]:
    """Return magnitudes that every conversion should be tried with, the simplest first."""
    hidden = 1 << source.layout.mantissa_bits
    return (0, 1, hidden, source.infinity - 1, source.infinity)


def _nans(source: SourceType) -> tuple[int, ...]:
    """Return positive NaNs of every kind: quiet and signalling, the least and the most payload."""
    quiet = source.quiet
    return tuple(source.infinity | part for part in (quiet, 2 * quiet - 1, 1, quiet - 1, quiet | 1))


def _words(fmt: Format, source: SourceType, *, finite: bool) -> st.SearchStrategy[int]:
    """Generate the bits of `rounding_boundaries`."""
    fmt.require_float64()
    count, edges = len(gaps(fmt)) + 1, _edges(fmt)
    last = len(fmt.magnitudes.codes) - 1
    overflow, _ = source.place(_boundary(fmt, "midpoint", last))
    specials = [
        word for word in (*_specials(source), overflow) if not finite or word < source.infinity
    ]
    specials += [] if finite else [_NAN] * 2
    # Of all places, a third are edges and a fifth specials: each one of them comes often.
    edges *= max(1, 7 * count // (9 * len(edges)))
    specials *= max(1, 4 * count // (9 * len(specials)))
    top = source.infinity - 1 if finite else source.infinity

    def bits(choices: tuple[bool, str, int, int, int]) -> int:
        negative, kind, side, index, nan = choices
        sign = source.sign * negative
        if index >= count + len(edges):
            word = specials[index - count - len(edges)]
            return (nan if word == _NAN else word) | sign
        if index >= count:
            index = edges[index - count]
        place, _ = source.place(_boundary(fmt, kind, index))
        return min(max(place + side, 0), top) | sign

    # One integer for all places, and not a strategy for each sort: shrinking finds its way
    # from a special or an edge to the first place that will do.
    index = st.integers(0, count + len(edges) + len(specials) - 1)
    side = st.sampled_from((0, 0, -1, 1))  # at it as often as beside it
    nan = st.just(0) if finite else _nan_words(source)
    return st.tuples(st.booleans(), st.sampled_from(_kinds(fmt)), side, index, nan).map(bits)


def _nan_words(source: SourceType) -> st.SearchStrategy[int]:
    """Generate positive NaNs: half of them the simple ones, half with any payload."""
    anything = st.integers(source.infinity + 1, source.sign - 1)
    return st.sampled_from(_nans(source)) | anything


def _edges(fmt: Format) -> list[int]:
    """Return the indices of the places where the rule changes: zero, subnormals, overflow."""
    last = len(fmt.magnitudes.codes) - 1
    around = {0, max(fmt.first_normal - 1, 0), fmt.first_normal, last}
    return sorted(around if fmt.successor is None else {*around, last + 1})


def _kinds(fmt: Format) -> tuple[str, ...]:
    """Return what there is at each index; a table need not divide a gap in its middle."""
    return ("value", "midpoint", "encoding")[: 3 if isinstance(fmt, TabulatedFormat) else 2]


def _boundary(fmt: Format, kind: str, index: int) -> Fraction:
    """Return a magnitude, or where the gap above it is divided if there is one."""
    ladder = gaps(fmt)
    if index == len(ladder):
        return ladder[-1].high
    low, place, high = ladder[index]
    return {"value": low, "midpoint": (low + high) / 2, "encoding": place}[kind]


@lru_cache(maxsize=32)
def _ladder(fmt: Format, source: SourceType) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
    """Return the words around the places of each index, ascending, and where each begins."""
    found: list[int] = []
    starts = []
    for index in range(len(gaps(fmt)) + 1):
        places = {source.place(_boundary(fmt, kind, index))[0] for kind in _kinds(fmt)}
        words = {place + side for place in places for side in (-1, 0, 1)}
        starts.append(len(found))
        found += sorted(word for word in words if 0 <= word < source.infinity)
    return np.array(found, source.word), (*starts, len(found))

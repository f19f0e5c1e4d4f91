"""
Everything, what lies around the places where a conversion decides, and the ends of a type.

::

    value        middle        value            each with the largest number up to it, the
    ---|-----------|-------------|----->        numbers on both sides, and those that a
      ***   *  *  ***  *  *     ***             detour through a narrower type takes for it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.formats import get_format
from fp8num.verify.cases.sets import CaseSet
from fp8num.verify.classes import gaps
from fp8num.verify.sources import SOURCES, get_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from fractions import Fraction

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = [
    "EDGE",
    "all_codes",
    "boundaries",
    "every",
    "nan_payloads",
    "overflow_edges",
    "specials",
    "subnormal_edges",
]

#: Words on each side of an edge that are in the sets of edges.
EDGE = 64

# Everything.


def all_codes(fmt: Format | str) -> CaseSet:
    """
    Return every code of a format, for decoders.

    Parameters
    ----------
    fmt : Format or str
        The format.

    Returns
    -------
    CaseSet
        The codes, ascending.

    Examples
    --------
    >>> all_codes("E5M2").by_class()
    {'zero': 2, 'subnormal': 6, 'normal': 240, 'infinity': 2, 'nan': 6}
    """
    fmt = get_format(fmt)
    count = 1 << fmt.bits
    return CaseSet(
        "all codes",
        f"all {count} codes of {fmt.name}",
        np.arange(count).astype(fmt.code_dtype),
        exhaustive=True,
        fmt=fmt,
    )


def every(source: SourceType | npt.DTypeLike | str, fmt: Format | str | None = None) -> CaseSet:
    """
    Return every word of a 16-bit type.

    Parameters
    ----------
    source : SourceType, str or dtype
        float16 or bfloat16.
    fmt : Format or str, optional
        The format to count classes for.

    Returns
    -------
    CaseSet
        The words, ascending.

    Raises
    ------
    ValueError
        If the type is wider.
    """
    source = get_source(source)
    if source.bits > 16:
        msg = (
            f"source must have 16 bits to list every word, got {source.name}, which has "
            f"2**{source.bits}; use a sweep for all float32 numbers, or structured()"
        )
        raise ValueError(msg)
    return CaseSet(
        f"every {source.name}",
        f"all {1 << source.bits} {source.name} words: zeros, numbers, infinities, NaNs",
        source.every(),
        exhaustive=True,
        source=source,
        fmt=None if fmt is None else get_format(fmt),
    )


# Around where a conversion decides.


def boundaries(fmt: Format | str, source: SourceType | npt.DTypeLike | str) -> CaseSet:
    """
    Return what lies at and beside every place where a conversion may change its result.

    Parameters
    ----------
    fmt : Format or str
        The format.
    source : SourceType, str or dtype
        The type of the inputs.

    Returns
    -------
    CaseSet
        Words, ascending.

    Notes
    -----
    The points are the values, the middles of the gaps between them, where a tabulated
    format divides a gap elsewhere that place too, and the successor of the largest value;
    all of both signs, for an unsigned format too.  Of each point there are the largest
    number up to it and the numbers on both sides of that; and, for each narrower type, the
    numbers that a detour through it rounds onto the point: half and a quarter of its last
    place away, so that whoever rounds twice takes a number beside a tie for the tie.
    """
    fmt, source = get_format(fmt), get_source(source)
    points = list(_points(fmt))
    detours = [other for other in SOURCES.values() if other.precision < source.precision]
    # Within a binade a step of the words is a step of the numbers; below a power of two
    # steps are half as wide, and so is the distance from which rounding goes up to it.
    halves = [1 << (source.precision - other.precision - 1) for other in detours]
    steps = {-1, 0, 1}
    steps |= {sign * step for half in halves for step in (half, half // 2) for sign in (-1, 1)}
    near = "the largest number up to each, and the numbers on both sides of that"
    if detours:
        names = ", ".join(other.name for other in detours)
        near += f", and those half and a quarter of a last place of {names} away"
    places = "midpoints and the places where nearest divides a gap"
    return CaseSet(
        "boundaries",
        f"{len(points)} points of {fmt.name}: values, {places}, and what follows the largest "
        f"value; of both signs, in {source.name}: {near}",
        _around(points, steps, source),
        source=source,
        fmt=fmt,
    )


def _points(fmt: Format) -> Iterator[Fraction]:
    """Yield where a conversion may change: no point twice, as hashing fractions is slow."""
    ladder = gaps(fmt)
    yield ladder[0].low
    for low, place, high in ladder:
        middle = (low + high) / 2
        yield middle
        if place not in (low, middle, high):
            yield place
        yield high


def subnormal_edges(fmt: Format | str, source: SourceType | npt.DTypeLike | str) -> CaseSet:
    """
    Return what lies around the smallest value and the smallest normal number.

    Parameters
    ----------
    fmt : Format or str
        The format.
    source : SourceType, str or dtype
        The type of the inputs.

    Returns
    -------
    CaseSet
        `EDGE` words on each side of the smallest value, of the smallest normal number, and
        of the places where rounding goes to the value above or below either.
    """
    fmt, source = get_format(fmt), get_source(source)
    ladder = gaps(fmt)
    smallest = next(i for i, gap in enumerate(ladder) if gap.low > 0)
    edges = (smallest, fmt.first_normal)
    beside = {i for edge in edges for i in (edge - 1, edge) if 0 <= i < len(ladder)}
    points = {ladder[edge].low for edge in edges} | {ladder[i].place for i in beside}
    what = "the smallest value and the smallest normal number"
    return _edges("subnormal edges", what, points, fmt, source)


def overflow_edges(fmt: Format | str, source: SourceType | npt.DTypeLike | str) -> CaseSet:
    """
    Return what lies around the largest value and its successor.

    Parameters
    ----------
    fmt : Format or str
        The format.
    source : SourceType, str or dtype
        The type of the inputs.

    Returns
    -------
    CaseSet
        `EDGE` words on each side of the largest value, of what follows it, of the places
        where rounding goes from one to the other, and of twice the largest value.
    """
    fmt, source = get_format(fmt), get_source(source)
    last = len(fmt.magnitudes.codes) - 1
    ladder = gaps(fmt)
    points = {number for gap in ladder[last - 1 :] for number in (gap.place, gap.high)}
    points.add(2 * ladder[-1].high)
    what = "the largest value, what follows it and twice that"
    return _edges("overflow edges", what, points, fmt, source)


def _edges(name: str, what: str, points: set[Fraction], fmt: Format, source: SourceType) -> CaseSet:
    """Return the words around a few points."""
    return CaseSet(
        name,
        f"{EDGE} {source.name} numbers on each side of {what} of {fmt.name}, and of the places "
        "beside them where rounding decides, of both signs",
        _around(points, set(range(-EDGE, EDGE + 1)), source),
        source=source,
        fmt=fmt,
    )


def _around(points: Iterable[Fraction], steps: set[int], source: SourceType) -> npt.NDArray[Any]:
    """Return the finite words so many steps from points, of both signs, ascending."""
    places = np.array([source.place(point)[0] for point in points], np.int64)
    words = np.unique(places[:, None] + np.array(sorted(steps)))
    return _signed(words[(words >= 0) & (words < source.infinity)], source)


def _signed(magnitudes: npt.NDArray[Any], source: SourceType) -> npt.NDArray[Any]:
    """Return words of both signs, the positive ones first."""
    words = np.asarray(magnitudes).astype(np.uint64)
    return np.concatenate([words, words | np.uint64(source.sign)]).astype(source.word)


# The ends of a type.


def specials(source: SourceType | npt.DTypeLike | str) -> CaseSet:
    """
    Return the ends of a type's ranges, of both signs.

    Parameters
    ----------
    source : SourceType, str or dtype
        The type.

    Returns
    -------
    CaseSet
        Zero, the smallest and the largest subnormal, the smallest normal, one, the largest
        number, infinity.

    Examples
    --------
    >>> cases = specials("float16")
    >>> [cases.source.hex(word) for word in cases.words[4:7].tolist()]
    ['0x1.0000000000000p+0', '0x1.ffc0000000000p+15', 'inf']
    """
    source = get_source(source)
    hidden = 1 << source.layout.mantissa_bits
    one = source.layout.bias << source.layout.mantissa_bits
    words = [0, 1, hidden - 1, hidden, one, source.infinity - 1, source.infinity]
    return CaseSet(
        "specials",
        f"of {source.name}, of both signs: zero, the smallest and largest subnormal, the "
        "smallest normal, one, the largest number, infinity",
        _signed(np.array(words, np.uint64), source),
        source=source,
    )


def nan_payloads(source: SourceType | npt.DTypeLike | str) -> CaseSet:
    """
    Return NaNs of every kind, of both signs.

    Parameters
    ----------
    source : SourceType, str or dtype
        The type.

    Returns
    -------
    CaseSet
        Quiet and signalling ones, with no other bit of the payload, one, and all of them.
    """
    source = get_source(source)
    quiet = source.quiet
    bits = [1 << i for i in range(source.layout.mantissa_bits - 1)]
    payloads = [*bits, quiet - 1, quiet, *(quiet | bit for bit in bits), 2 * quiet - 1]
    words = [source.infinity + payload for payload in payloads]
    return CaseSet(
        "NaN payloads",
        f"NaNs of {source.name}, of both signs, quiet and signalling, with each single bit of "
        "the payload, with all, and the quiet one with none",
        _signed(np.array(words, np.uint64), source),
        source=source,
    )

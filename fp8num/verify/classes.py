"""
What kind of input a word is for a format.

::

    0          smallest        value         place          value      largest     successor
    |----------|-------- ... --|----------[=====|=====]-----|-- ... ---|-----------|------->
    zero  below smallest      value between near tie near  value       overflow    overflow
                                                                       by rounding

The place is where rounding to nearest goes from one value to the next: half way, or where a
tabulated format says.  Every line is put among the words exactly, as a fraction, once for
each format and source; a word is then classified by bisection, as an integer.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num.formats import TabulatedFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = [
    "CLASSES",
    "NEAR",
    "Gap",
    "check_words",
    "class_runs",
    "classify",
    "gaps",
    "possible_classes",
]

#: The kinds of input, in the order of their indices.
CLASSES = (
    "zero",
    "-zero",
    "below smallest",
    "subnormal value",
    "subnormal tie",
    "near subnormal tie",
    "subnormal between",
    "normal value",
    "normal tie",
    "near normal tie",
    "normal between",
    "overflow by rounding",
    "overflow",
    "negative",
    "infinity",
    "-infinity",
    "nan",
    "-nan",
)

#: How far from a tie is near it, in units of the gap.
NEAR = Fraction(1, 256)


class Gap(NamedTuple):
    """Two neighbouring magnitudes, and where rounding to nearest goes from one to the other."""

    low: Fraction
    place: Fraction
    high: Fraction


@lru_cache(maxsize=64)
def gaps(fmt: Format) -> tuple[Gap, ...]:
    """Return the gaps between the magnitudes of a format."""
    values = list(map(_dyadic, *(column.tolist() for column in fmt.magnitudes[1:])))
    if fmt.successor is not None:
        values.append(_dyadic(*fmt.successor))
    if isinstance(fmt, TabulatedFormat):
        places = [_dyadic(integer, exponent) for integer, exponent, _ in fmt.nearest]
    else:
        places = [(low + high) / 2 for low, high in pairwise(values)]
    return tuple(
        Gap(low, place, high) for (low, high), place in zip(pairwise(values), places, strict=True)
    )


def classify(words: npt.NDArray[Any], fmt: Format, source: SourceType) -> npt.NDArray[np.uint8]:
    """
    Return what kind of input each word is for a format.

    Parameters
    ----------
    words : ndarray of the source's words, shape (...)
        The inputs.
    fmt : Format
        The format that they are converted to.
    source : SourceType
        The type of the words.

    Returns
    -------
    ndarray of uint8, shape (...)
        Indices into `CLASSES`.

    Raises
    ------
    TypeError
        If the words are not of the source's unsigned integers.

    Notes
    -----
    By the magnitude of the number, exactly:

    =====================  ==================================================================
    below smallest         above zero, below the smallest positive value; its tie included
    subnormal/normal       a value of the format; a tie; within `NEAR` of the gap of a tie;
                           anything else.  Below the smallest normal is subnormal.
    overflow by rounding   above the largest value and below its successor
    overflow               at the successor or above (posit8: above the largest value)
    negative               finite, not zero, below zero, for an unsigned format
    =====================  ==================================================================

    Examples
    --------
    >>> from fp8num.formats import E4M3FN
    >>> from fp8num.verify.sources import get_source
    >>> source = get_source("float32")
    >>> words = source.words(np.array([448, 464, 480, 17, 16.5, -17.005], np.float32))
    >>> [CLASSES[i] for i in classify(words, E4M3FN, source)]  # doctest: +NORMALIZE_WHITESPACE
    ['normal value', 'overflow by rounding', 'overflow', 'normal tie', 'normal between',
     'near normal tie']
    """
    check_words(words, source)
    starts, kinds = class_runs(fmt, source)
    native = words.astype(source.word, copy=False)
    return np.asarray(kinds[np.searchsorted(starts, native, side="right") - 1])


def possible_classes(fmt: Format, source: SourceType) -> tuple[str, ...]:
    """Return the classes that some word of a source has."""
    _, kinds = class_runs(fmt, source)
    return tuple(CLASSES[kind] for kind in np.unique(kinds))


def check_words(words: npt.NDArray[Any], source: SourceType) -> None:
    """Refuse an array that does not hold words of a source type."""
    dtype = getattr(words, "dtype", type(words).__name__)
    if not isinstance(words, np.ndarray) or words.dtype.newbyteorder("=") != source.word:
        msg = (
            f"words must be an array of {source.word}, the bits of {source.name} numbers, "
            f"got {dtype}; source.words() gives them for an array of {source.name}"
        )
        raise TypeError(msg)


@lru_cache(maxsize=64)
def class_runs(fmt: Format, source: SourceType) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Return the classes of all words as runs."""
    side = {0: "zero"}
    for point, inclusive, name in _stretches(fmt):
        place, is_number = source.place(point)
        # A stretch that holds no word begins where the next one does, which replaces it.
        side[place + (not (inclusive and is_number))] = name
    specials = {source.infinity: "infinity", source.infinity + 1: "nan"}
    positive = {start: name for start, name in side.items() if start < source.infinity} | specials
    if fmt.signed:
        signed = {"zero": "-zero", "infinity": "-infinity", "nan": "-nan"}
        negative = {start: signed.get(name, name) for start, name in positive.items()}
    else:
        negative = {0: "-zero", 1: "negative"}
        negative |= {start: f"-{name}" for start, name in specials.items()}
    both = [*sorted(positive.items()), *((s + source.sign, n) for s, n in sorted(negative.items()))]
    starts = np.array([start for start, _ in both], source.word)
    kinds = np.array([CLASSES.index(name) for _, name in both], np.uint8)
    for array in (starts, kinds):
        array.flags.writeable = False
    return starts, kinds


def _stretches(fmt: Format) -> Iterator[tuple[Fraction, bool, str]]:
    """Yield where each class begins, going up from zero: at a point, or just above it."""
    yield Fraction(0), False, "below smallest"
    ladder = gaps(fmt)
    last = len(fmt.magnitudes.codes) - 1
    for index, gap in enumerate(ladder[:last]):
        if gap.low > 0:
            kind = "normal" if index >= fmt.first_normal else "subnormal"
            yield gap.low, True, f"{kind} value"
            yield from _inside(gap, kind)
    largest = _dyadic(*(int(column[-1]) for column in fmt.magnitudes[1:]))
    yield largest, True, "normal value" if last >= fmt.first_normal else "subnormal value"
    if fmt.successor is None:
        yield largest, False, "overflow"
    else:
        yield largest, False, "overflow by rounding"
        yield ladder[last].high, True, "overflow"


def _inside(gap: Gap, kind: str) -> Iterator[tuple[Fraction, bool, str]]:
    """Yield where the classes between two values begin."""
    low, place, high = gap
    near = (high - low) * NEAR
    yield low, False, f"{kind} between"
    # A table may put the place at an end of the gap: then there is no tie.
    below = max(place - near, low)
    yield below, below > low, f"near {kind} tie"
    if low < place < high:
        yield place, True, f"{kind} tie"
    if place < high:
        yield place, False, f"near {kind} tie"
    if place + near < high:
        yield place + near, False, f"{kind} between"


def _dyadic(integer: int, exponent: int) -> Fraction:
    """Return ``integer * 2**exponent``."""
    return Fraction(integer << exponent) if exponent >= 0 else Fraction(integer, 1 << -exponent)

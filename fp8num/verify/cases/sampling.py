"""
Sampling of types that are too wide to list: every exponent, odd mantissas.

::

    s | exponent: each field as often | mantissa: 0001000010 1110111111 0001111000 1011001110
                                                  few set    few clear  one run    random
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import integer
from fp8num.formats import get_format
from fp8num.verify.cases.sets import CaseSet, first_of_each
from fp8num.verify.classes import gaps
from fp8num.verify.sources import get_source

if TYPE_CHECKING:
    from fp8num._kernels.words import Words
    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["binades", "structured"]


def binades(source: SourceType | npt.DTypeLike | str, seed: int = 0) -> CaseSet:
    """
    Return one number of every binade, of each sign.

    Parameters
    ----------
    source : SourceType, str or dtype
        The type of the words.
    seed : int, optional
        Which ones.

    Returns
    -------
    CaseSet
        The positive ones, ascending, and then the negative ones.

    Notes
    -----
    A binade is from one power of two to the next, below the smallest normal number too;
    float64 has 2046 of normal numbers and 52 of subnormal ones.  Mantissas are random, as
    of `structured`, and those of the two signs are not the same.

    Examples
    --------
    >>> binades("float64").size == 2 * (2046 + 52)
    True
    """
    source = get_source(source)
    first = source.binades().astype(np.uint64)
    # A binade is as long as its first word is large, until the mantissa's width.
    length = np.minimum(first, np.uint64(1 << source.layout.mantissa_bits))
    random = _random(seed, 0, 2 * first.size).reshape(2, -1)
    words = first + (random & (length - 1))
    words[1] |= np.uint64(source.sign)
    return CaseSet(
        "binades",
        f"a {source.name} number of each of its {first.size:,} binades, subnormal ones too, of "
        f"both signs, with mantissas of seed {seed}",
        words.ravel().astype(source.word),
        source=source,
    )


def structured(
    source: SourceType | npt.DTypeLike | str,
    count: int,
    seed: int = 0,
    fmt: Format | str | None = None,
) -> CaseSet:
    """
    Return words whose mantissas look like those that break converters.

    Parameters
    ----------
    source : SourceType, str or dtype
        The type of the words.
    count : int
        How many.
    seed : int, optional
        Which ones.
    fmt : Format or str, optional
        A format whose range half of the exponents are drawn from.

    Returns
    -------
    CaseSet
        In the order in which they were drawn; more of them begin with the same ones.

    Raises
    ------
    ValueError
        If `count` is not from 1 to half the number of words.

    Notes
    -----
    As in TestFloat: exponent fields are equally likely, those of subnormals, infinities and
    NaNs among them; a quarter each of the mantissas have at most three bits set, at most
    three cleared, one run of ones, and random bits.  Random numbers are SplitMix64's [1]_,
    so that they do not depend on the version of NumPy.

    References
    ----------
    .. [1] G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number
       generators", OOPSLA 2014.
    """
    source = get_source(source)
    fmt = None if fmt is None else get_format(fmt)
    most = 1 << (source.bits - 1)
    count = integer("count", count, 1, most, advice="every() lists all words of a 16-bit type")
    found = np.zeros(0, source.word)
    drawn = 0  # numbers used, by threes
    while found.size < count:
        random = _random(seed, 3 * drawn, 3 * count).reshape(count, 3)
        found = first_of_each(np.concatenate([found, _draw(source, fmt, *random.T)]))
        drawn += count
    where = "" if fmt is None else f", half of them from the range of {fmt.name}"
    return CaseSet(
        "structured",
        f"{count} {source.name} words of seed {seed}: exponents equally likely{where}; "
        "mantissas of few bits set, of few cleared, of one run of ones, and random",
        found[:count],
        source=source,
        fmt=fmt,
    )


def _random(seed: int, first: int, count: int) -> Words:
    """Return SplitMix64's numbers from an index on."""
    z: Words = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    z = z * np.uint64(0x9E37_79B9_7F4A_7C15) + np.uint64(seed % (1 << 64))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return z ^ (z >> np.uint64(31))


def _draw(
    source: SourceType, fmt: Format | None, choice: Words, bits: Words, places: Words
) -> npt.NDArray[Any]:
    """Make words of random numbers, three for each."""
    width = source.layout.mantissa_bits
    low, high = 0, (1 << (source.bits - 1 - width)) - 1
    # 63 is the sign, 62 and 61 the kind of mantissa, 60 which range, 31 to 0 the exponent.
    number = choice & 0xFFFF_FFFF
    exponent = low + number % (high - low + 1)
    if fmt is not None:
        low, high = _fields(fmt, source)
        exponent = np.where(choice >> 60 & 1, low + number % (high - low + 1), exponent)
    first, second, third = (places >> shift & 0xFFFF for shift in (0, 16, 32))
    # A bit at the width is outside the mantissa, so that there may be fewer than three.
    one = np.uint64(1)
    few = one << first % (width + 1) | one << second % (width + 1) | one << third % (width + 1)
    run = ((one << (first % width + 1)) - 1) << second % width
    kind = choice >> 61 & 3
    mantissa = np.select([kind == 0, kind == 1, kind == 2], [few, ~few, run], bits)
    sign = (choice >> 63) * source.sign
    return (sign | exponent << width | mantissa & ((1 << width) - 1)).astype(source.word)


def _fields(fmt: Format, source: SourceType) -> tuple[int, int]:
    """Return the exponent fields of a source from below a format's range to above it."""
    ladder = gaps(fmt)
    smallest = next(number for gap in ladder for number in (gap.low, gap.high) if number > 0)
    ends = smallest / 4, ladder[-1].high * 4
    low, high = (source.place(end)[0] >> source.layout.mantissa_bits for end in ends)
    return low, high

"""
Sampling of types that are too wide to list: every exponent, odd mantissas.

::

    s | exponent: each field as often | mantissa: 0001000010 1110111111 0001111000 1011001110
                                                  few set    few clear  one run    random

    draw 2i      j(20)  i(20)  exponent(20)  near(1)  sign(1)     of a sweep: sample i is of
    draw 2i + 1  kind(3)  ...  mantissa(52)       -> word i       draws 2i and 2i + 1 alone

Cases are of SplitMix64, sweeps of PCG64's raw output, which NumPy never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import integer
from fp8num._kernels.words import FLOAT64
from fp8num.formats import get_format
from fp8num.verify.cases.sets import CaseSet, first_of_each
from fp8num.verify.classes import gaps
from fp8num.verify.sources import get_source

if TYPE_CHECKING:
    from fp8num._kernels.words import Words
    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["binades", "describe_samples", "sample_words", "structured"]


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


# Of 64-bit types for a sweep: sample i depends on the seed and on i alone.

_MANTISSA = np.uint64((1 << FLOAT64.mantissa_bits) - 1)
#: Binades beyond the format's at either end that count as near it.
MARGIN = 2


def sample_words(fmt: Format, seed: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    """Return samples of float64's words."""
    generator = np.random.PCG64(seed).advance(2 * first)
    draws = generator.random_raw(2 * count).reshape(count, 2)
    fields, random = draws[:, 0], draws[:, 1]
    low, high = _near(fmt)
    near = _uniform(fields, 2, high - low + 1) + np.uint64(low)
    anywhere = _uniform(fields, 2, 2048)
    exponent = np.where(fields & np.uint64(2), near, anywhere)
    sign = fields << np.uint64(63)
    return sign | exponent << np.uint64(52) | _mantissas(fields, random)


def describe_samples(fmt: Format, seed: int, count: int) -> str:
    """Say in a sentence what `sample_words` gives."""
    low, high = (field - FLOAT64.bias for field in _near(fmt))
    return (
        f"{count:,} samples of float64, seed {seed}: either sign; half of the exponents uniform "
        f"over all 2,048, half over those of {fmt.name} and {MARGIN} beyond either end, "
        f"2**{low} to 2**{high}; mantissas random, one or two bits, a run of ones, or random bits "
        "cut and continued with 00.., 11.., 10.. or 01.."
    )


def _near(fmt: Format) -> tuple[int, int]:
    """Return the lowest and highest exponent field near a format."""
    _, integers, exponents = fmt.magnitudes
    smallest = int(np.flatnonzero(integers)[0])
    lowest = int(integers[smallest]).bit_length() - 1 + int(exponents[smallest])
    low, high = (
        min(max(exponent + FLOAT64.bias, 0), 2047)
        for exponent in (lowest - MARGIN, fmt.emax + MARGIN)
    )
    return low, high


def _uniform(fields: npt.NDArray[np.uint64], place: int, size: int) -> npt.NDArray[np.uint64]:
    """Turn 20 bits of the draws into integers below `size`, by multiplying and cutting."""
    bits = fields >> np.uint64(place) & np.uint64((1 << 20) - 1)
    return bits * np.uint64(size) >> np.uint64(20)


def _mantissas(
    fields: npt.NDArray[np.uint64], random: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """Return mantissas of eight kinds, chosen by the top three bits of `random`."""
    one = np.uint64(1)
    kinds = (random >> np.uint64(61)).astype(np.intp)
    random = random & _MANTISSA
    i, j = (one << _uniform(fields, place, 53) for place in (22, 42))
    ones, others = i - one, j - one  # up to 52 ones at the low end
    cut = random & ~ones
    found: npt.NDArray[np.uint64] = np.choose(
        kinds,
        [
            random,
            random,
            (i | j) & _MANTISSA,  # one or two bits; none if both fall off the top
            ones ^ others,  # a run of ones
            cut,  # a number with fewer bits: values of formats
            cut | ones,
            cut | i >> one,  # 1 0 ... 0: ties of formats
            cut | ones >> one,
        ],
    )
    return found

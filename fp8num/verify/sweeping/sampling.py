"""
Samples of 64-bit inputs, aimed at where conversions go wrong.

::

    draw 2i      j(20)  i(20)  exponent(20)  near(1)  sign(1)
    draw 2i + 1  kind(3)  ...  mantissa(52)                       -> word i

Sample i depends on the seed and on i alone, however the samples are cut into pieces, and on
PCG64's raw output, which NumPy never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._kernels.words import FLOAT64

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["describe_samples", "sample_words"]

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

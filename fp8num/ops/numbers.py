"""
Codes taken apart into integers, so that no step depends on a float's range or mode.

::

    code -> magnitude * 2**exponent, kind, negative
            16 bits, the top one set          NUMBER, INFINITE or NAN

A result is of the same form with up to 62 bits, rounded to odd: what did not fit leaves
its trace in the last bit, so that the projection that follows is the only rounding [1]_.

References
----------
.. [1] S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums: proved
   algorithms using rounding to odd", IEEE Trans. Computers 57 (2008), Theorem 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num._kernels.cache import Cache
from fp8num._kernels.words import FLOAT64, dyadic_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.formats import Format

__all__ = ["CACHE", "Number", "Numbers", "numbers_of", "order_of", "shift_right", "words_of"]

NUMBER, INFINITE, NAN = 0, 1, 2
#: Bits of an operand's magnitude.
OPERAND_BITS = 16
#: The exponent of zero: below every other.
FAR = -(1 << 40)
#: Tables in use: of operands, of functions, of operations.
CACHE = Cache(32 << 20)

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Number(NamedTuple):
    """One number, infinity or NaN; zeros, infinities and NaNs have magnitude 0."""

    magnitude: int
    exponent: int
    kind: int = NUMBER
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array of numbers, infinities and NaNs."""

    #: the value of a number is ``magnitude * 2**exponent``; of others they do not count
    magnitude: Integers
    exponent: Integers
    kind: npt.NDArray[np.uint8]  #: NUMBER, INFINITE or NAN
    negative: Flags  #: the sign, which zeros and NaNs have too

    @property
    def nbytes(self) -> int:
        """Size of the arrays."""
        return sum(array.nbytes for array in self._arrays)

    @property
    def _arrays(self) -> tuple[npt.NDArray[Any], ...]:
        return self.magnitude, self.exponent, self.kind, self.negative

    @property
    def is_nan(self) -> Flags:
        """Which are NaNs."""
        return np.equal(self.kind, NAN)

    @property
    def is_infinite(self) -> Flags:
        """Which are infinities."""
        return np.equal(self.kind, INFINITE)

    @property
    def is_zero(self) -> Flags:
        """Which are zeros."""
        return np.equal(self.magnitude, 0) & np.equal(self.kind, NUMBER)

    @property
    def signed(self) -> Integers:
        """The magnitudes with their signs."""
        return np.where(self.negative, -self.magnitude, self.magnitude)

    def take(self, indices: npt.NDArray[Any]) -> Numbers:
        """Return the numbers at some indices."""
        return Numbers(*(array.take(indices) for array in self._arrays))

    def with_sign(self, negative: Flags) -> Numbers:
        """Return the same with other signs."""
        return Numbers(self.magnitude, self.exponent, self.kind, negative)

    def map(self, function: Callable[[Number], Number]) -> Numbers:
        """Return what a function makes of each."""
        rows = zip(*(array.tolist() for array in self._arrays), strict=True)
        columns = list(zip(*(function(Number(*row)) for row in rows), strict=True)) or [()] * 4
        types = (np.int64, np.int64, np.uint8, np.bool_)
        return Numbers(*(np.array(c, dtype) for c, dtype in zip(columns, types, strict=True)))


def numbers_of(fmt: Format) -> Numbers:
    """Return what every code of a format stands for, index = code."""
    return CACHE.get(("numbers", fmt), lambda: _make_numbers(fmt))


def _make_numbers(fmt: Format) -> Numbers:
    codes, integers, exponents = fmt.magnitudes
    length = np.frexp(integers.astype(np.float64))[1].astype(np.int64)
    shift = OPERAND_BITS - length
    scaled = np.where(
        shift >= 0, integers << np.maximum(shift, 0), integers >> -np.minimum(shift, 0)
    )
    if (integers != np.where(shift >= 0, integers, scaled << -np.minimum(shift, 0))).any():
        msg = f"fmt must have values of at most {OPERAND_BITS} significant bits, got {fmt.name}"
        raise ValueError(msg)
    count = 1 << fmt.bits
    magnitude, exponent = np.zeros(count, np.int64), np.full(count, FAR, np.int64)
    kind, negative = np.full(count, NAN, np.uint8), np.zeros(count, np.bool_)
    if fmt.has_negative_zero:  # there are NaNs of both signs, if any
        negative[fmt.sign_bit :] = True
    places = [(codes.astype(np.int64), False)]
    if fmt.signed:
        below = np.array([fmt.negate_code(int(code)) for code in codes], np.int64)
        places.append((below, True))
    for where, sign in places:
        skip = 1 if sign and fmt.has_zero and not fmt.has_negative_zero else 0
        at = where[skip:]
        magnitude[at], kind[at], negative[at] = scaled[skip:], NUMBER, sign
        exponent[at] = np.where(scaled == 0, FAR, exponents - shift)[skip:]
    for sign in (False, True)[: 1 + fmt.signed] if fmt.has_infinity else ():
        infinity = fmt.infinity_code(negative=sign)
        kind[infinity], negative[infinity] = INFINITE, sign
    for code in [] if fmt.has_nan else np.flatnonzero(kind == NAN).tolist():
        # MXINT8's -2: a power of two, and the one number without a positive counterpart
        integer, power = fmt.decompose(code)
        kind[code], negative[code] = NUMBER, True
        magnitude[code] = 1 << (OPERAND_BITS - 1)
        exponent[code] = power + abs(integer).bit_length() - OPERAND_BITS
    return Numbers(magnitude, exponent, kind, negative)


def order_of(numbers: Numbers) -> Integers:
    """
    Return integers in the order of an operand's numbers, infinities included.

    +0 is 1 and -0 is -1, every other is odd and larger; that of a NaN does not count.
    """
    place = (numbers.exponent + (1 << 20) << OPERAND_BITS) + numbers.magnitude
    place = np.where(numbers.magnitude == 0, 0, place)
    place = np.where(numbers.is_infinite, 1 << 50, place) * 2 + 1
    return np.where(numbers.negative, -place, place)


def shift_right(integers: Integers, count: Integers) -> Integers:
    """Return integers over ``2**count``, rounded to odd; the count is at most 62."""
    # In two's complement the shift goes down; if it lost something, the odd one of the
    # two neighbours is the lower one with its last bit set.
    lost = integers & ((np.int64(1) << count) - 1) != 0
    shifted: Integers = (integers >> count) | lost
    return shifted


def words_of(numbers: Numbers) -> tuple[npt.NDArray[np.uint64], Flags]:
    """
    Return numbers as float64 words, rounded to odd, and which of them reach 2**1024.

    All of float64's 53 bits are used, or as many as it has above 2**-1074; a number from
    2**1024 on becomes the largest float64.
    """
    # 1. Fewer than 54 bits.  Conversion to float64 may have rounded the length up, by one.
    magnitude = numbers.magnitude
    length = np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)
    length -= magnitude >> np.maximum(length - 1, 0) == 0
    excess = np.maximum(length - 53, 0)
    exponent = numbers.exponent + excess

    # 2. Nothing below 2**-1074.
    low = np.clip(-1074 - exponent, 0, 62 - excess)
    kept = shift_right(magnitude, excess + low)
    words = dyadic_words(kept, np.clip(exponent, -1074, 1100))

    # 3. What is too large, infinities, NaNs, signs.
    huge = words == FLOAT64.infinity
    words[huge] -= np.uint64(1)
    words[numbers.is_infinite] = FLOAT64.infinity
    words[numbers.is_nan] = FLOAT64.infinity | 1 << 51
    words |= numbers.negative.astype(np.uint64) << np.uint64(63)
    return words, huge & (numbers.kind == NUMBER)

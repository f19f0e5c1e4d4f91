"""
Exact sums as limbs: integers of 64 bits, each worth 2**width times the one below.

::

    value = 2**exponent * (limb[0] + limb[1] 2**width + limb[2] 2**(2 width) + ...)

Limbs may be of either sign and larger than their width until the sum is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fp8num.accumulate.binary import Floats

__all__ = ["Limbs", "as_integers"]

Integers = npt.NDArray[np.int64]

#: Bits of a leading part that is read out of limbs: 53 for float64, and some to round by.
_LEADING = 62


def as_integers(x: Floats) -> tuple[Integers, Integers]:
    """Return finite numbers as odd integers (or 0) and powers of two."""
    fraction, exponent = np.frexp(x)
    integers = np.ldexp(fraction, 53).astype(np.int64)
    exponents = exponent.astype(np.int64) - 53
    zeros = _length(integers & -integers) - 1
    shift = np.maximum(zeros, 0)
    return integers >> shift, np.where(integers == 0, 0, exponents + shift)


def _length(x: Integers) -> Integers:
    """Return the bit length of integers that are not negative."""
    high = x >> 31
    upper = np.frexp(high.astype(np.float64))[1]
    lower = np.frexp((x & 0x7FFFFFFF).astype(np.float64))[1]
    return np.where(high > 0, upper + 31, lower).astype(np.int64)


class Limbs:
    """
    Exact sums, one for each output.

    Parameters
    ----------
    limbs : list of ndarray of int64, shape (M, N)
        The lowest first; each below 2**61 in magnitude.
    exponent : ndarray of int64, broadcastable to (M, N)
        Power of two that the lowest limb counts.
    width : int
        Bits from one limb to the next, at most 26.
    """

    def __init__(self, limbs: list[Integers], exponent: Integers, width: int) -> None:
        self.limbs, self.width = limbs, width
        self.exponent = np.broadcast_to(exponent, limbs[0].shape)
        self.mask = (1 << width) - 1

    def add(self, x: Floats) -> None:
        """Add finite numbers of any size, shape (M, N)."""
        shape, width = self.limbs[0].shape, self.width
        integers, exponents = (np.broadcast_to(part, shape) for part in as_integers(x))
        some = integers != 0
        if not some.any():
            return
        offset = np.where(some, exponents - self.exponent, 0)
        below = max(0, -(int(offset.min()) // width))
        if below:
            self.limbs = [np.zeros(shape, np.int64) for _ in range(below)] + self.limbs
            self.exponent = self.exponent - below * width
            offset = np.where(some, offset + below * width, 0)
        above = int(offset.max()) // width + 53 // width + 3 - len(self.limbs)
        self.limbs += [np.zeros(shape, np.int64) for _ in range(above)]
        self.limbs = [np.array(limb) for limb in self.limbs]
        index, shift = np.divmod(offset, width)
        sign, magnitude = np.sign(integers), np.abs(integers)
        for part in range(53 // width + 1):  # a piece and its shift have at most 52 bits
            piece = sign * ((magnitude >> (part * width)) & self.mask) << shift
            for place in np.unique(index):
                self.limbs[int(place) + part] += np.where(index == place, piece, 0)

    def multiply(self, factor: float) -> None:
        """Multiply by a finite float32 number."""
        integer, exponent = as_integers(np.array(factor, np.float64))
        self.limbs, sign = self._digits(self.limbs)
        top = sign * int(integer)  # sign is 0 or -1, worth one limb above the digits
        self.limbs = [limb * int(integer) for limb in self.limbs] + [top]
        self.exponent = self.exponent + int(exponent)

    def _digits(self, limbs: list[Integers]) -> tuple[list[Integers], Integers]:
        """Return digits from 0 to 2**width - 1, and 0 or -1 for what is above them."""
        carry = np.zeros(limbs[0].shape, np.int64)
        digits = []
        for limb in limbs:
            total = limb + carry
            digits.append(total & self.mask)
            carry = total >> self.width
        while ((carry != 0) & (carry != -1)).any():
            digits.append(carry & self.mask)
            carry = carry >> self.width
        return digits, carry

    def leading(self) -> tuple[npt.NDArray[np.bool_], Integers, Integers, npt.NDArray[np.bool_]]:
        """Return sign, leading bits, the power of two they count, and whether more follow."""
        _, sign = self._digits(self.limbs)
        negative = sign < 0
        digits, _ = self._digits([np.where(negative, -limb, limb) for limb in self.limbs])
        found = np.zeros(negative.shape, np.int64)
        exponent = self.exponent + len(digits) * self.width
        sticky = np.zeros(negative.shape, bool)
        for digit in reversed(digits):
            shift = np.minimum(_LEADING - _length(found), self.width)
            rest = self.width - shift
            found = (found << shift) | (digit >> rest)
            sticky |= (digit & ((np.int64(1) << rest) - 1)) != 0
            exponent = exponent - shift
        return negative, found, exponent, sticky

    def to_float64(self, *, nearest: bool) -> Floats:
        """Return the sums as float64."""
        negative, found, exponent, sticky = self.leading()
        cut = np.maximum(_length(found) - 53, -1074 - exponent)
        cut = np.clip(cut, 0, 63)
        kept = found >> cut
        rest = found - (kept << np.minimum(cut, 62))  # all of it where nothing is kept
        if nearest:
            half = np.where(cut > 0, np.int64(1) << np.maximum(cut - 1, 0), 1)
            up = (rest > half) | ((rest == half) & (sticky | ((kept & 1) == 1)))
            up &= cut > 0
            kept = kept + up
        else:
            kept |= (rest != 0) | sticky
        magnitude = _assembled(kept, exponent + cut)
        return np.where(negative, -magnitude, magnitude)


def _assembled(integers: Integers, exponents: Integers) -> Floats:
    """Return integers of at most 53 bits times powers of two, subnormals from their bits."""
    with np.errstate(over="ignore", under="ignore"):
        powers = np.clip(exponents, -1100, 1100).astype(np.int32)
        found: Floats = np.ldexp(integers.astype(np.float64), powers)
    small = (integers != 0) & (_length(integers) + exponents <= -1022)
    if small.any():
        bits = integers[small] << np.maximum(exponents[small] + 1074, 0)
        found[small] = bits.view(np.float64)
    return found

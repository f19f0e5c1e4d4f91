"""
The arithmetic kernel: shift the significand, add, pack by addition.

::

    |x| = S * 2**(max(E, 1) - bias - t)        S has t + 1 bits, E is the exponent field
    S   = kkkkkkkkkkk rrrrrrrrrrrrr            keep p bits of a normal number, fewer below
                      `- shift bits            emin; the rest decides the rounding

It serves every parametric format whose values have no hole above zero, in all nine
modes; for those, a magnitude's code and its index in the ascending list are the same.
Stochastic rounding adds the random bits below the kept ones and truncates, as
hardware does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._kernels.words import FLOAT64, Layout, widen
from fp8num.projection import Projection, Result, Rounding

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num._kernels.staircase import Staircase
    from fp8num.formats import Format

__all__ = ["Arithmetic", "serves"]


def serves(fmt: Format, projection: Projection) -> bool:
    """Whether a format is parametric, without a hole above zero, and rounded by the rules."""
    regular = fmt.emin is not None and fmt.subnormals and fmt.emin >= -FLOAT64.bias
    steps = projection.moved or Result.MINUS_UNDERFLOW in dict(projection.results)
    return regular and not steps and not projection.sign_dropped


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Round by integer arithmetic."""

    fmt: Format  #: a format that `serves` accepts
    projection: Projection  #: any
    stairs: Staircase  #: the projection's, for its outputs
    layout: Layout  #: of the words that will come
    random_width: int = 0  #: number of random bits of a stochastic mode, at most 32

    nbytes = 0

    def __call__(
        self,
        words: npt.NDArray[Any],
        out: npt.NDArray[Any],
        random: npt.NDArray[np.uint64] | None = None,
    ) -> None:
        """Round a block of words."""
        layout = self.layout
        kind = layout.dtype.type
        negative = words > kind(layout.magnitude_mask)
        magnitude = words & kind(layout.magnitude_mask)
        if layout is not FLOAT64 and (random is not None or self._emin + layout.bias < 0):
            # 64 bits have room for the random ones, and make float32's subnormals normal.
            magnitude, layout, kind = widen(magnitude, layout), FLOAT64, np.uint64
        index = self._round(magnitude, negative, layout, random)
        last = self.stairs.infinity
        np.minimum(index, kind(last - 1), out=index)
        index[magnitude == kind(layout.infinity)] = last
        index[magnitude > kind(layout.infinity)] = last + 1
        index += negative * kind(self.stairs.outputs.shape[1])
        out[...] = self.stairs.outputs.ravel().take(index.view(f"i{index.itemsize}"))

    @property
    def _emin(self) -> int:
        assert self.fmt.emin is not None
        return self.fmt.emin

    def _round(
        self,
        magnitude: npt.NDArray[Any],
        negative: npt.NDArray[np.bool_],
        layout: Layout,
        random: npt.NDArray[np.uint64] | None,
    ) -> npt.NDArray[Any]:
        """Return the index of the rounded magnitude among the format's."""
        kind = layout.dtype.type
        assert self.fmt.mantissa_bits is not None
        mantissa_bits, lowest = self.fmt.mantissa_bits, kind(self._emin + layout.bias)

        # 1. Significand and exponent field; zero and subnormals have no hidden bit.
        field = magnitude >> kind(layout.mantissa_bits)
        significand = magnitude & kind((1 << layout.mantissa_bits) - 1)
        significand |= (field > 0).astype(layout.dtype) << kind(layout.mantissa_bits)

        # 2. The binade that rules the spacing: the format's lowest normal one at least.
        binade = np.maximum(field, lowest)

        # 3. How many bits of the significand lie below the last place of the format.
        shift = binade - np.maximum(field, kind(1))
        shift += kind(layout.mantissa_bits - mantissa_bits)

        # 4. Pack by addition: the truncated significand holds the hidden bit of a normal
        #    number, worth one in the exponent field; rounding up may carry into it too.
        base: npt.NDArray[Any] = (binade - lowest) << kind(mantissa_bits)
        if random is None:
            return self._round_off(significand, shift, base, negative, layout)
        base += self._round_randomly(significand, shift, random)
        return base

    def _round_off(
        self,
        significand: npt.NDArray[Any],
        shift: npt.NDArray[Any],
        base: npt.NDArray[Any],
        negative: npt.NDArray[np.bool_],
        layout: Layout,
    ) -> npt.NDArray[Any]:
        """Return ``base + significand / 2**shift``, rounded deterministically."""
        kind = layout.dtype.type
        add: npt.NDArray[Any]
        truncated: npt.NDArray[Any]
        # Far below the last place only "not zero" matters: the sum below has room for that.
        shift = np.minimum(shift, kind(layout.bits - 2))
        unit = kind(1) << shift
        truncated = (significand >> shift) + base
        match self.projection.rounding:
            case Rounding.NEAREST_TIES_TO_EVEN:
                add = (unit >> kind(1)) - kind(1) + (truncated & kind(1))
            case Rounding.NEAREST_TIES_TO_AWAY:
                add = unit >> kind(1)
            case Rounding.TOWARD_POSITIVE:
                add = np.where(negative, kind(0), unit - kind(1))
            case Rounding.TOWARD_NEGATIVE:
                add = np.where(negative, unit - kind(1), kind(0))
            case Rounding.TO_ODD:
                truncated |= significand & (unit - kind(1)) != 0
                return truncated
            case _:
                return truncated
        add += significand
        add >>= shift
        add += base
        return add

    def _round_randomly(
        self,
        significand: npt.NDArray[np.uint64],
        shift: npt.NDArray[np.uint64],
        random: npt.NDArray[np.uint64],
    ) -> npt.NDArray[np.uint64]:
        """Add random bits just below the last place and truncate."""
        one = np.uint64(1)
        # 62 places are room enough; what falls below them leaves a sticky bit.
        excess = np.maximum(shift, np.uint64(62)) - np.uint64(62)
        lost = significand & ((one << excess) - one) != 0
        significand = significand >> excess | lost
        shift = np.minimum(shift, np.uint64(62))
        place = shift - np.uint64(self.random_width)  # of the last random bit
        match self.projection.rounding:
            case Rounding.STOCHASTIC_B:
                add = (random << one | one) << (place - one)
            case Rounding.STOCHASTIC_C:
                half = (one << (place - one)) - one + (significand >> place & one)
                significand = (significand + half) >> place << place
                add = random << place
            case _:
                add = random << place
        rounded: npt.NDArray[np.uint64] = (significand + add) >> shift
        return rounded

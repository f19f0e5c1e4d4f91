"""
Rounding float32 numbers to a format's values, without codes, by one addition.

::

    M = 1.5 * 2**(e + 23 - m)     e: the number's exponent, at least emin; m: mantissa bits
    (x + M) - M                   float32's last place of M is the format's of x

M is an even multiple of that place, so that float32's ties to even are the format's; the
subtraction is exact.  A number below the normal ones has their lowest spacing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.words import FLOAT32

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["Grid", "make_grid"]


class Grid:
    """
    Round to nearest, ties to even; what is beyond the largest value is not for it.

    Parameters
    ----------
    fmt : Format
        One that `make_grid` accepts.
    """

    def __init__(self, fmt: Format) -> None:
        assert fmt.mantissa_bits is not None
        assert fmt.emin is not None
        assert fmt.emax is not None
        self.format = fmt
        largest = float(fmt.max)
        #: Magnitudes below the middle of the largest value and what would be the next.
        self.beyond = np.float32(largest + math.ldexp(0.5, fmt.emax - fmt.mantissa_bits))
        kept = FLOAT32.mantissa_bits
        self._exponent = np.uint32(FLOAT32.infinity)
        self._lowest = np.uint32((fmt.emin + FLOAT32.bias) << kept)
        self._raise = np.uint32(((kept - fmt.mantissa_bits) << kept) | 1 << (kept - 1))

    def __call__(
        self, values: npt.NDArray[np.float32], work: npt.NDArray[np.uint32], out: npt.NDArray[Any]
    ) -> None:
        """Round a block; zeros are +0."""
        np.bitwise_and(values.view(np.uint32), self._exponent, out=work)
        np.maximum(work, self._lowest, out=work)
        np.add(work, self._raise, out=work)
        magic = work.view(np.float32)
        np.add(values, magic, out=values)
        np.subtract(values, magic, out=values)
        if out is not values:
            np.copyto(out, values)


def make_grid(fmt: Format) -> Grid | None:
    """Return what rounds to a format."""
    # Without mantissa bits neighbours differ by a factor of two, and ties go by the exponent.
    if fmt.emin is None or not fmt.mantissa_bits or not (fmt.subnormals and fmt.signed):
        return None
    largest = float(fmt.max)
    room = FLOAT32.mantissa_bits - fmt.mantissa_bits
    fits = fmt.emin >= 1 - FLOAT32.bias and largest < 2.0 ** (FLOAT32.bias - room)
    return Grid(fmt) if fits and room > 1 else None

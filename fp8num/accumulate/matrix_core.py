"""
AMD CDNA3's matrix cores on FP8, after MMA-Sim: even and odd products summed apart.

::

    even, odd   each truncated to F bits below its own largest product
    products    the two aligned to the larger of their exponents, with floor
    sum         products floor-ed at 31 bits, c at F bits, to the larger exponent of both
    c'          the nearest float32
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.accumulate.binary import Floats, exponent, from_float32, on_grid, pow2, to_float32
from fp8num.accumulate.terms import WIDE, make_terms
from fp8num.accumulate.units import specials_of

if TYPE_CHECKING:
    from fp8num.accumulate.accumulator import MatrixCore
    from fp8num.accumulate.operands import MatrixOperand

__all__ = ["MatrixChain"]

Array = npt.NDArray[Any]

#: Exponent of a half of the products that are all zero.
_NOTHING = -500
_ABSENT = -4000


class MatrixChain:
    """
    Steps of the unit over one matrix product.

    Parameters
    ----------
    unit : MatrixCore
        The unit.
    a, b : Operand
        One matrix each, shapes (M, K) and (K, N).
    """

    def __init__(self, unit: MatrixCore, a: MatrixOperand, b: MatrixOperand) -> None:
        self.unit = unit
        self.a = make_terms(np.ascontiguousarray(a.codes.T), a.format, None, WIDE)
        self.b = make_terms(np.ascontiguousarray(b.codes), b.format, None, WIDE)

    def tile(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the rows and columns of a tile whose products fit the cache."""
        width = min(columns, 256)
        return min(rows, max(1, 4096 // max(width, 1))), width

    def run(self, rows: slice, columns: slice, ks: slice, start: Floats) -> Floats:
        """Return the accumulators after the products of a range of k."""
        finite = np.isfinite(start)
        special = np.where(finite, 0.0, start).astype(np.float32)
        values = np.where(finite, start, 0.0)
        for first in range(ks.start, ks.stop, self.unit.products):
            part = slice(first, min(first + self.unit.products, ks.stop))
            found = specials_of(self.a, self.b, part, rows, columns)
            if found is not None:
                with np.errstate(invalid="ignore"):
                    special += found
            nearest = from_float32(to_float32(self._step(part, rows, columns, values)))
            beyond = np.isinf(nearest)
            special = np.where(beyond & (special == 0), nearest, special).astype(np.float32)
            values = np.where(beyond, 0.0, nearest)
        return np.where(special != 0, special, values)

    def _step(self, ks: slice, rows: slice, columns: slice, c: Floats) -> Floats:
        """Return the sum of a step before it is rounded to float32."""
        fraction, wide = self.unit.fraction_bits, self.unit.sum_bits
        products = self.a.values[ks, rows, None] * self.b.values[ks, None, columns]
        exponents = self.a.exponents[ks, rows, None] + self.b.exponents[ks, None, columns]
        halves = [self._half(products[part::2], exponents[part::2]) for part in (0, 1)]
        (even, e_even), (odd, e_odd) = halves
        e = np.maximum(e_even, e_odd)
        dot = np.floor(even * pow2(fraction - e)) + np.floor(odd * pow2(fraction - e))
        dot *= pow2(e - fraction)
        e_c = np.maximum(exponent(c), -126)
        e_all = np.maximum(e, e_c)
        dot = np.floor(dot * pow2(wide + 1 - e_all)) * pow2(e_all - wide - 1)
        kept = np.floor(c * pow2(fraction - e_all)) * pow2(e_all - fraction)
        kept[e_c < e_all - fraction - 1] = 0.0
        total: Floats = on_grid(dot + kept, wide, -126, np.floor) + 0.0
        return total

    def _half(self, products: Array, exponents: Array) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return every second product's truncated sum, and the exponent they were aligned to."""
        if not len(products):
            shape = products.shape[1:]
            return np.zeros(shape), np.full(shape, _NOTHING, np.int64)
        largest = exponents.max(axis=0).astype(np.int64)
        e = np.where(largest < _ABSENT, _NOTHING, largest)
        integers = np.trunc(products * pow2(self.unit.fraction_bits - e))
        return integers.sum(axis=0) * pow2(e - self.unit.fraction_bits), e

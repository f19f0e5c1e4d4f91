"""
Floating-point additions: sequential, in a tree of pairs, or in blocks.

::

    sequential   ((c + p0) + p1) + p2 ...
    pairwise     c + (((p0 + p1) + (p2 + p3)) + p4)
    blocked      (c + (p0 + p1)) + (p2 + p3) ...          block=2

float32 runs natively where no subnormal can arise; everything else is computed in float64,
rounded to odd, and rounded once more to where it belongs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.accumulate.binary import Floats, exponent, odd_product_sum, odd_sum, pow2
from fp8num.accumulate.terms import exponent_range
from fp8num.codec import quantize
from fp8num.projection import Rounding

if TYPE_CHECKING:
    from fp8num.accumulate.accumulator import FloatSum
    from fp8num.accumulate.operands import MatrixOperand

__all__ = ["FloatChain", "round_float32"]

Array = npt.NDArray[Any]

_MAX = float(np.finfo(np.float32).max)
#: Sums of what is a multiple of this have no float32 subnormals.
_NATIVE_UNIT = -126
#: Elements of an accumulator tile.
_TILE = 1 << 14


def round_float32(
    x: Floats, rounding: Rounding, random: npt.NDArray[np.uint32] | None = None, width: int = 0
) -> Floats:
    """Round float64 numbers, or numbers rounded to odd, to float32 by any mode."""
    finite = np.isfinite(x)
    magnitude = np.where(finite, np.abs(x), 0.0)
    e = np.maximum(exponent(magnitude), -126) - 23
    units = magnitude * pow2(-e)
    whole = np.floor(units)
    part = units - whole
    odd = np.fmod(whole, 2) == 1
    negative = np.signbit(x)
    up = _rounds_up(part, odd, negative, rounding, random, width)
    found = (whole + up) * pow2(e)
    stays = np.zeros(x.shape, bool)  # at the largest number, where others go to infinity
    if rounding in (Rounding.TOWARD_ZERO, Rounding.TO_ODD):
        stays = ~stays
    elif rounding in (Rounding.TOWARD_POSITIVE, Rounding.TOWARD_NEGATIVE):
        stays = negative ^ (rounding is Rounding.TOWARD_NEGATIVE)
    found = np.where(found > _MAX, np.where(stays, _MAX, np.inf), found)
    return np.where(finite, np.copysign(found, x), x)


def _rounds_up(  # noqa: PLR0911, PLR0917 - a line for each mode, as the standard has it
    part: Floats,
    odd: npt.NDArray[np.bool_],
    negative: npt.NDArray[np.bool_],
    rounding: Rounding,
    random: npt.NDArray[np.uint32] | None,
    width: int,
) -> npt.NDArray[np.bool_]:
    """Return where a magnitude goes up, from the part of a unit that is cut (P3109 4.6.2)."""
    some = np.asarray(part > 0)
    match rounding:
        case Rounding.NEAREST_TIES_TO_EVEN:
            return np.asarray((part > 0.5) | ((part == 0.5) & odd))
        case Rounding.NEAREST_TIES_TO_AWAY:
            return np.asarray(part >= 0.5)
        case Rounding.TOWARD_ZERO:
            return np.zeros(part.shape, bool)
        case Rounding.TOWARD_POSITIVE:
            return some & ~negative
        case Rounding.TOWARD_NEGATIVE:
            return some & negative
        case Rounding.TO_ODD:
            return some & ~odd
    assert random is not None
    scaled = part * 2.0**width
    if rounding is Rounding.STOCHASTIC_A:
        whole = np.floor(scaled)
    elif rounding is Rounding.STOCHASTIC_B:
        whole = np.floor(scaled + 0.5)  # floor(2 scaled) + 2 R + 1 >= 2 * 2**N
    else:
        whole = np.rint(scaled)
    return np.asarray(whole + random >= 2.0**width)


class FloatChain:
    """
    Additions of one matrix product.

    Parameters
    ----------
    unit : FloatSum
        How they are done.
    a, b : Operand
        One matrix each, shapes (M, K) and (K, N).
    c : ndarray of float64, shape (M, N), or None
        Where accumulators start.
    rng : numpy.random.Generator, optional
        For stochastic rounding: one uint32 an operation and output, operations in the order
        they are done, outputs in C order.
    """

    def __init__(
        self,
        unit: FloatSum,
        a: MatrixOperand,
        b: MatrixOperand,
        c: Floats | None,
        rng: np.random.Generator | None,
    ) -> None:
        self.unit, self.rng = unit, rng
        self.rounding = Rounding.parse(unit.rounding)
        ranges = exponent_range(a.format), exponent_range(b.format)
        _, last, low, bits = (sum(pair) for pair in zip(*ranges, strict=True))
        if not -1020 <= low <= last + 2 <= 1020:
            msg = (
                f"a_format and b_format must have products that float64 holds, got {a.format.name} "
                f"and {b.format.name}; accumulator='exact' takes any"
            )
            raise ValueError(msg)
        #: Whether products and sums are those of NumPy's float32, subnormals never met.
        self.native = (
            unit.format is None
            and self.rounding is Rounding.NEAREST_TIES_TO_EVEN
            and bits <= 24
            and min(low, ranges[0][2], ranges[1][2]) >= _NATIVE_UNIT
            and last < 127
            and (c is None or _is_multiple(c))
        )
        #: Whether a product needs rounding at all.
        self.exact_products = unit.fused or (
            unit.format is None and bits <= 24 and low >= -149 and last < 127
        )
        dtype = np.float32 if self.native else np.float64
        self.a = np.take(a.format.values.astype(dtype), np.ascontiguousarray(a.codes.T))
        self.b = np.take(b.format.values.astype(dtype), np.ascontiguousarray(b.codes))

    def tile(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the rows and columns of a tile; random bits are drawn for whole matrices."""
        if self.unit.is_stochastic:
            return rows, columns
        width = min(columns, 1024)
        return min(rows, max(1, _TILE // max(width, 1))), width

    def run(self, rows: slice, columns: slice, ks: slice, start: Floats) -> Floats:
        """Return the accumulators after the products of a range of k."""
        a, b = self.a[:, rows, None], self.b[:, None, columns]
        total = start.astype(a.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.unit.order == "sequential":
                total = self._sequence(a, b, range(ks.start, ks.stop), total)
            elif self.unit.order == "blocked":
                assert self.unit.block is not None
                for first in range(ks.start, ks.stop, self.unit.block):
                    part = range(first, min(first + self.unit.block, ks.stop))
                    zero = np.zeros_like(total)
                    total = self._add(total, self._sequence(a, b, part, zero))
            elif ks.stop > ks.start:
                total = self._add(total, self._tree(a, b, range(ks.start, ks.stop)))
        return total.astype(np.float64)

    def _sequence(self, a: Array, b: Array, ks: range, total: Array) -> Array:
        """Add products one after the other."""
        if self.native:
            product = np.empty_like(total)
            for k in ks:
                np.multiply(a[k], b[k], out=product)
                np.add(total, product, out=total)
            return total
        for k in ks:
            if self.unit.fused:
                total = self._rounded(odd_product_sum(a[k], b[k], total))
            else:
                total = self._add(total, self._product(a[k], b[k]))
        return total

    def _tree(self, a: Array, b: Array, ks: range) -> Array:
        """Add neighbouring pairs, then pairs of pairs; an odd last one goes up unchanged."""
        waiting: list[tuple[int, Array]] = []
        for k in ks:  # like a binary counter: as many sums wait as it has digits
            level, part = 0, self._product(a[k], b[k])
            while waiting and waiting[-1][0] == level:
                part = self._add(waiting.pop()[1], part)
                level += 1
            waiting.append((level, part))
        part = waiting.pop()[1]
        while waiting:
            part = self._add(waiting.pop()[1], part)
        return part

    def _product(self, a: Array, b: Array) -> Array:
        product = a * b
        return product if self.exact_products else self._rounded(product)

    def _add(self, x: Array, y: Array) -> Array:
        if self.native:
            found: Array = x + y
            return found
        return self._rounded(odd_sum(x, y))

    def _rounded(self, x: Floats) -> Floats:
        """Round to the arithmetic's values."""
        unit = self.unit
        if unit.format is None:
            random = None
            if unit.is_stochastic:
                assert self.rng is not None
                random = self.rng.integers(0, 1 << 32, x.shape, np.uint32)
                random >>= np.uint32(32 - unit.random_width)
            return round_float32(x, self.rounding, random, unit.random_width)
        found: Floats = quantize(
            x,
            unit.format,
            rounding=self.rounding,
            saturation=unit.saturation,
            rng=self.rng,
            random_width=unit.random_width if unit.is_stochastic else None,
        )
        return found


def _is_multiple(c: Floats) -> bool:
    """Whether no float32 among the values has a bit below the smallest normal number."""
    some = np.abs(c[np.isfinite(c) & (c != 0)])
    return not some.size or bool((np.fmod(some, 2.0**_NATIVE_UNIT) == 0).all())

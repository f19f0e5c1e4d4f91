"""
Tensor cores: products aligned to the largest exponent and added as integers.

::

    E    = max over nonzero terms of e(a_k) + e(b_k), e(c)
    sum  = trunc(c 2^(F-E)) + sum over k of trunc(a_k b_k 2^(F-E))     exact
    c'   = sum 2^(E-F) rounded to the register

Integers are kept in floating point.  For FP8 and F = 13 they have at most 21 bits, so that
float32 does: six passes over a block of products in the cache for each step.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.accumulate.binary import Floats, on_grid
from fp8num.accumulate.terms import NARROW, WIDE, Terms, exponent_range, make_terms, special_sums
from fp8num.formats import get_format
from fp8num.projection import Rounding

if TYPE_CHECKING:
    from fp8num.accumulate.accumulator import TensorCore
    from fp8num.accumulate.operands import MatrixOperand
    from fp8num.formats import Format

__all__ = ["BlockChain", "StepProducts", "operand_type", "specials_of"]

Array = npt.NDArray[Any]

#: Products of one step of a tile: half a megabyte of float32, half of a core's second cache.
_TILE = 1 << 17
#: The largest accumulator that the narrow lane takes: its factor is a normal float32.
_LARGEST = 2.0**80

_INTEGERS = {
    Rounding.TOWARD_ZERO: np.trunc,
    Rounding.TOWARD_NEGATIVE: np.floor,
    Rounding.TOWARD_POSITIVE: np.ceil,
    Rounding.NEAREST_TIES_TO_EVEN: np.rint,
}


@lru_cache(maxsize=256)
def operand_type(names: tuple[str, ...], a: Format, b: Format) -> Format | None:
    """Return the format that a unit converts operands to: the first that holds both."""
    for name in names:
        held = get_format(name)
        if all(np.isin(x.values[np.isfinite(x.values)], held.values).all() for x in (a, b)):
            return held
    return None


class BlockChain:
    """
    Steps of a unit over one matrix product.

    Parameters
    ----------
    unit : TensorCore
        The unit.
    a, b : Operand
        One matrix each, shapes (M, K) and (K, N); scales are applied by the unit.
    c : ndarray of float64, shape (M, N), or None
        Where accumulators start, which decides how wide the sums must be.
    """

    def __init__(
        self, unit: TensorCore, a: MatrixOperand, b: MatrixOperand, c: Floats | None
    ) -> None:
        self.unit = unit
        self.bits, self.emin, self.emax = unit.REGISTERS[unit.register]
        held = operand_type(unit.operand_types, a.format, b.format)
        emin = None if held is None else held.emin  # None is each format's own
        ranges = exponent_range(a.format, emin), exponent_range(b.format, emin)
        self.lane = NARROW if self._is_narrow(ranges, a, b, c) else WIDE
        self.a = self._terms(a.transposed, emin)
        self.b = self._terms(b, emin)
        self.aligned = _INTEGERS[Rounding.parse(unit.aligning)]
        self.rounded = _INTEGERS[Rounding.parse(unit.output_rounding)]
        #: Whether rounding a float32 is clearing bits: the exponent is never small.
        self.masks = (
            self.lane is NARROW
            and unit.register == "float32"
            and unit.output_rounding is Rounding.TOWARD_ZERO
        )
        self.memory = threading.local()

    def _is_narrow(
        self,
        ranges: tuple[tuple[int, ...], ...],
        a: MatrixOperand,
        b: MatrixOperand,
        c: Floats | None,
    ) -> bool:
        """Whether float32 holds every product, every sum and every factor."""
        unit, fraction = self.unit, self.unit.fraction_bits
        (first_a, last_a, low_a, bits_a), (first_b, last_b, low_b, bits_b) = ranges
        # Sums are multiples of 2**(first - fraction): the mark of a zero plus an exponent must
        # be below that, so that it is never taken for the largest where something is not zero.
        mark = NARROW.zero + max(last_a, last_b)
        holds = (
            fraction + 2 + (unit.products + 1).bit_length() <= 24
            and bits_a + bits_b <= 24
            and low_a + low_b >= -60
            and last_a + last_b <= 58
            and mark < first_a + first_b - fraction
            and fraction - NARROW.least <= NARROW.bias
            and unit.alignment == "operands"
        )
        scaled = a.scale is not None or b.scale is not None
        if not holds or scaled or unit.group > 1 or unit.adds_c_last:
            return False
        if c is None:
            return True
        some = np.abs(c[np.isfinite(c) & (c != 0)])
        return not some.size or bool(2.0**mark <= some.min() and some.max() <= _LARGEST)

    def _terms(self, x: MatrixOperand, emin: int | None) -> Terms:
        """Return the terms of an operand with k first, in the order of the instruction."""
        codes, scales = x.codes, None
        if x.scale is not None:
            scales = x.scale.expanded((), (codes.shape[0], codes.shape[1]))
        found = make_terms(np.ascontiguousarray(codes), x.format, emin, self.lane, scales)
        order = self.unit.order
        if order is None:
            return found
        length = len(order)
        count = -(-len(codes) // length)
        places = (np.arange(count)[:, None] * length + np.array(order)).ravel()

        def arranged(x: Array, fill: int) -> Array:
            padding = np.full((count * length - len(x), x.shape[1]), fill, x.dtype)
            found: Array = np.concatenate([x, padding]).take(places, axis=0)
            return found

        signs = None if found.signs is None else arranged(found.signs, 0)
        return Terms(arranged(found.values, 0), arranged(found.exponents, self.lane.zero), signs)

    def tile(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the rows and columns of a tile whose products fit the cache."""
        size = max(1, _TILE // self.unit.products // (1 if self.lane is NARROW else 2))
        width = min(columns, 256, size)
        return min(rows, max(1, size // max(width, 1))), width

    def products(self, rows: slice, columns: slice) -> StepProducts:
        """Return what forms the products of a tile; its memory serves a thread's next tile."""
        found: StepProducts | None = getattr(self.memory, "products", None)
        if found is None:
            found = self.memory.products = StepProducts(self)
        found.move(rows, columns)
        return found

    def run(self, rows: slice, columns: slice, ks: slice, start: Floats) -> Floats:
        """Return the accumulators after the products of a range of k."""
        if not self.unit.adds_c_last:
            return self._steps(rows, columns, ks, start)
        total, zero = start, np.zeros_like(start)
        for first in range(ks.start, ks.stop, self.unit.instruction):
            part = slice(first, first + self.unit.instruction)
            with np.errstate(invalid="ignore"):
                total = total + self._steps(rows, columns, part, zero)
            state = _State(total)
            state.values = on_grid(state.values, self.bits, self.emin)
            total = state.close(self.emax)
        return total

    def _steps(self, rows: slice, columns: slice, ks: slice, start: Floats) -> Floats:
        """Return accumulators after steps of products."""
        state = _State(start, self.lane.floats)
        step, last = self.unit.products, min(ks.stop, len(self.a.values))
        products = self.products(rows, columns)
        for k in range(ks.start, last, step):
            largest = products.form(k, min(k + step, last))
            if products.special is not None:
                with np.errstate(invalid="ignore"):
                    state.special += products.special
            self._fuse(products.values, largest, state)
        return state.close(self.emax)

    def _fuse(self, terms: Array, largest: Array, state: _State) -> None:
        """Align the terms and the accumulators, add them, and round."""
        lane, unit = self.lane, self.unit
        values = state.values
        bits = values.view(lane.integers)
        # 1. The exponent to align to.  A zero's own is below any other's.
        e = bits >> lane.mantissa_bits
        e &= 2 * lane.bias + 1
        e -= lane.bias
        if self.emin > -126 or lane is WIDE:
            e = np.where(values == 0, lane.least, np.maximum(e, self.emin))
            largest = np.maximum(largest, lane.least)
        np.maximum(e, largest, out=e)
        if unit.exponent_floor is not None:
            np.maximum(e, unit.exponent_floor, out=e)
        # 2. Terms to integers, which are added exactly.
        exponents = (unit.fraction_bits + lane.bias) - e
        exponents <<= lane.mantissa_bits
        factor = exponents.view(lane.floats)
        terms *= factor
        self.aligned(terms, out=terms)
        values *= factor
        self.aligned(values, out=values)
        values += np.add.reduce(terms, axis=0)
        # 3. The sum, rounded to the register.
        e += lane.bias - unit.fraction_bits
        e <<= lane.mantissa_bits
        values *= e.view(lane.floats)
        if self.masks:
            bits &= -1 << (lane.mantissa_bits - unit.output_bits)
            return
        wide = on_grid(values.astype(np.float64), unit.output_bits, self.emin, self.rounded)
        values[...] = wide
        state.overflow(self.emax)


class _State:
    """Finite accumulators of a tile, and what infinities and NaNs have been added to them."""

    def __init__(self, start: Floats, floats: type[np.floating[Any]] = np.float64) -> None:
        finite = np.isfinite(start)
        self.special = np.where(finite, 0.0, start).astype(np.float32)
        self.values: Array = np.where(finite, start, 0.0).astype(floats)

    def overflow(self, emax: int) -> None:
        """Turn accumulators beyond the register's range into infinities, which stay."""
        beyond = np.abs(self.values) >= np.ldexp(1.0, emax + 1)
        if beyond.any():
            new = beyond & (self.special == 0)
            self.special[new] = np.where(self.values[new] > 0, np.inf, -np.inf)
            self.values[beyond] = 0

    def close(self, emax: int) -> Floats:
        """Return accumulators with the specials in their places; an exact zero is +0."""
        self.overflow(emax)
        values = self.values.astype(np.float64) + 0.0
        found: Floats = np.where(self.special != 0, self.special, values)
        return found


class StepProducts:
    """The products of a step of a tile, in memory that the steps share."""

    def __init__(self, chain: BlockChain) -> None:
        self.chain = chain
        self.rows = self.columns = slice(0, 0)
        self.buffer = np.empty((0, 0, 0), chain.lane.floats)
        self.exponents = np.empty((0, 0, 0), chain.lane.exponents)
        self.values: Array = self.buffer
        self.special: Array | None = None

    def move(self, rows: slice, columns: slice) -> None:
        """Turn to another tile."""
        self.rows, self.columns = rows, columns
        shape = (self.chain.unit.products, rows.stop - rows.start, columns.stop - columns.start)
        if shape != self.buffer.shape:
            self.buffer = np.empty(shape, self.chain.lane.floats)
            self.exponents = np.empty(shape, self.chain.lane.exponents)

    def form(self, first: int, last: int) -> Array:
        """Form the products of a range of k; return the largest exponent of each output."""
        chain, ks = self.chain, slice(first, last)
        count = last - first
        a, b = chain.a, chain.b
        self.values = self.buffer[:count]
        left, right = a.values[ks, self.rows, None], b.values[ks, None, self.columns]
        np.multiply(left, right, out=self.values)
        self.special = specials_of(a, b, ks, self.rows, self.columns)
        if chain.unit.alignment == "product":
            return self._exponents_of_products()
        exponents = self.exponents[:count]
        left, right = a.exponents[ks, self.rows, None], b.exponents[ks, None, self.columns]
        np.add(left, right, out=exponents)
        found: Array = np.maximum.reduce(exponents, axis=0)
        return found

    def _exponents_of_products(self) -> Array:
        """Return the largest exponent of the normalised products; zeros are far below."""
        lane = self.chain.lane
        largest = np.abs(self.values).max(axis=0)
        e = (largest.view(lane.integers) >> lane.mantissa_bits) - lane.bias
        found: Array = np.where(largest == 0, lane.zero * 2, e)
        return found


def specials_of(a: Terms, b: Terms, ks: slice, rows: slice, columns: slice) -> Array | None:
    """Return what the specials among the operands of a step add up to; None if there are none."""
    if a.signs is None and b.signs is None:
        return None
    left, right = (
        (np.sign(x.values[ks, part]).astype(np.float32) if x.signs is None else x.signs[ks, part])
        for x, part in ((a, rows), (b, columns))
    )
    if np.isfinite(left).all() and np.isfinite(right).all():
        return None
    with np.errstate(invalid="ignore"):
        return special_sums(left, right)

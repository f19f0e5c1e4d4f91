"""
The exact sum of exact products, rounded once.

::

    one slice    sums of few bits: float64 adds them exactly, so the BLAS does it
    slices       A = sum of A_s 2**-(s+1)w,  B likewise, entries integers below 2**w:
                 each A_s B_t is exact; they are added as limbs and read out once
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.accumulate.binary import Floats, from_float32, odd_sum
from fp8num.accumulate.limbs import Limbs
from fp8num.accumulate.terms import exponent_range, special_sums
from fp8num.codec import decode

if TYPE_CHECKING:
    from fp8num.accumulate.operands import MatrixOperand

__all__ = ["ExactProduct"]

Array = npt.NDArray[Any]

#: Outputs of a block of rows.
_OUTPUTS = 1 << 17


class ExactProduct:
    """
    Exact sums over one matrix product.

    Parameters
    ----------
    a, b : Operand
        One matrix each, shapes (M, K) and (K, N), with their scales.
    nearest : bool
        Whether the float64 sums are results, and so rounded to nearest; otherwise to odd.
    """

    def __init__(self, a: MatrixOperand, b: MatrixOperand, *, nearest: bool) -> None:
        self.nearest = nearest
        self.depth = a.codes.shape[1]
        self.a, self.b = _values(a), _values(b)
        self.special = not (np.isfinite(self.a).all() and np.isfinite(self.b).all())
        self.signs: tuple[Array, Array] | None = None
        if self.special:
            self.signs = _signs(self.a), _signs(self.b)
            self.a = np.where(np.isfinite(self.a), self.a, 0.0)
            self.b = np.where(np.isfinite(self.b), self.b, 0.0)
        self.one_slice = a.scale is None and b.scale is None and self._fits(a, b)
        if not self.one_slice:
            self.width = (53 - self.depth.bit_length()) // 2
            self.width = min(self.width, 26)
            self.slices_a, self.top_a = _slices(self.a, 1, self.width)
            self.slices_b, self.top_b = _slices(self.b, 0, self.width)

    def _fits(self, a: MatrixOperand, b: MatrixOperand) -> bool:
        """Whether every partial sum is a multiple of one unit, and below 2**53 of it."""
        bits = self.depth.bit_length()
        for x in (a, b):
            _, last, low, _ = exponent_range(x.format)
            bits += last + 1 - low
        return bool(bits <= 53)

    def tile(self, rows: int, columns: int) -> tuple[int, int]:
        """Return the rows and columns of a block."""
        return min(rows, max(1, _OUTPUTS // max(columns, 1))), columns

    def run(
        self,
        rows: slice,
        columns: slice,
        added: list[Floats],
        factor: float = 1.0,
    ) -> Floats:
        """
        Return the sums of a block, with further terms added, times a factor.

        Parameters
        ----------
        rows, columns : slice
            The block.
        added : list of ndarray of float64, broadcastable to the block
            C and bias.
        factor : float, optional
            What the sum is multiplied by before it is rounded.

        Returns
        -------
        ndarray of float64
            Rounded once, to nearest or to odd.
        """
        specials = [np.where(np.isfinite(x), 0.0, x) for x in added]
        finite = [np.where(np.isfinite(x), x, 0.0) for x in added]
        found = self._sum(rows, columns, finite, factor)
        if self.signs is not None:
            specials.append(special_sums(self.signs[0][rows].T, self.signs[1][:, columns]))
        total = np.zeros(found.shape)
        with np.errstate(invalid="ignore"):
            for special in specials:
                total = total + special
            total *= factor
        return np.where(total != 0, total, found)

    def _sum(self, rows: slice, columns: slice, added: list[Floats], factor: float) -> Floats:
        """Return the finite sums of a block."""
        if self.one_slice:
            sums: Floats = np.matmul(self.a[rows], self.b[:, columns])
            if factor == 1 and len(added) <= 1:
                sums += 0.0  # a BLAS may leave -0
                if not added:
                    return sums
                other = np.broadcast_to(added[0], sums.shape)
                return sums + other if self.nearest else odd_sum(sums, other)
            limbs = Limbs([np.zeros(sums.shape, np.int64)], np.zeros((1, 1), np.int64), 20)
            limbs.add(sums)
        else:
            limbs = self._limbs(rows, columns)
        for x in added:
            limbs.add(x)
        if factor != 1:
            limbs.multiply(factor)
        return limbs.to_float64(nearest=self.nearest)

    def _limbs(self, rows: slice, columns: slice) -> Limbs:
        """Multiply slices by slices; those of one weight make a limb."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        count = max(1, len(self.slices_a) + len(self.slices_b) - 1)
        limbs = [np.zeros(shape, np.int64) for _ in range(count)]
        for i, left in enumerate(self.slices_a):
            for j, right in enumerate(self.slices_b):
                if left is not None and right is not None:
                    # Integers, their sum below 2**53: exact in any order.
                    limbs[count - 1 - i - j] += (left[rows] @ right[:, columns]).astype(np.int64)
        exponent = self.top_a[rows] + self.top_b[:, columns] - (count + 1) * self.width
        return Limbs(limbs, exponent, self.width)


def _values(x: MatrixOperand) -> Floats:
    """Return decoded values times their scales, exact in float64."""
    values: Floats = decode(np.ascontiguousarray(x.codes), x.format, dtype=np.float64)
    if x.scale is None:
        return values
    scales = from_float32(x.scale.expanded((), (values.shape[0], values.shape[1])))
    _, last, low, _ = exponent_range(x.format)
    if not -1022 + 149 <= low <= last <= 1023 - 128:
        msg = (
            f"scales must not be given with {x.format.name}: its values reach from 2**{low} to "
            f"2**{last}, and float64 does not hold their products with every float32"
        )
        raise ValueError(msg)
    with np.errstate(invalid="ignore"):
        found: Floats = values * scales
    return found


def _signs(x: Floats) -> npt.NDArray[np.float32]:
    """Return -1, 0, 1, infinities and NaN."""
    return np.where(np.isinf(x), x, np.sign(x)).astype(np.float32)


def _slices(x: Floats, axis: int, width: int) -> tuple[list[Floats | None], Array]:
    """Cut numbers into integers of `width` bits, from the top of each row or column down."""
    top = np.frexp(np.abs(x).max(axis=axis, keepdims=True, initial=0.0))[1].astype(np.int64)
    slices: list[Floats | None] = []
    rest = x
    while rest.any():
        unit = (top - (len(slices) + 1) * width).astype(np.int32)
        part = np.trunc(np.ldexp(rest, -unit))
        rest = rest - np.ldexp(part, unit)
        slices.append(part if part.any() else None)
    return slices, top

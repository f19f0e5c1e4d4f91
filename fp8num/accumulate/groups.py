"""
Blackwell's NVFP4 unit: groups of products summed exactly, then scaled and aligned.

::

    K = 64:  [16 products] s_a s_b  [16] s_a s_b  [16] s_a s_b  [16] s_a s_b  + c
    each exact sum is aligned by the exponents of its scales alone
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num.accumulate.binary import from_float32
from fp8num.accumulate.units import BlockChain, StepProducts, specials_of
from fp8num.formats import E4M3FN, E8M0FNU

if TYPE_CHECKING:
    from fp8num.accumulate.accumulator import TensorCore
    from fp8num.accumulate.binary import Floats
    from fp8num.accumulate.operands import MatrixOperand
    from fp8num.accumulate.terms import Terms
    from fp8num.formats import Format

__all__ = ["GroupChain"]

Array = npt.NDArray[Any]


class GroupChain(BlockChain):
    """Steps of a unit whose groups of products share scales."""

    def __init__(
        self, unit: TensorCore, a: MatrixOperand, b: MatrixOperand, c: Floats | None
    ) -> None:
        super().__init__(unit, replace(a, scale=None), replace(b, scale=None), c)
        self.a, self.scales_a = self._scales(self.a, a.transposed)
        self.b, self.scales_b = self._scales(self.b, b)

    def _scales(self, terms: Terms, x: MatrixOperand) -> tuple[Terms, tuple[Array, Array]]:
        """Return the groups' scales and their exponents; NaN ones make NaN terms."""
        shape = terms.values.shape
        scales = np.ones((1, 1), np.float32)
        if x.scale is not None:
            scales = x.scale.expanded((), (shape[0], shape[1]))
        scales = np.broadcast_to(scales, shape)
        bad = np.isnan(scales)
        if bad.any():
            signs = np.sign(terms.values).astype(np.float32)
            signs[bad] = np.nan
            terms = replace(terms, signs=signs)
        small = np.where(bad, np.float32(0), scales)[:: self.unit.group]
        return terms, _with_exponents(small, _scale_format(x))

    def products(self, rows: slice, columns: slice) -> StepProducts:
        """Return what forms the groups of a tile."""
        found = _Groups(self)
        found.move(rows, columns)
        return found


def _scale_format(x: MatrixOperand) -> Format:
    """Return the scales' format: as stored, or by their block, E8M0 for 32 products."""
    if x.scale is None or x.scale.format is not None:
        return E4M3FN if x.scale is None or x.scale.format is None else x.scale.format
    return E8M0FNU if 32 in x.scale.block else E4M3FN


def _with_exponents(scales: npt.NDArray[np.float32], fmt: Format) -> tuple[Array, Array]:
    """Return scales and the exponents to align by, of subnormal ones the format's least."""
    wide = from_float32(scales)
    exponents = np.where(wide == 0, 0, np.frexp(wide)[1] - 1)
    assert fmt.emin is not None
    return wide, np.maximum(exponents, fmt.emin)


class _Groups(StepProducts):
    """The scaled sums of a step's groups."""

    chain: GroupChain

    def form(self, first: int, last: int) -> Array:
        """Form the sums of the groups in a range of k; return the largest exponents."""
        chain, size = self.chain, self.chain.unit.group
        a, b = chain.a, chain.b
        starts = range(first, last, size)
        self.values = self.buffer[: len(starts)]
        self.special = specials_of(a, b, slice(first, last), self.rows, self.columns)
        largest = np.full(self.values.shape[1:], 2 * chain.lane.zero, np.int64)
        for place, k in enumerate(starts):
            ks = slice(k, min(k + size, last))
            left, right = a.values[ks, self.rows], b.values[ks, self.columns]
            left_scale, right_scale = (
                [part[k // size, where] for part in split]
                for split, where in ((chain.scales_a, self.rows), (chain.scales_b, self.columns))
            )
            # Multiples of 1/4 below 2**10: exact in whatever order the BLAS adds them.
            sums = left.T @ right
            sums *= left_scale[0][:, None] * right_scale[0]
            self.values[place] = sums
            some = (np.abs(left).T @ np.abs(right)) * left_scale[0][:, None] * right_scale[0] > 0
            exponents = left_scale[1][:, None] + right_scale[1]
            np.maximum(largest, exponents, out=largest, where=some)
        return largest

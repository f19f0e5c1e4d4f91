"""
From float64 sums of exact products to the float32 nearest to the exact sum.

::

    sums below 2^53 quanta      exact already
    y - B <= exact <= y + B     both ends round alike: done
                                else: pairs of pairs, what each addition lost kept beside it
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import flushes_subnormals
from fp8num.accumulate.binary import odd_sum, to_float32
from fp8num.nn._matrix import buffer

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Bound", "exact_sums"]

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Single: TypeAlias = npt.NDArray[np.float32]
Quanta: TypeAlias = "Floats | float"

#: Products that are added exactly at once.
_TERMS = 1 << 17
#: More than what was lost in computing a bound.
_SLACK = 1 + 2.0**-20


class Bound:
    """
    How far float64 sums may be from the exact ones, and what is done about it.

    Parameters
    ----------
    a, b : ndarray of float64, shapes (M, K) and (K, N)
        The operands.
    quanta : iterable of pairs of (float or ndarray of float64)
        What rows of A and columns of B are multiples of; what takes longer to find and may
        be larger comes later.
    exact : bool
        Whether sums are known to be exact: only what is not finite is looked for then.
    """

    def __init__(
        self, a: Floats, b: Floats, quanta: Iterable[tuple[Quanta, Quanta]], *, exact: bool
    ) -> None:
        self.a, self.b = a, b
        self.plain = not flushes_subnormals()
        self.special = False
        depth = a.shape[1]
        self.exact = exact
        if exact:
            return
        self.rows, self.columns = self._norms("ij,ij->i", a), self._norms("ij,ij->j", b)
        # In units of the quanta: where their product is below 2^53, every partial sum is an
        # integer that float64 holds.  One product is exact in any case.
        for of_rows, of_columns in quanta:
            self.counts = self.rows / of_rows, self.columns / of_columns
            most = self.counts[1].max(initial=0.0)
            surely = (self.counts[0] * most <= 2.0**53) | (depth < 2)
            if surely.all():
                break
        # 4 more than the additions: of float64's numbers the interval then holds the next one
        # on either side, so that adding and subtracting the bound may round.
        self.rows *= (depth + 3) * 2.0**-53
        self.rows[surely] = 0.0

    def _norms(self, subscripts: str, x: Floats) -> Floats:
        """Return norms, a little too large; 0 where a number is not finite."""
        squares: Floats = np.einsum(subscripts, x, x)
        if not np.isfinite(squares.sum()):  # float32's squares add up to no infinity
            self.special = True
            squares[~np.isfinite(squares)] = 0.0
        return np.sqrt(squares) * _SLACK

    def round(self, sums: Floats, panel: slice, out: Single) -> None:
        """Round a panel of rows, and what the bound leaves open by the exact sums."""
        if self.exact or not self.rows[panel].any():
            self._copy(sums, out)
        else:
            margin = buffer("margins", sums.shape)
            np.multiply(self.rows[panel, None], self.columns, out=margin)
            low = np.empty(out.shape, np.float32)
            self._to_float32(np.subtract, sums, margin, low)
            self._to_float32(np.add, sums, margin, out)
            open_ = low.view(np.uint32) != out.view(np.uint32)  # -0 and 0 too
            if open_.any():
                self._settle(sums, panel, out, open_)
        if self.special or (self.exact and not np.isfinite(out.sum())):
            out[np.isnan(out)] = np.nan  # one NaN, whatever the BLAS left

    def _copy(self, sums: Floats, out: Single) -> None:
        """Write exact sums to float32; -0, which a BLAS may leave, becomes 0."""
        if self.plain:
            np.add(sums, 0.0, out=sums)
            np.copyto(out, sums, casting="same_kind")
        else:
            out.view(np.uint32)[...] = to_float32(sums + 0.0).view(np.uint32)

    def _to_float32(self, combine: np.ufunc, sums: Floats, margin: Floats, out: Single) -> None:
        """Write sums with their margin added or subtracted."""
        if self.plain:
            combine(sums, margin, out=out, casting="same_kind")
        else:
            out.view(np.uint32)[...] = to_float32(combine(sums, margin)).view(np.uint32)

    def _settle(self, sums: Floats, panel: slice, out: Single, open_: Array) -> None:
        """Write what the bound leaves open: exact sums as they are, others added up exactly."""
        rows, columns = np.nonzero(open_)
        found, i = sums[rows, columns], rows + panel.start
        out.view(np.uint32)[rows, columns] = to_float32(found + 0.0).view(np.uint32)
        inexact = self.counts[0][i] * self.counts[1][columns] > 2.0**53
        left = np.flatnonzero(inexact & np.isfinite(found))
        rows, columns = rows[left], columns[left]
        step = max(1, _TERMS // self.a.shape[1])
        for first in range(0, len(rows), step):
            i, j = rows[first : first + step], columns[first : first + step]
            exact = exact_sums(self.a[panel.start + i] * self.b.T[j])
            out.view(np.uint32)[i, j] = exact.view(np.uint32)


def exact_sums(terms: Floats) -> Single:
    """Return the sum of each row of exact products, rounded once."""
    # 1. Pairs of pairs: each addition leaves what it lost, by Knuth's two-sum.
    products, lost, count = terms, [], terms.shape[1]
    while terms.shape[1] > 1:
        half = terms.shape[1] // 2
        x, y = terms[:, :half], terms[:, half : 2 * half]
        total = x + y
        part = total - x
        lost.append((x - (total - part)) + (y - part))
        terms = np.concatenate([total, terms[:, 2 * half :]], axis=1)
    # 2. What was lost is small, and its own sum good to 2^-53 of it.
    rest = np.concatenate(lost, axis=1)
    margin = np.abs(rest).sum(axis=1) * (count * 2.0**-52)
    top, rest = terms[:, 0], rest.sum(axis=1)
    result = to_float32(odd_sum(top, rest + margin))
    # 3. If that is not enough, by sums of any precision.
    other = to_float32(odd_sum(top, rest - margin))
    for row in np.flatnonzero(other.view(np.uint32) != result.view(np.uint32)):  # -0 and 0 too
        first = math.fsum(products[row])
        second = math.fsum([*products[row], -first])
        result[row : row + 1] = to_float32(odd_sum(np.array([first]), np.array([second])))
    return result

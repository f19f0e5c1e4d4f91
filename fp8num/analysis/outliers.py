"""
Which row, column or element of a matrix is out of proportion, and by how much.

::

    log2 |x[i, j]|  =  typical + row[i] + column[j] + residual[i, j]

Means of logarithms: one element of 10**6 among a thousand moves its row's by a fiftieth of a
bit, and a column that is large in every row moves all rows alike.  What neither explains is
the element's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fp8num._kernels.state import float_arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

__all__ = ["Outlier", "find_outliers"]

#: A row or column this many times the median one stands out, an element this many times
#: what its row and column suggest: below, E4M3FN has the binades to hold both.
LINE_RATIO, ELEMENT_RATIO = 100.0, 1000.0
#: At most so many of each axis are kept, the largest ones.
MOST = 16


@dataclass(frozen=True, slots=True)
class Outlier:
    """
    A part of a matrix that is out of proportion.

    Attributes
    ----------
    axis : {"row", "column", "element"}
        What stands out.
    index : tuple of int
        Which one: ``(i,)`` for a row or column, ``(i, j)`` for an element.
    ratio : float
        A row's or column's typical magnitude (the geometric mean of its nonzero elements)
        over that of the median one; an element's over what its row and column suggest.
    """

    axis: Literal["row", "column", "element"]
    index: tuple[int, ...]
    ratio: float


@float_arithmetic
def find_outliers(
    pieces: Callable[[], Iterable[npt.NDArray[np.float64]]], columns: int
) -> tuple[Outlier, ...]:
    """
    Return what stands out of a matrix, given piece by piece.

    Parameters
    ----------
    pieces : callable
        Returns an iterable of consecutive rows, ndarrays of float64 of shape (n, K); it is
        called twice.
    columns : int
        K.

    Returns
    -------
    tuple of Outlier
        Rows, then columns, then elements, of each the largest `MOST`.

    Notes
    -----
    Zeros and what is not finite take no part.  State is that of the rows and the columns; the
    result does not depend on how the rows are cut into pieces, but for rounding in the
    columns' sums.
    """
    rows = _Means.empty()
    total, count = np.zeros(columns), np.zeros(columns)
    for piece in pieces():
        logs, there = _logarithms(piece)
        rows += _Means(logs.sum(axis=1), there.sum(axis=1))
        total += logs.sum(axis=0)
        count += there.sum(axis=0)
    row, column = rows.levels, _Means(total, count).levels
    lines: tuple[tuple[Literal["row", "column"], npt.NDArray[np.float64]], ...] = (
        ("row", row),
        ("column", column),
    )
    found = [
        Outlier(axis, (int(i),), float(np.exp2(levels[i])))
        for axis, levels in lines
        for i in _largest(levels, float(np.log2(LINE_RATIO)))
    ]
    return (*found, *_elements(pieces(), rows.typical, row, column))


@dataclass(frozen=True, eq=False)
class _Means:
    """Sums of logarithms of lines, and over how many elements."""

    total: npt.NDArray[np.float64]
    count: npt.NDArray[np.float64]

    @classmethod
    def empty(cls) -> _Means:
        return cls(np.empty(0), np.empty(0))

    def __add__(self, other: _Means) -> _Means:
        return _Means(
            np.concatenate((self.total, other.total)), np.concatenate((self.count, other.count))
        )

    @property
    def means(self) -> npt.NDArray[np.float64]:
        """A line's mean, NaN if it has none."""
        found = np.full(len(self.count), np.nan)
        np.divide(self.total, self.count, where=self.count > 0, out=found)
        return found

    @property
    def typical(self) -> float:
        """The median of the means."""
        means = self.means[self.count > 0]
        return float(np.median(means)) if len(means) else 0.0

    @property
    def levels(self) -> npt.NDArray[np.float64]:
        """Each line's mean over the median one's, in binades; 0 for one without elements."""
        return np.where(self.count > 0, self.means - self.typical, 0.0)


def _logarithms(
    piece: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return log2 of the magnitudes, 0 for those that take no part, and which do."""
    magnitude = np.abs(piece)
    there = (magnitude > 0) & (magnitude < np.inf)
    return np.log2(magnitude, where=there, out=np.zeros(piece.shape)), there


def _largest(levels: npt.NDArray[np.float64], limit: float) -> npt.NDArray[np.intp]:
    """Return where levels are above a limit: the largest first, of equal ones the first."""
    order = np.argsort(-levels, kind="stable")[:MOST]
    return order[levels[order] > limit]


def _elements(
    pieces: Iterable[npt.NDArray[np.float64]],
    typical: float,
    row: npt.NDArray[np.float64],
    column: npt.NDArray[np.float64],
) -> list[Outlier]:
    """Return the elements that neither their row nor their column explains."""
    kept: list[tuple[float, tuple[int, ...]]] = []
    start = 0
    for piece in pieces:
        logs, there = _logarithms(piece)
        residual = logs - (typical + row[start : start + len(piece), None] + column)
        residual[~there] = -np.inf
        flat = residual.ravel()
        for i in np.flatnonzero(flat > np.log2(ELEMENT_RATIO)):
            at = np.unravel_index(i, residual.shape)
            kept.append((float(flat[i]), (start + int(at[0]), int(at[1]))))
        kept = sorted(kept, key=lambda entry: (-entry[0], entry[1]))[:MOST]
        start += len(piece)
    return [Outlier("element", index, float(np.exp2(level))) for level, index in kept]

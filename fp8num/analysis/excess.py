"""
What a format costs a tensor's rows, beside what it costs ordinary data.

::

    row    |-- 32 --|-- 32 --|-- 32 --|  K, the axis that a product sums over
    block    its largest element is taken out; error**2 / norm**2 of what is left
    row      root mean square of its blocks, over the cost on Gaussian data: the excess

A row of a matrix product meets every part of K, so damage in a few blocks is damage to the
row.  One outlier has a norm that hides what it does to its neighbours: therefore a block
counts without its largest element, and for what it is, not for its share of the row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BLOCK", "NEGLIGIBLE", "RowBlocks", "RowErrors"]

#: Elements of a block along K.
BLOCK = 32
#: Blocks below this share of the row's median block norm, and rows below this share of the
#: median row's norm, add nothing to a product that anybody would miss.
NEGLIGIBLE = 1e-3
#: Squares of magnitudes between these powers of two, and sums of them, are safe in float64.
_SAFE = 400


@dataclass(frozen=True, eq=False)
class RowErrors:
    """
    How far each row is from what was made of it.

    Errors of consecutive rows merge to those of all of them, exactly.

    Attributes
    ----------
    relative : ndarray of float64, shape (rows,)
        Root mean square of the relative errors of the row's blocks; NaN for a row
        without a finite nonzero element.
    norms : ndarray of float64, shape (rows,)
        Euclidean norms of the rows' finite elements.
    noise, signal : ndarray of float64, shape (rows,), or None
        Mean squares of the product's error and of the product, where channels have the mean
        squares that were given.
    """

    relative: npt.NDArray[np.float64]
    norms: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64] | None = None
    signal: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(cls, x: npt.NDArray[np.float64], result: npt.NDArray[np.float64]) -> RowErrors:
        """
        Compare rows with what was made of them.

        Parameters
        ----------
        x : ndarray of float64, shape (rows, K)
            The rows; elements that are not finite count as zero without error.
        result : ndarray of float64, shape (rows, K)
            What a rule made of them, decoded.  One that is not finite where the element is
            counts as lost, like a zero.

        Returns
        -------
        RowErrors
            The comparison.
        """
        return RowBlocks(x).errors(result)

    @classmethod
    def joined(cls, parts: list[RowErrors]) -> RowErrors:
        """Return the errors of rows one after the other, of one part at least."""
        noise = [part.noise for part in parts if part.noise is not None]
        signal = [part.signal for part in parts if part.signal is not None]
        return cls(
            np.concatenate([part.relative for part in parts]),
            np.concatenate([part.norms for part in parts]),
            np.concatenate(noise) if noise else None,
            np.concatenate(signal) if signal else None,
        )

    def merge(self, other: RowErrors) -> RowErrors:
        """Return the errors of these rows and the ones that follow."""
        return RowErrors.joined([self, other])

    __add__ = merge

    @property
    def output_error(self) -> float:
        """Norm of the product's error over that of the product; NaN without mean squares."""
        if self.noise is None or self.signal is None or not self.signal.sum():
            return math.nan
        return math.sqrt(math.fsum(self.noise) / math.fsum(self.signal))

    @cached_property
    def is_live(self) -> npt.NDArray[np.bool_]:
        """Which rows count: not zero, nor near-dead beside the median one."""
        live = self.norms > 0
        if live.any():
            live &= self.norms >= NEGLIGIBLE * np.median(self.norms[live])
        return live


class RowBlocks:
    """
    Rows cut into blocks, to be compared with what several rules make of them.

    Parameters
    ----------
    x : ndarray of float64, shape (rows, K)
        The rows.
    """

    def __init__(self, x: npt.NDArray[np.float64]) -> None:
        finite = np.isfinite(x)
        self._finite = None if finite.all() else finite
        x = x if self._finite is None else np.where(finite, x, 0.0)
        magnitudes = _in_blocks(np.abs(x))
        # Where squares could overflow or vanish, rows are taken times powers of two.
        largest = magnitudes.max(axis=(1, 2), initial=0.0)
        exponent = np.frexp(largest)[1]
        self._exponent = exponent if np.abs(exponent).max(initial=0) > _SAFE else None
        self._x = x
        blocks = self._scaled(x)
        self._blocks = np.arange(blocks.size // BLOCK)
        # Beside a much larger number the others have no digits left in a sum: it goes first.
        self._top = magnitudes.reshape(-1, BLOCK).argmax(axis=1) if x.size else self._blocks
        self._whole = _squares(blocks)
        rest = blocks.reshape(-1, BLOCK).copy()
        rest[self._blocks, self._top] = 0.0
        rest_squares = _squares(rest.reshape(blocks.shape))
        self._alone = (rest_squares == 0) & (self._whole > 0)  # its largest element: it counts
        self._squares = np.where(self._alone, self._whole, rest_squares)
        self._counted = _counted(self._squares)

    @property
    def norms(self) -> npt.NDArray[np.float64]:
        """Norms of the rows."""
        found: npt.NDArray[np.float64] = np.sqrt(self._whole.sum(axis=1))
        return found if self._exponent is None else np.ldexp(found, self._exponent)

    def errors(
        self,
        result: npt.NDArray[np.float64],
        mean_squares: npt.NDArray[np.float64] | None = None,
    ) -> RowErrors:
        """Compare the rows with what was made of them."""
        error = self._difference(result)
        noise = None if mean_squares is None else _weighted(error, mean_squares)
        signal = None if mean_squares is None else _weighted(self._x, mean_squares)
        blocks = self._scaled(error)
        flat = blocks.reshape(-1, BLOCK)
        top = flat[self._blocks, self._top]
        flat[self._blocks, self._top] = 0.0
        wrong = _squares(blocks)
        if self._alone.any():
            wrong += np.where(self._alone, top.reshape(wrong.shape) ** 2, 0.0)
        ratio = np.divide(wrong, self._squares, where=self._counted, out=np.zeros(wrong.shape))
        counts = self._counted.sum(axis=1)
        nothing = np.full(len(counts), np.nan)
        mean = np.divide(ratio.sum(axis=1), counts, where=counts > 0, out=nothing)
        return RowErrors(np.sqrt(mean), self.norms, noise, signal)

    def _difference(self, result: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return errors, of elements that are finite; a result that is not counts as zero."""
        if not np.isfinite(result).all():
            result = np.where(np.isfinite(result), result, 0.0)
        error = result - self._x
        if self._finite is not None:
            error[~self._finite] = 0.0
        return error

    def _scaled(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        blocks = _in_blocks(rows)
        return (
            blocks if self._exponent is None else np.ldexp(blocks, -self._exponent[:, None, None])
        )


def _in_blocks(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cut rows into blocks, the last one filled with zeros: shape (rows, blocks, BLOCK)."""
    missing = -rows.shape[1] % BLOCK
    filled = np.pad(rows, ((0, 0), (0, missing))) if missing else rows
    return filled.reshape(len(rows), filled.shape[1] // BLOCK, BLOCK)


def _weighted(
    rows: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum each row's squares with weights, not by a BLAS, whose order depends on threads."""
    found: npt.NDArray[np.float64] = np.einsum("rk,rk,k->r", rows, rows, weights)
    return found


def _squares(blocks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum each block's squares; of so few, in an order that no piece changes."""
    found: npt.NDArray[np.float64] = np.einsum("rbi,rbi->rb", blocks, blocks)
    return found


def _counted(squares: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which blocks are not negligible in their row."""
    norms = np.sqrt(squares)
    occurs = squares > 0
    if occurs.all():
        middle = np.median(norms, axis=1, keepdims=True) if norms.size else norms[:, :1]
        return norms >= NEGLIGIBLE * middle
    counted = np.zeros(squares.shape, np.bool_)
    rows = occurs.any(axis=1)
    if rows.any():
        some = np.where(occurs[rows], norms[rows], np.nan)
        counted[rows] = some >= NEGLIGIBLE * np.nanmedian(some, axis=1, keepdims=True)
    return counted

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

from fp8num.analysis.blocks import Block

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

    def excess(self, cost: float) -> npt.NDArray[np.float64]:
        """Return the relative errors over what the format must cost; 0 of rows not judged."""
        found: npt.NDArray[np.float64] = np.where(self.is_live, self.relative / cost, 0.0)
        return np.nan_to_num(found, copy=False, nan=0.0, posinf=np.inf)

    @property
    def median(self) -> float:
        """The relative error of the median row that counts; NaN if there is none."""
        return float(np.median(self.relative[self.is_live])) if self.is_live.any() else math.nan

    @property
    def near_dead(self) -> int:
        """How many rows are not zero and do not count."""
        return int((self.norms > 0).sum() - self.is_live.sum())

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
    known : Block, optional
        The same elements, if what is to be known of them is at hand.
    """

    def __init__(self, x: npt.NDArray[np.float64], known: Block | None = None) -> None:
        known = Block(x) if known is None else known
        self._finite = None if known.is_finite is None else known.is_finite.reshape(x.shape)
        self._x = x = known.x.reshape(x.shape)
        magnitudes = known.magnitudes.reshape(x.shape)
        flat = _in_blocks(magnitudes).reshape(-1, BLOCK)
        self._blocks = np.arange(len(flat))
        # Beside a much larger number the others have no digits left in a sum: it goes first.
        self._top = flat.argmax(axis=1) if x.size else self._blocks
        # Where squares could overflow or vanish, rows are taken times powers of two.
        largest = flat[self._blocks, self._top].reshape(len(x), -1).max(axis=1, initial=0.0)
        exponent = np.frexp(largest)[1]
        self._exponent = exponent if np.abs(exponent).max(initial=0) > _SAFE else None
        blocks = self._scaled(x)
        rest = known.space.array("rest", blocks.size).reshape(blocks.shape)
        np.copyto(rest, blocks)
        top, rest_squares = self._without_top(rest)
        self._whole = rest_squares + top * top
        self._alone = (rest_squares == 0) & (self._whole > 0)  # its largest element: it counts
        self._some_alone = bool(self._alone.any())
        self._squares = np.where(self._alone, self._whole, rest_squares)
        self._counted = _counted(self._squares)
        self._counts = self._counted.sum(axis=1)

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
        return self.of_errors(self._difference(result), mean_squares)

    def of_errors(
        self,
        error: npt.NDArray[np.float64],
        mean_squares: npt.NDArray[np.float64] | None = None,
    ) -> RowErrors:
        """Look at the rows' errors, 0 where an element is not finite; they are written over."""
        noise = None if mean_squares is None else _weighted(error, mean_squares)
        signal = None if mean_squares is None else _weighted(self._x, mean_squares)
        top, wrong = self._without_top(self._scaled(error))
        if self._some_alone:
            wrong += np.where(self._alone, top * top, 0.0)
        ratio = np.divide(wrong, self._squares, where=self._counted, out=np.zeros(wrong.shape))
        nothing = np.full(len(self._counts), np.nan)
        mean = np.divide(ratio.sum(axis=1), self._counts, where=self._counts > 0, out=nothing)
        return RowErrors(np.sqrt(mean), self.norms, noise, signal)

    def _without_top(
        self, blocks: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Take the elements out at which blocks are largest; return them, and what is left."""
        flat = blocks.reshape(-1, BLOCK)
        top = flat[self._blocks, self._top].reshape(blocks.shape[:2])
        flat[self._blocks, self._top] = 0.0
        return top, _squares(blocks)

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
        if not norms.size:
            return norms >= 0
        at = norms.shape[1] // 2
        ends = [(norms.shape[1] - 1) // 2, at]  # numpy.median takes its time for few numbers
        middle = np.partition(norms, ends, axis=1)[:, ends].mean(axis=1, keepdims=True)
        found: npt.NDArray[np.bool_] = norms >= NEGLIGIBLE * middle
        return found
    counted = np.zeros(squares.shape, np.bool_)
    rows = occurs.any(axis=1)
    if rows.any():
        some = np.where(occurs[rows], norms[rows], np.nan)
        counted[rows] = some >= NEGLIGIBLE * np.nanmedian(some, axis=1, keepdims=True)
    return counted

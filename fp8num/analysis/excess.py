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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fp8num.analysis.blocks import Block

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BLOCK", "NEGLIGIBLE", "RowBlocks", "RowErrors", "RowTally"]

#: Elements of a block along K.
BLOCK = 32
#: Blocks below this share of the row's median block norm, and rows below this share of the
#: median row's norm, add nothing to a product that anybody would miss.
NEGLIGIBLE = 1e-3
#: Squares of magnitudes between these powers of two, and sums of them, are safe in float64.
_SAFE = 400
#: How many elements of a block come after each of them.
_FROM_THE_END = np.arange(BLOCK, dtype=np.uint64)[::-1].copy()


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


class _Tops(NamedTuple):
    """Some of the rows, in blocks."""

    tops: npt.NDArray[np.intp]  #: where the blocks' largest elements are
    exponents: npt.NDArray[np.int32] | None  #: of powers of two to take rows over, if need be

    def squares(
        self, blocks: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Take the largest elements out; return them, and sums of squares of what is left."""
        if self.exponents is not None:
            blocks = np.ldexp(blocks, -self.exponents[:, None, None])
        flat = blocks.reshape(-1)
        top = flat.take(self.tops).reshape(blocks.shape[:2])
        flat[self.tops] = 0.0
        return top, np.einsum("rbi,rbi->rb", blocks, blocks)  # no piece changes the order


class RowBlocks:
    """Rows cut into blocks, to be compared with what several rules make of them."""

    def __init__(self, x: npt.NDArray[np.float64], known: Block | None = None) -> None:
        self.known = Block(x) if known is None else known
        self.x: npt.NDArray[np.float64] = self.known.x.reshape(x.shape)
        self.parts: list[_Tops] = []
        found = [self._look(self.x.reshape(-1)[place]) for place in self.known.parts]
        top, rest, norms = (np.concatenate(each) for each in zip(*found, strict=True))
        whole = rest + top * top
        #: Blocks of which the largest element is all there is: it counts.
        self.alone = (rest == 0) & (whole > 0)
        self.squares = np.where(self.alone, whole, rest)
        self.counted = _counted(self.squares)
        self.norms = norms

    def _look(self, flat: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
        """Find a part's largest elements; return them, what is left of squares, and norms."""
        blocks = _in_blocks(flat.reshape(-1, self.x.shape[-1]))
        room = self.known.space.array("errors", blocks.size).reshape(blocks.shape)
        # Beside a much larger number the others have no digits left in a sum: it goes first.
        find = _packed_tops if self.known.is_narrow else _tops
        tops = find(blocks.reshape(-1), room.reshape(-1))
        np.copyto(room, blocks)
        largest = np.abs(room.reshape(-1).take(tops)).reshape(blocks.shape[:2]).max(axis=1)
        # Where squares could overflow or vanish, rows are taken over powers of two.
        exponents = np.frexp(largest)[1]
        exponents[np.abs(exponents) <= _SAFE] = 0
        self.parts.append(_Tops(tops, exponents if exponents.any() else None))
        top, rest = self.parts[-1].squares(room)
        norms = np.sqrt((rest + top * top).sum(axis=1))
        return top, rest, np.ldexp(norms, exponents) if exponents.any() else norms

    def errors(
        self,
        result: npt.NDArray[np.float64],
        mean_squares: npt.NDArray[np.float64] | None = None,
    ) -> RowErrors:
        """Compare the rows with what was made of them; a result that is not finite is zero."""
        error = np.where(np.isfinite(result), result, 0.0) - self.x
        if self.known.is_finite is not None:
            error[~self.known.is_finite.reshape(error.shape)] = 0.0
        tally = RowTally(self, mean_squares)
        for place in self.known.parts:
            tally.add(error.reshape(-1)[place])
        return tally.errors


class RowTally:
    """Errors of rows, which come part by part; mean squares are those of K's channels."""

    def __init__(
        self, rows: RowBlocks, mean_squares: npt.NDArray[np.float64] | None = None
    ) -> None:
        self._rows, self._mean_squares = rows, mean_squares
        self._tops: list[npt.NDArray[np.float64]] = []
        self._rest: list[npt.NDArray[np.float64]] = []
        self._noise: list[npt.NDArray[np.float64]] = []

    def add(self, error: npt.NDArray[np.float64]) -> None:
        """Add a part's errors, 0 where an element is not finite; they are written over."""
        error = error.reshape(-1, self._rows.x.shape[-1])
        if self._mean_squares is not None:
            self._noise.append(_weighted(error, self._mean_squares))
        top, rest = self._rows.parts[len(self._rest)].squares(_in_blocks(error))
        self._tops.append(top)
        self._rest.append(rest)

    @property
    def errors(self) -> RowErrors:
        """What was found, once all parts are there."""
        rows, wrong = self._rows, np.concatenate(self._rest)
        if rows.alone.any():
            wrong += np.where(rows.alone, np.concatenate(self._tops) ** 2, 0.0)
        ratio = np.divide(wrong, rows.squares, where=rows.counted, out=np.zeros(wrong.shape))
        counts = rows.counted.sum(axis=1)
        nothing = np.full(len(counts), np.nan)
        mean = np.divide(ratio.sum(axis=1), counts, where=counts > 0, out=nothing)
        noise = signal = None
        if self._mean_squares is not None:
            noise = np.concatenate(self._noise)
            signal = _weighted(rows.x, self._mean_squares)
        return RowErrors(np.sqrt(mean), rows.norms, noise, signal)


def _in_blocks(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cut rows into blocks, the last one filled with zeros: shape (rows, blocks, BLOCK)."""
    count, width = rows.shape
    if width % BLOCK:
        filled = np.zeros((count, -(-width // BLOCK) * BLOCK))
        filled[:, :width] = rows
        rows = filled
    return rows.reshape(count, -1, BLOCK)


def _tops(x: npt.NDArray[np.float64], room: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return where the largest magnitude of each block is: of equal ones, the first."""
    found: npt.NDArray[np.intp] = np.abs(x, out=room).reshape(-1, BLOCK).argmax(axis=1)
    return found + np.arange(0, len(x), BLOCK)


def _packed_tops(x: npt.NDArray[np.float64], room: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """
    Return the same for numbers of float32, by one maximum of integers that hold both.

    word    s eeeeeeeeeee mmmmmmmmmmmmmmmmmmmmmmm 00000 ... 00000
    packed  eeeeeeeeeee mmmmmmmmmmmmmmmmmmmmmmm 00000 ... 0 iiiii     i: 31 - place in the block
    """
    packed = np.left_shift(x.view(np.uint64), np.uint64(1), out=room.view(np.uint64))
    blocks = packed.reshape(-1, BLOCK)
    np.bitwise_or(blocks, _FROM_THE_END, out=blocks)
    starts = np.arange(0, len(x), BLOCK)
    largest = np.maximum.reduceat(packed, starts) & np.uint64(BLOCK - 1)
    return starts + (BLOCK - 1 - largest.astype(np.intp))


def _weighted(
    rows: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum each row's squares with weights, not by a BLAS, whose order depends on threads."""
    found: npt.NDArray[np.float64] = np.einsum("rk,rk,k->r", rows, rows, weights)
    return found


def _counted(squares: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which blocks are not negligible in their row."""
    norms = np.sqrt(squares)
    occurs = squares > 0
    if occurs.all():
        if not norms.size:
            return norms >= 0
        # The median: numpy.median and numpy.partition take their time for few numbers.
        ends = [(norms.shape[1] - 1) // 2, norms.shape[1] // 2]
        middle = np.sort(norms, axis=1)[:, ends].mean(axis=1, keepdims=True)
        found: npt.NDArray[np.bool_] = norms >= NEGLIGIBLE * middle
        return found
    counted = np.zeros(squares.shape, np.bool_)
    rows = occurs.any(axis=1)
    if rows.any():
        some = np.where(occurs[rows], norms[rows], np.nan)
        counted[rows] = some >= NEGLIGIBLE * np.nanmedian(some, axis=1, keepdims=True)
    return counted

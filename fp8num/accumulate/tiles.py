"""
The work on one matrix: tiles that fit the cache, on some threads.

::

    tile -> accumulator (a chain of steps, restarted every block) -> scales, bias -> output
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from fp8num._kernels.blocks import share
from fp8num.accumulate.accumulator import ExactSum, FloatSum, MatrixCore, TensorCore
from fp8num.accumulate.binary import Floats, from_float32, to_float32
from fp8num.accumulate.exact import ExactProduct
from fp8num.accumulate.groups import GroupChain
from fp8num.accumulate.ieee import FloatChain
from fp8num.accumulate.matrix_core import MatrixChain
from fp8num.accumulate.operands import MatrixOperand
from fp8num.accumulate.scaling import AppliedScales
from fp8num.accumulate.units import BlockChain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fp8num.accumulate.request import Request

__all__ = ["fill_matrix"]


class _Chain(Protocol):
    """What adds products: one of the kinds of accumulators at work on one matrix product."""

    def tile(self, rows: int, columns: int) -> tuple[int, int]: ...

    def run(self, rows: slice, columns: slice, ks: slice, start: Floats) -> Floats: ...


def fill_matrix(request: Request, index: tuple[int, ...], result: npt.NDArray[Any]) -> None:
    """Fill one matrix of the batch."""
    a, b = _of_batch(request.a, index), _of_batch(request.b, index)
    c = None if request.c is None else _widened(request.c[index])
    bias = None if request.bias is None else _widened(request.bias)
    work = _exact_work if isinstance(request.unit, ExactSum) else _unit_work
    tile, shape = work(request, a, b, c, bias)
    tiles = list(_tiles(result.shape, shape))

    def fill(place: tuple[slice, slice]) -> None:
        result[place] = tile(*place)

    share(fill, tiles, min(request.threads, len(tiles)) or 1)


def _of_batch(x: MatrixOperand, index: tuple[int, ...]) -> MatrixOperand:
    """Return one matrix of an operand, its scales with it."""
    scale = x.scale
    if scale is not None:
        scale = replace(scale, values=scale.values[index])
    return MatrixOperand(x.codes[index], x.format, scale)


def _widened(x: npt.NDArray[Any]) -> Floats:
    return from_float32(x) if x.dtype == np.float32 else np.asarray(x, np.float64)


def _tiles(shape: tuple[int, ...], tile: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Yield the tiles of a matrix."""
    rows, columns = max(tile[0], 1), max(tile[1], 1)
    for i in range(0, shape[0], rows):
        for j in range(0, shape[1], columns):
            yield slice(i, min(i + rows, shape[0])), slice(j, min(j + columns, shape[1]))


def _exact_work(
    request: Request, a: MatrixOperand, b: MatrixOperand, c: Floats | None, bias: Floats | None
) -> tuple[Any, tuple[int, int]]:
    """Return what computes a tile exactly, and the size of tiles."""
    output = request.output
    product = ExactProduct(a, b, nearest=output.name == "float64")

    def tile(rows: slice, columns: slice) -> npt.NDArray[Any]:
        added = [] if c is None else [c[rows, columns]]
        added += [] if bias is None else [bias[None, columns]]
        sums = product.run(rows, columns, added, output.scale)
        return output.convert(sums, all_ones=False)

    return tile, product.tile(a.codes.shape[0], b.codes.shape[1])


def _unit_work(
    request: Request, a: MatrixOperand, b: MatrixOperand, c: Floats | None, bias: Floats | None
) -> tuple[Any, tuple[int, int]]:
    """Return what computes a tile under a unit, and the size of tiles."""
    unit, entry, output = request.unit, request.entry, request.output
    promotes = isinstance(unit, TensorCore) and unit.promotion is not None
    length = unit.promotion if promotes else entry.length  # type: ignore[attr-defined]  # promotes says so
    chain = _chain(request, a, b, None if length else c)
    scales = AppliedScales(entry, a, b)
    depth = a.codes.shape[1]
    all_ones = isinstance(unit, TensorCore)

    def tile(rows: slice, columns: slice) -> npt.NDArray[Any]:
        shape = rows.stop - rows.start, columns.stop - columns.start
        total = np.zeros(shape) if c is None else np.array(c[rows, columns])
        if length:
            for first in range(0, depth, length):
                ks = slice(first, min(first + length, depth))
                part = chain.run(rows, columns, ks, np.zeros(shape))
                total = scales.close_block(total, part, first, rows, columns)
        else:
            total = chain.run(rows, columns, slice(0, depth), total)
        total = scales.close(total, rows, columns)
        if bias is not None:
            with np.errstate(invalid="ignore"):
                total = from_float32(to_float32(total + bias[columns]))
        return output.convert(output.scaled(total), all_ones=all_ones)

    return tile, chain.tile(a.codes.shape[0], b.codes.shape[1])


def _chain(request: Request, a: MatrixOperand, b: MatrixOperand, c: Floats | None) -> _Chain:
    """Return the accumulator at work."""
    unit = request.unit
    if request.entry.kind != "terms":
        a, b = MatrixOperand(a.codes, a.format), MatrixOperand(b.codes, b.format)
    if isinstance(unit, TensorCore):
        return (GroupChain if unit.group > 1 else BlockChain)(unit, a, b, c)
    if isinstance(unit, MatrixCore):
        return MatrixChain(unit, a, b)
    if isinstance(unit, FloatSum):
        return FloatChain(unit, a, b, c, request.rng)
    return _BlasChain(a, b)


class _BlasChain:
    """NumPy's float32 matrix product."""

    def __init__(self, a: MatrixOperand, b: MatrixOperand) -> None:
        self.a, self.b = (
            np.take(x.format.values.astype(np.float32), np.ascontiguousarray(x.codes))
            for x in (a, b)
        )

    def tile(self, rows: int, columns: int) -> tuple[int, int]:
        return rows, columns

    def run(self, rows: slice, columns: slice, ks: slice, start: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            product = np.matmul(self.a[rows, ks], self.b[ks, columns])
            found: Floats = (product + start.astype(np.float32)).astype(np.float64)
        return found

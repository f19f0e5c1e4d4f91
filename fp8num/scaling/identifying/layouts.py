"""
In which order scales may be stored, and with what padding.

::

    (M, K/32)   plain, transposed, flat, padded to multiples, tiled 128x4 as cuBLAS has it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Layout", "layouts"]

#: What TransformerEngine and cuBLAS pad the number of scales on an axis to multiples of.
_PADDINGS = (4, 128)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """
    An order of stored scales.

    Parameters
    ----------
    name : str
        What is special about it; empty if nothing.
    arrange : callable
        From the array as stored to one entry per block, or None if it is not such one.
    """

    name: str
    arrange: Callable[[npt.NDArray[Any]], npt.NDArray[Any] | None]

    @property
    def is_padded(self) -> bool:
        """Whether some of what is stored belongs to no block."""
        return "beyond ignored" in self.name


def layouts(
    shape: tuple[int, ...],
    counts: tuple[int, ...],
    block: tuple[int, ...],
    *,
    codes: bool,
    repeats: bool,
) -> Iterator[Layout]:
    """
    Yield the orders in which scales of a shape may have one entry per block.

    Parameters
    ----------
    shape : tuple of int
        Of the scales as stored.
    counts : tuple of int
        Number of blocks on each axis.
    block : tuple of int
        Length of a block on each axis.
    codes : bool
        Whether the scales are bytes, which cuBLAS has in tiles.
    repeats : bool
        Whether a two-dimensional block's scale may be there for each of its lines.

    Yields
    ------
    Layout
        The plain one first.
    """
    total = int(np.prod(counts, dtype=np.int64))
    size = int(np.prod(shape, dtype=np.int64))
    if size == total and _without_ones(shape) == _without_ones(counts):
        yield Layout("", lambda array: array.reshape(counts))
    elif size == total and (len(shape) == 1 or (counts and shape[-1] == counts[-1])):
        yield Layout(f"reshaped from {shape}", lambda array: array.reshape(counts))
    if len(counts) >= 2:
        turned = (*counts[:-2], counts[-1], counts[-2])
        if turned == shape != counts and min(turned[-2:]) > 1:
            yield Layout("transposed", lambda array: array.swapaxes(-1, -2))
        yield from _padded(shape, counts, turned)
        if repeats:
            yield from _repeated(shape, counts, block)
    if codes and len(counts) == 2:
        yield from _tiled(size, shape, counts)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _pads(n: int, count: int) -> bool:
    return n == count or (n > count and any(n == -(-count // m) * m for m in _PADDINGS))


def _padded(
    shape: tuple[int, ...], counts: tuple[int, ...], turned: tuple[int, ...]
) -> Iterator[Layout]:
    """Yield layouts with rows and columns that belong to no block."""
    if len(shape) != len(counts):
        return
    for name, wanted in (("", counts), ("transposed, ", turned)):
        if wanted == shape or not all(map(_pads, shape, wanted)) or (name and turned == counts):
            continue
        extra = f"{name}padded from {wanted} to {shape}, what is beyond ignored"
        kept = tuple(slice(0, n) for n in wanted)
        if name:
            yield Layout(extra, lambda array, kept=kept: array[kept].swapaxes(-1, -2))  # type: ignore[misc]
        else:
            yield Layout(extra, lambda array, kept=kept: array[kept])  # type: ignore[misc]


def _repeated(
    shape: tuple[int, ...], counts: tuple[int, ...], block: tuple[int, ...]
) -> Iterator[Layout]:
    """Yield the layout where a two-dimensional block's scale is there for each of its rows."""
    for axis in (len(counts) - 2, len(counts) - 1):
        length = block[axis]
        rows = tuple(
            n if i != axis else shape[axis] if len(shape) == len(counts) else 0
            for i, n in enumerate(counts)
        )
        if length == 1 or rows != shape or -(-shape[axis] // length) != counts[axis]:
            continue
        if shape == counts or block.count(1) != len(block) - 2:
            continue

        def arrange(
            array: npt.NDArray[Any], axis: int = axis, length: int = length
        ) -> npt.NDArray[Any] | None:
            first = array.take(range(0, array.shape[axis], length), axis)
            whole = np.repeat(first, length, axis).take(range(array.shape[axis]), axis)
            return (
                first if np.array_equal(whole, array, equal_nan=array.dtype.kind == "f") else None
            )

        yield Layout(f"repeated for each of the {length} lines of a block", arrange)


def _tiled(size: int, shape: tuple[int, ...], counts: tuple[int, ...]) -> Iterator[Layout]:
    """Yield cuBLAS' layout of block scales: tiles of 128 x 4, each as 32 x 4 x 4."""
    tiles = -(-counts[0] // 128), -(-counts[1] // 4)
    if size != tiles[0] * tiles[1] * 512 or len(shape) > 2:
        return

    def arrange(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        apart = array.reshape(*tiles, 32, 4, 4).transpose(0, 3, 2, 1, 4)
        return apart.reshape(128 * tiles[0], 4 * tiles[1])[: counts[0], : counts[1]]

    yield Layout("in cuBLAS' tiles of 128 x 4, what is beyond ignored", arrange)

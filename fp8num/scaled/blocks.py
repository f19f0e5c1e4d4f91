"""
Where an array's blocks are: the elements that share a scale.

::

    shape (5, 70), block (1, 32)         counts (5, 3)
    |-- 32 --|-- 32 --|- 6 -|            the last block of an axis may be ragged
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

__all__ = ["Blocks", "Region", "beside", "placed", "slabs"]

#: The most elements that are worked on at once, if a block is not larger.
LIMIT = 1 << 18


@dataclass(frozen=True, slots=True)
class Region:
    """Whole blocks of one shape: where their elements are, and where their scales."""

    elements: tuple[slice, ...]
    scales: tuple[slice, ...]
    block: tuple[int, ...]

    def split(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the region of an array with two axes for each: blocks, and within a block."""
        view = array[self.elements]
        pairs = zip(view.shape, self.block, strict=True)
        return view.reshape([length for n, b in pairs for length in (n // b, b)])

    def spread(self, scales: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the region's scales so that they broadcast against `split`."""
        view = scales[self.scales]
        return view.reshape([length for n in view.shape for length in (n, 1)])

    @property
    def size(self) -> int:
        """Elements of the region."""
        return int(np.prod([part.stop - part.start for part in self.elements], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Blocks:
    """
    A grid of blocks over an array.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    block : tuple of int
        Of a block, one length for each axis, from 1 to the axis' own (which may be 0).
    """

    shape: tuple[int, ...]
    block: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that there is a length for each axis."""
        whole = all(isinstance(length, int | np.integer) for length in self.block)
        if not whole or len(self.block) != len(self.shape) or min(self.block, default=1) < 1:
            msg = (
                f"block must have a positive length for each of {len(self.shape)} axes, "
                f"got {self.block} for an array of shape {self.shape}"
            )
            raise ValueError(msg)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of blocks along each axis, the shape of the scales."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block, strict=True))

    @property
    def is_ragged(self) -> bool:
        """Whether an axis' last block is shorter."""
        return any(n % b for n, b in zip(self.shape, self.block, strict=True))

    def regions(self, limit: int = LIMIT) -> Iterator[Region]:
        """Yield regions of at most `limit` elements, or of one block if that is larger."""
        axes = [_axis_parts(n, b) for n, b in zip(self.shape, self.block, strict=True)]
        if 0 in self.shape:
            return
        for parts in product(*axes):
            yield from self._cut(list(parts), limit)

    def _cut(self, parts: list[tuple[int, int, int]], limit: int) -> Iterator[Region]:
        """Cut a region of equal blocks: along the first axis that has several, if too large."""
        sizes = [count * length for _, count, length in parts]
        size = int(np.prod(sizes, dtype=np.int64))
        for axis, (first, count, length) in enumerate(parts):
            if size <= limit or count == 1:
                continue
            step = max(limit * count // size, 1)
            for start in range(0, count, step):
                piece = (first + start * length, min(step, count - start), length)
                yield from self._cut([*parts[:axis], piece, *parts[axis + 1 :]], limit)
            return
        yield Region(
            tuple(slice(first, first + count * length) for first, count, length in parts),
            tuple(
                slice(first // b, first // b + count)
                for (first, count, _), b in zip(parts, self.block, strict=True)
            ),
            tuple(length for _, _, length in parts),
        )


def _axis_parts(n: int, block: int) -> list[tuple[int, int, int]]:
    """Return an axis' whole blocks and its ragged one, each as start, count and length."""
    whole, rest = divmod(n, block)
    parts = [(0, whole, block)] if whole else []
    return parts + ([(whole * block, 1, rest)] if rest else [])


def slabs(shape: tuple[int, ...], limit: int = LIMIT) -> Iterator[tuple[slice, ...]]:
    """Yield slices that cover an array in C order, each of at most `limit` elements."""
    if 0 < math.prod(shape) <= limit:
        yield tuple(slice(0, n) for n in shape)
        return
    for region in Blocks(shape, (1,) * len(shape)).regions(limit):
        yield region.elements


def beside(part: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return where an array that broadcasts against a larger one goes with a piece of that."""
    pairs = zip(part, shape, strict=True)
    return tuple(place if length > 1 else slice(None) for place, length in pairs)


def placed(
    key: object, blocks: Blocks
) -> tuple[tuple[int | slice, ...], tuple[int | slice, ...], list[int]]:
    """Return what a key selects of elements and of scales, and which axes are kept."""
    keys = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, part in enumerate(keys) if part is Ellipsis]
    if dots:
        at = dots[0]
        keys[at : at + 1] = [slice(None)] * (len(blocks.shape) - len(keys) + 1)
    keys += [slice(None)] * (len(blocks.shape) - len(keys))
    if len(keys) > len(blocks.shape):
        msg = f"an index must name at most {len(blocks.shape)} axes, got {len(keys)}"
        raise IndexError(msg)
    elements: list[int | slice] = []
    scales: list[int | slice] = []
    for part, n, length in zip(keys, blocks.shape, blocks.block, strict=True):
        at_elements, at_scales = _place_on_axis(part, n, length)
        elements.append(at_elements)
        scales.append(at_scales)
    kept = [i for i, part in enumerate(elements) if isinstance(part, slice)]
    return tuple(elements), tuple(scales), kept


def _place_on_axis(part: object, n: int, length: int) -> tuple[int | slice, int | slice]:
    """Return what an index selects on one axis, of elements and of scales."""
    if isinstance(part, int | np.integer) and not isinstance(part, bool):
        if not -n <= part < n:
            msg = f"an index must be from {-n} to {n - 1} on an axis of {n}, got {part}"
            raise IndexError(msg)
        return int(part) % n, int(part) % n // length
    if not isinstance(part, slice) or part.step not in (None, 1):
        msg = (
            f"an index must be an integer or a slice without a step, got {part!r:.80}; "
            "dequantize() first for others"
        )
        raise IndexError(msg)
    start, stop, _ = part.indices(n)
    if start % length and start < stop:
        msg = (
            f"a slice must begin where a block does, at a multiple of {length}, got {start}; "
            "dequantize() first to cut a block"
        )
        raise IndexError(msg)
    if start >= stop:
        return slice(start, start), slice(0, 0)
    return slice(start, stop), slice(start // length, -(-stop // length))

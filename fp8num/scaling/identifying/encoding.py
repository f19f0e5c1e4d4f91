"""
Pieces of an array, of which some are compared first.

::

    regions of whole blocks --cut--> pieces: a sample from all over the array, then the rest
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from fp8num.scaled import Region, slabs
from fp8num.scaled.blocks import LIMIT

if TYPE_CHECKING:
    from fp8num.scaled import Blocks

__all__ = ["pieces"]

#: The most elements of a piece, of which some are compared first; quantising is not cut finer.
_PIECE = min(LIMIT, 1 << 15)


@lru_cache(maxsize=16)
def pieces(blocks: Blocks, sample: int) -> tuple[Region, ...]:
    """
    Return regions of a bounded size that cover an array.

    Parameters
    ----------
    blocks : Blocks
        Where blocks are.
    sample : int
        How many from all over the array come first.

    Returns
    -------
    tuple of Region
        Of whole blocks, or of part of one block that is larger.
    """
    found = [piece for region in blocks.regions(_PIECE) for piece in _cut(region)]
    step = max(len(found) // sample, 1)
    first = list(range(0, len(found), step))[:sample]
    rest = sorted(set(range(len(found))) - set(first))
    return tuple(found[i] for i in (*first, *rest))


def _cut(region: Region) -> list[Region]:
    """Cut a region of one large block; others are small enough."""
    if region.size <= _PIECE:
        return [region]
    shape = tuple(part.stop - part.start for part in region.elements)
    return [
        Region(
            tuple(
                slice(whole.start + part.start, whole.start + part.stop)
                for whole, part in zip(region.elements, slab, strict=True)
            ),
            region.scales,
            tuple(part.stop - part.start for part in slab),
        )
        for slab in slabs(shape, _PIECE)
    ]

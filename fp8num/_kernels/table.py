"""
The table kernel: one look-up per element, for any deterministic projection.

::

    float32   s eeeeeeee mmmmmm | mmmmmmmmmmmmmmmmm
                                  any of these set?
    key       s eeeeeeee mmmmmm s                   -> table -> code

An even key is a number, the odd key above it all the numbers up to the next.  That is
enough to tell the code whenever no step of the staircase begins inside an odd key's
interval, which is checked for each of them when the table is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._kernels.words import widen

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num._kernels.staircase import Staircase
    from fp8num._kernels.words import Layout

__all__ = ["Table", "make_table"]

#: The widest key by width of the source: beyond these, tables would leave the cache.
_WIDEST = {16: 16, 32: 18, 64: 21}


class Table:
    """
    What every key becomes.

    Parameters
    ----------
    entries : ndarray, shape (2**width,)
        By key: codes, or values for a fused quantisation.
    layout : Layout
        Of the words that keys are made of.
    width : int
        Bits of a key, the sticky bit counted if the words are wider.
    """

    def __init__(self, entries: npt.NDArray[Any], layout: Layout, width: int) -> None:
        self.entries = entries
        self.layout = layout
        self.width = width
        self._cut = layout.dtype.type(layout.bits - width)
        self._mask = layout.dtype.type((1 << (layout.bits - width)) - 1)

    @property
    def nbytes(self) -> int:
        """Size of the table."""
        return self.entries.nbytes

    def __call__(self, words: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Look up a block of words."""
        if not self._cut:
            self.entries.take(words, out=out, mode="wrap")
            return
        # (low + mask) carries into the bit above exactly if low is not zero; or-ing it
        # to the word sets the sticky bit and disturbs only bits that are then cut.
        keys = words & self._mask
        keys += self._mask
        keys |= words
        keys >>= self._cut
        if self.layout.bits == 64:  # NumPy takes no unsigned indices of 64 bits
            keys = keys.view(np.int64)
        self.entries.take(keys, out=out, mode="wrap")


def make_table(stairs: Staircase, layout: Layout, entries: npt.NDArray[Any]) -> Table | None:
    """Make the table of a staircase."""
    widest = _WIDEST[layout.bits]
    for width in range(min(widest, _needed_width(stairs, layout)), widest + 1):
        cut = layout.bits - width
        keys = np.arange(1 << (width - 1), dtype=np.uint64).astype(layout.dtype)
        magnitudes = keys << layout.dtype.type(cut)
        if cut and not _is_constant_between(stairs, layout, magnitudes[::2], cut):
            continue
        wide = widen(magnitudes, layout)
        halves = [entries[sign].take(stairs.index(wide, sign)) for sign in (0, 1)]
        return Table(np.concatenate(halves), layout, width)
    return None


def _needed_width(stairs: Staircase, layout: Layout) -> int:
    """Return the key's width that normal numbers need: the check decides about the others."""
    words = stairs.thresholds.ravel() >> np.uint64(1)
    mantissas = words[words > 0] & np.uint64((1 << 52) - 1)
    used = np.bitwise_or.reduce(mantissas, initial=np.uint64(0))
    trailing = (int(used) & -int(used)).bit_length() - 1 if used else 52
    return max(layout.bits - layout.mantissa_bits + 52 - trailing + 1, min(16, layout.bits))


def _is_constant_between(
    stairs: Staircase, layout: Layout, numbers: npt.NDArray[Any], cut: int
) -> bool:
    """Whether no step begins strictly between the numbers of neighbouring even keys."""
    one = layout.dtype.type(1)
    first = numbers + one
    last = numbers + layout.dtype.type((2 << cut) - 1)
    infinity = layout.dtype.type(layout.infinity)
    finite = numbers < infinity  # NaNs of all payloads are alike
    ends = [widen(words[finite], layout) for words in (first, last)]
    return all(
        bool(np.array_equal(stairs.index(ends[0], sign), stairs.index(ends[1], sign)))
        for sign in (0, 1)
    )

"""
What is taken for a block's largest magnitude: the maximum, a percentile, the best clip.

::

    |x| of a block  ------------------------------|--->
                                     percentile   max
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float32
from fp8num._kernels.state import float_arithmetic
from fp8num._kernels.words import FLOAT64, float32_words, source_of
from fp8num.scaled.blocks import slabs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Amax",
    "BestClip",
    "Finder",
    "Percentile",
    "largest_magnitude",
    "largest_of",
    "no_errors",
]

Floats = npt.NDArray[np.float32]
#: The float64 word of float32's largest number.
FLOAT32_LARGEST = np.float64(np.finfo(np.float32).max).view(np.uint64)
#: Squared error of a region's blocks, as a function of the magnitudes taken for amax.
Errors = "Callable[[Floats], npt.NDArray[np.float64]]"


#: Magnitudes that a search tries, at most.
MOST_STEPS = 1 << 16


class Finder(Protocol):
    """Finds the magnitude that a block's scale is made for."""

    def find(
        self, region: npt.NDArray[Any], errors: Callable[[Floats], npt.NDArray[np.float64]]
    ) -> Floats:
        """
        Return one magnitude for each block of a region.

        Parameters
        ----------
        region : ndarray, shape (blocks, length, blocks, length ...)
            Values, two axes for each axis of the array.
        errors : callable
            Squared error of each block if its scale were made for a magnitude.

        Returns
        -------
        ndarray of float32, shape (blocks, blocks ...)
            The magnitudes.
        """


def _inner(ndim: int) -> tuple[int, ...]:
    """Return the axes within a block."""
    return tuple(range(1, ndim, 2))


@dataclass(frozen=True, slots=True)
class Amax:
    """
    The largest magnitude.

    Parameters
    ----------
    nan : str
        ``"ignore"``: NaN does not count, as in CUDA's ``fmaxf``.  ``"propagate"``: it
        makes the magnitude NaN, as in torch's and NumPy's ``max``.
    finite : bool
        Whether infinities do not count either, and numbers beyond float32's range count
        as its largest: they saturate.
    """

    nan: str = "propagate"
    finite: bool = False

    def __post_init__(self) -> None:
        """Check what becomes of NaN."""
        if self.nan not in ("ignore", "propagate"):
            msg = f"nan must be 'ignore' or 'propagate', got {self.nan!r:.80}"
            raise ValueError(msg)
        if self.finite and self.nan != "ignore":
            msg = "nan must be 'ignore' where only finite numbers count, got 'propagate'"
            raise ValueError(msg)

    @float_arithmetic
    def find(
        self,
        region: npt.NDArray[Any],
        errors: Callable[[Floats], npt.NDArray[np.float64]],  # noqa: ARG002 - a finder's form
    ) -> Floats:
        """Return the largest magnitudes; see `Finder.find`."""
        source = source_of(region.dtype)
        layout = source.layout
        mask = layout.dtype.type(layout.magnitude_mask)
        largest_kept = layout.magnitude_mask if self.nan == "propagate" else layout.infinity
        limit = layout.dtype.type(layout.infinity - 1 if self.finite else largest_kept)
        counts = region.shape[::2]
        found = np.zeros(counts, layout.dtype)
        for part in slabs(region.shape):
            words = source.words(np.ascontiguousarray(region[part], region.dtype.newbyteorder("=")))
            words = words.reshape(region[part].shape)
            largest = _reduce(words, mask)
            if largest.size and largest.max() > limit:
                words = np.where(words & mask > limit, 0, words).astype(words.dtype)
                largest = _reduce(words, mask)
            found[part[::2]] = np.maximum(found[part[::2]], largest)
        if self.finite and layout is FLOAT64:  # beyond float32's range the largest one stands
            found = np.minimum(found, FLOAT32_LARGEST)
        return _as_floats(found, region.dtype)


def _reduce(words: npt.NDArray[Any], mask: np.unsignedinteger[Any]) -> npt.NDArray[Any]:
    """Return the largest word of each block, without its sign."""
    length = words.shape[-1] if words.ndim else 1
    blocks = words.shape[::2]
    if not words.size or length * math.prod(blocks) != words.size or words.ndim == 0:
        return np.asarray(np.maximum.reduce(words & mask, axis=_inner(words.ndim)))
    # One axis holds the whole block: blocks follow each other in memory.
    magnitudes = (words & mask).reshape(-1)
    if magnitudes.dtype == np.uint16:  # NumPy is slower at maxima of short runs of these
        magnitudes = magnitudes.astype(np.uint32)
    starts = np.arange(0, magnitudes.size, length)
    found = np.maximum.reduceat(magnitudes, starts)
    return found.astype(words.dtype, copy=False).reshape(blocks)


def _as_floats(words: npt.NDArray[Any], dtype: np.dtype[Any]) -> Floats:
    """Return magnitudes, given by the words of a type, in float32 to nearest."""
    if words.dtype == np.uint32:
        return words.view(np.float32)
    if words.dtype == np.uint64:
        return float32_words(words.view(np.float64)).view(np.float32)
    return as_float32(words.view(dtype.newbyteorder("=")))


@dataclass(frozen=True, slots=True)
class Percentile:
    """
    The smallest magnitude that at least a share of the block's numbers does not exceed.

    Larger ones saturate.  NaN does not count; where nothing else is there, it is 0.

    Parameters
    ----------
    percent : float
        Above 0, at most 100, which is the largest magnitude.
    """

    percent: float = 99.9

    def __post_init__(self) -> None:
        """Check the share."""
        if not 0 < self.percent <= 100:
            msg = f"percent must be above 0 and at most 100, got {self.percent!r:.80}"
            raise ValueError(msg)

    @float_arithmetic
    def find(
        self,
        region: npt.NDArray[Any],
        errors: Callable[[Floats], npt.NDArray[np.float64]],  # noqa: ARG002 - a finder's form
    ) -> Floats:
        """Return the order statistics; see `Finder.find`."""
        ndim = region.ndim
        order = (*range(0, ndim, 2), *_inner(ndim))
        counts = region.shape[::2]
        blocks = region.transpose(order).reshape(int(np.prod(counts)), -1)
        found = np.zeros(len(blocks), np.float32)
        for index, block in enumerate(blocks):
            words = as_float32(np.ascontiguousarray(block)).view(np.uint32) & np.uint32(0x7FFFFFFF)
            words = words[words <= np.uint32(0x7F800000)]
            if words.size:
                share = Fraction(repr(float(self.percent))) / 100  # as it was written
                rank = max(math.ceil(words.size * share), 1) - 1
                found[index] = np.partition(words, rank)[rank : rank + 1].view(np.float32)[0]
        return found.reshape(counts)


@dataclass(frozen=True, slots=True)
class BestClip:
    """
    The magnitude that gives the smallest squared error, searched below the largest.

    Candidates are the largest finite magnitude times ``1, 1 - step, 1 - 2 step ...``; of
    equal ones the largest wins.

    Parameters
    ----------
    smallest : float
        The least share of the largest magnitude that is tried.
    steps : int
        Candidates, the largest one included.

    References
    ----------
    .. [1] Nagel et al., "A white paper on neural network quantization",
       arXiv:2106.08295, section 3.1 (MSE range setting).
    """

    smallest: float = 0.5
    steps: int = 33

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 < self.smallest <= 1 or not 1 <= self.steps <= MOST_STEPS:
            msg = (
                f"smallest must be above 0 and at most 1 and steps from 1 to {MOST_STEPS}, "
                f"got {self.smallest!r:.60} and {self.steps!r:.60}"
            )
            raise ValueError(msg)

    @float_arithmetic
    def find(
        self, region: npt.NDArray[Any], errors: Callable[[Floats], npt.NDArray[np.float64]]
    ) -> Floats:
        """Return the best magnitudes; see `Finder.find`."""
        largest = Amax("ignore", finite=True).find(region, errors)
        best, least = largest, errors(largest)
        for share in np.linspace(1.0, self.smallest, self.steps)[1:]:
            candidate = (largest * share).astype(np.float32)
            error = errors(candidate)
            better = error < least
            best, least = np.where(better, candidate, best), np.where(better, error, least)
        return best


def no_errors(amax: Floats) -> npt.NDArray[np.float64]:
    """Return errors that no finder looks at which takes the largest magnitude."""
    return np.zeros(amax.shape)


def largest_magnitude(values: npt.NDArray[Any], finder: Amax) -> np.float32:
    """Return the largest magnitude of a whole array, 0 if it is empty."""
    found = np.float32(0)
    for part in slabs(values.shape):
        block = values[part]
        pairs = block.reshape([n for length in block.shape for n in (1, length)])
        amax = largest_of(finder.find(pairs, no_errors)) if block.size else np.float32(0)
        found = largest_of(found, amax)
    return np.float32(found)


def largest_of(*magnitudes: npt.ArrayLike) -> np.float32:
    """Return the largest of magnitudes by their words, NaN above all, subnormals kept."""
    words = [np.asarray(values, np.float32).reshape(-1).view(np.uint32) for values in magnitudes]
    return np.concatenate(words).max().view(np.float32)  # type: ignore[no-any-return]  # a scalar's view

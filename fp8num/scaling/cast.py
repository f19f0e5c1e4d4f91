"""
How scaled elements become codes, with the slips of libraries that no rounding mode has.

::

    x * factor --slips--> the word that the proper rounding takes where the library does --> code
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.words import FLOAT32
from fp8num.projection import PROFILES, Projection, Rounding, Saturation
from fp8num.scaling.scales import floor_log2

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["Adjustment", "Cast", "adjustment", "flushed"]

Words = npt.NDArray[np.uint32]
Adjustment = Callable[[npt.NDArray[Any], "Format"], npt.NDArray[Any]]

_MAGNITUDE = np.uint32(FLOAT32.magnitude_mask)
#: Only mantissas from here on can have a logarithm that rounds up to the next integer:
#: within 2**-15 of a power of two, for float32's spacing is at most 2**-17 below 128.
_NEAR_TOP = np.uint32(0x7FFF00)


@dataclass(frozen=True, slots=True)
class Cast:
    """
    How scaled elements become codes; what is beyond the range saturates.

    Parameters
    ----------
    rounding : Rounding or str
        Which neighbour a number becomes.
    like : str, optional
        The profile whose NaN codes and other conventions are used.
    early_tie : bool
        Whether the number just below half the smallest value is rounded up:
        ``floor(x + 0.5)`` in float32 takes 0.49999997 to 1.
    coarse_top : bool
        Whether numbers so close below a power of two that their float32 logarithm is
        rounded up are cut to the coarser grid above it.
    drops_minus_zero : bool
        Whether -0 becomes +0.
    flushes : bool
        Whether float32 subnormals count as zero, as in XLA on a CPU.
    ties_toward_zero : bool
        Whether what is halfway between two values becomes the smaller one.
    minus_zeros : bool
        Whether zeros of either sign, and NaN, become -0.
    through_bfloat16 : bool
        Whether scaled elements are rounded to bfloat16 first.
    random_width : int
        Random bits of each element, from 1 to 32, where the rounding is stochastic.
    """

    rounding: Rounding | str = Rounding.NEAREST_TIES_TO_EVEN
    like: str | None = None
    early_tie: bool = False
    coarse_top: bool = False
    drops_minus_zero: bool = False
    flushes: bool = False
    ties_toward_zero: bool = False
    minus_zeros: bool = False
    through_bfloat16: bool = False
    random_width: int = 32

    def __post_init__(self) -> None:
        """Read the rounding's name."""
        object.__setattr__(self, "rounding", Rounding.parse(self.rounding))
        if self.like is not None and self.like not in PROFILES:
            msg = f"like must be one of {', '.join(PROFILES)}, got {self.like!r:.80}"
            raise ValueError(msg)
        whole = isinstance(self.random_width, int) and not isinstance(self.random_width, bool)
        if not whole or not 1 <= self.random_width <= 32:
            msg = f"random_width must be an integer from 1 to 32, got {self.random_width!r:.60}"
            raise ValueError(msg)

    @property
    def is_random(self) -> bool:
        """Whether elements are rounded at random."""
        return Rounding.parse(self.rounding).is_stochastic

    def projection(self, fmt: Format) -> Projection:
        """
        Return the projection of elements to a format.

        Parameters
        ----------
        fmt : Format
            Of the elements.

        Returns
        -------
        Projection
            It saturates.
        """
        found = Projection(rounding=Rounding.parse(self.rounding))
        if self.like is not None and PROFILES[self.like].has(fmt):
            own = PROFILES[self.like].projection(fmt)
            found = replace(own, rounding=found.rounding, saturation=Saturation.SAT_FINITE)
        return found


def flushed(values: npt.NDArray[np.float32] | np.float32) -> npt.NDArray[np.float32]:
    """Return values with zero of their sign for subnormals, as XLA's CPU backend has it."""
    words = np.asarray(values, np.float32).view(np.uint32)
    small = words & _MAGNITUDE < np.uint32(1 << 23)
    return np.where(small, words & ~_MAGNITUDE, words).view(np.float32)


def adjustment(cast: Cast) -> Adjustment | None:
    """Return what puts a cast's slips into float32 words; None if it has none."""
    if cast.early_tie:
        return _lift_early_tie
    if cast.coarse_top:
        return _cut_coarse_top
    if not (cast.ties_toward_zero or cast.minus_zeros):
        return None

    def adjust(words: Words, fmt: Format) -> Words:
        words = _lower_ties(words, fmt) if cast.ties_toward_zero else words
        return _mark_zeros(words) if cast.minus_zeros else words

    return adjust


def _lift_early_tie(words: Words, fmt: Format) -> Words:
    """Move the number just below half the smallest value above it."""
    half = np.float32(fmt.values[fmt.magnitudes.codes[1]] / 2)
    early = (words & _MAGNITUDE) == half.view(np.uint32) - np.uint32(1)
    return np.asarray(words + 2 * early.astype(np.uint32))


def _lower_ties(words: Words, fmt: Format) -> Words:
    """Move what is halfway between two values below it."""
    values = fmt.values[fmt.magnitudes.codes]
    halves = ((values[1:] + values[:-1]) / 2).astype(np.float32).view(np.uint32)
    return np.asarray(words - np.isin(words & _MAGNITUDE, halves).astype(np.uint32))


def _mark_zeros(words: Words) -> Words:
    """Make -0 of zeros and NaN."""
    magnitude = words & _MAGNITUDE
    marked = (magnitude == 0) | (magnitude > np.uint32(FLOAT32.infinity))
    return np.where(marked, ~_MAGNITUDE, words)


def _cut_coarse_top(words: Words, fmt: Format) -> Words:
    """Cut numbers whose float32 logarithm is the next integer to the grid above it."""
    at = np.flatnonzero((words & np.uint32((1 << 23) - 1)) >= _NEAR_TOP)
    if not at.size or fmt.mantissa_bits is None:
        return words
    near = words[at]
    magnitude = near & _MAGNITUDE
    exponent = (magnitude >> np.uint32(23)).astype(np.int32) - 127
    found = floor_log2(magnitude.view(np.float32))
    assert fmt.emin is not None
    rounded_up = (found > exponent) & (found > fmt.emin) & np.isfinite(found)
    # 2**k less one step of the grid above: the mantissa's bits below that step are cleared.
    step = np.uint32(fmt.mantissa_bits)
    cut = (near >> (np.uint32(24) - step)) << (np.uint32(24) - step)
    adjusted = words.copy()
    adjusted[at] = np.where(rounded_up, cut, near)
    return adjusted

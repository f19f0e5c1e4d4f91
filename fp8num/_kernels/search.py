"""
The search kernel: bisection in the list of breakpoints.

It serves every format and every mode, and is what the others are checked against;
holes above zero and tabulated formats have no other kernel for stochastic rounding.

::

    low      T           high         T = low + theta (high - low)
     |-------+------------|           up exactly if |x| >= T (mode C: or > T)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fp8num._kernels.staircase import neighbours
from fp8num._kernels.words import FLOAT64, Layout, dyadic_words, widen
from fp8num.projection import Projection, Rounding

if TYPE_CHECKING:
    import numpy.typing as npt

    from fp8num._kernels.staircase import Staircase
    from fp8num.formats import Format

__all__ = ["Search", "goes_up"]


def goes_up(
    magnitude: npt.NDArray[np.uint64],
    low: npt.NDArray[np.float64],
    gap: npt.NDArray[np.float64],
    *,
    random: npt.NDArray[np.uint64],
    random_width: int,
    rounding: Rounding,
) -> npt.NDArray[np.bool_]:
    """Whether stochastic rounding takes magnitude words to the upper ends of their gaps."""
    # P3109 goes up if floor(nu 2^N) + R >= 2^N, and so on: nu >= theta, with theta a
    # multiple of 2^-(N+1).  low, gap and theta have few bits: all of this is exact.
    steps = np.uint64(1 << random_width) - random  # from 1 to 2^N
    doubled = steps.astype(np.float64) * 2.0
    if rounding is not Rounding.STOCHASTIC_A:
        doubled -= 1.0
    theta = np.ldexp(doubled, -random_width - 1)
    # Near the end of float64 there is no room below: there the gap is looked at enlarged.
    scale = np.where(np.maximum(low, gap) < 2.0**-400, 2.0**600, 1.0)
    threshold = low * scale + gap * scale * theta
    x = magnitude.view(np.float64) * scale
    up: npt.NDArray[np.bool_] = x >= threshold
    if rounding is Rounding.STOCHASTIC_C:  # rint's tie: to the even step
        up &= (x > threshold) | (steps % np.uint64(2) == 0)
    return up


@dataclass(frozen=True, slots=True)
class Search:
    """Round by bisection."""

    fmt: Format  #: any format that fits float64
    projection: Projection  #: any
    stairs: Staircase  #: the projection's
    layout: Layout  #: of the words that will come
    random_width: int = 0  #: number of random bits of a stochastic mode, at most 32

    nbytes = 0

    def __call__(
        self,
        words: npt.NDArray[Any],
        out: npt.NDArray[Any],
        random: npt.NDArray[np.uint64] | None = None,
    ) -> None:
        """Round a block of words."""
        kind = self.layout.dtype.type
        negative = words > kind(self.layout.magnitude_mask)
        magnitude = widen(words & kind(self.layout.magnitude_mask), self.layout)
        index = self.index(magnitude, negative, random)
        out[...] = np.where(negative, *self.stairs.outputs[::-1].take(index, axis=1))

    def index(
        self,
        magnitude: npt.NDArray[np.uint64],
        negative: npt.NDArray[np.bool_],
        random: npt.NDArray[np.uint64] | None = None,
    ) -> npt.NDArray[np.intp]:
        """Return the index among the outputs, of float64 magnitude words."""
        steps = [self.stairs.index(magnitude, sign) for sign in (0, 1)]
        index = np.where(negative, steps[1], steps[0])
        if random is None:
            return index
        low, gap = self._ladder()
        step = index < self.stairs.infinity - 1  # overflow and specials stay
        at = index[step]
        index[step] += goes_up(
            magnitude[step],
            low[at],
            gap[at],
            random=random[step],
            random_width=self.random_width,
            rounding=self.projection.rounding,
        )
        return index

    def _ladder(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the lower end of each step, and its distance to the next."""
        _, integers, exponents = self.fmt.magnitudes
        low = dyadic_words(integers, exponents)
        if self.fmt.successor is not None:
            integers = np.append(integers, self.fmt.successor[0])
            exponents = np.append(exponents, self.fmt.successor[1])
        lows, highs, unit = neighbours(integers, exponents)
        gap = dyadic_words(highs - lows, unit)
        if self.fmt.successor is None:
            gap = np.append(gap, np.uint64(FLOAT64.infinity))  # nothing to go up to
        if not self.fmt.has_zero:  # below the smallest value there is one choice
            low = np.insert(low, 0, np.uint64(FLOAT64.infinity))
            gap = np.insert(gap, 0, np.uint64(0))
        return low.view(np.float64), gap.view(np.float64)

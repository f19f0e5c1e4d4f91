"""
What codes and scales make improbable, where they do not exclude it.

::

    scale = 2^k   -->  largest codes spread over a binade: not all blocks reach the largest value
    codes * scale -->  magnitudes of weights are small: else the scale is inverted
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float64
from fp8num.scaled import Descale
from fp8num.scaling.finders import Amax
from fp8num.scaling.identifying.records import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fp8num.scaling.identifying.candidates import Candidate
    from fp8num.scaling.identifying.records import Match

__all__ = ["ROUNDED", "improbable", "inverted"]

Floats = npt.NDArray[np.float32]
#: Each block's largest finite magnitude, and whether it holds NaN.
Largest = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]

#: What is said of scales that were rounded to powers of two.
ROUNDED = "the scales were probably rounded without requantising the data"
#: A chance that excludes a rule.
_CHANCE = 1e-9
#: The median of blocks' largest magnitudes beyond which they are no weights'.
_NO_WEIGHTS = 1e4
_MANTISSA = np.uint32((1 << 23) - 1)
#: Magnitudes all over a binade, of evenly spread logarithms.
_BINADE = np.exp2(np.arange(1024) / 1024).astype(np.float32)


def improbable(
    candidate: Candidate,
    found: Floats,
    scale_of: Callable[[Floats], Floats],
    descale: Descale,
    largest: Largest,
) -> str:
    """
    Return why a rule would hardly have given these largest codes and scales, or nothing.

    Parameters
    ----------
    candidate : Candidate
        The rule.
    found : ndarray of float32
        The dump's scales, one per block.
    scale_of : callable
        From amax to the scale that the rule would have stored.
    descale : Descale
        What a decoded value and the scale do.
    largest : tuple of ndarray
        Each block's largest magnitude in units of its scale, and whether it holds NaN.

    Returns
    -------
    str
        Empty unless the chance is below 1e-9.

    Notes
    -----
    The model: blocks are independent, and the logarithm of amax is spread evenly over a
    binade.  From the rule's formula then follows what share of blocks reaches the largest
    code.  One and a half of it, at least a half, is allowed; that a number of blocks
    exceeds this is bounded by Hoeffding's inequality.  Of scales that need not be powers
    of two, half may be so.
    """
    searches = not isinstance(candidate.rule.finder, Amax)
    if candidate.is_held or candidate.rule.is_two_level or searches:
        return ""
    magnitudes, nan = largest
    usable = (magnitudes > 0) & ~nan & np.isfinite(found) & (found > 0)
    scales, magnitudes = found[usable], magnitudes[usable]
    if np.unique(scales[:4096]).size < 2:
        return ""  # of data that is all alike, blocks are not independent
    made = scale_of(_BINADE)
    if (made.view(np.uint32) & _MANTISSA).any():
        return _by_powers(scales)
    values = as_float64(made)
    return _by_codes(candidate, magnitudes, values if descale is Descale.MULTIPLY else 1 / values)


def _by_powers(scales: Floats) -> str:
    """Return why scales are none that need not be powers of two."""
    powers = int(np.count_nonzero((scales.view(np.uint32) & _MANTISSA) == 0))
    if _tail(powers, scales.size, 0.5) >= _CHANCE:
        return ""
    return (
        f"{powers:,} of {scales.size:,} scales are powers of two, as this rule's are by "
        "accident only"
    )


def _by_codes(
    candidate: Candidate, magnitudes: npt.NDArray[np.float64], multiplier: npt.NDArray[np.float64]
) -> str:
    """Return why largest codes are none of a rule whose scales are powers of two."""
    values = np.unique(np.abs(candidate.fmt.values[np.isfinite(candidate.fmt.values)]))
    top = (values[-1] + values[-2]) / 2
    share = float(np.mean(as_float64(_BINADE) / multiplier >= top))
    reach, size = int(np.count_nonzero(magnitudes == values[-1])), magnitudes.size
    bound = max(0.5, 1.5 * share)
    if _tail(reach, size, bound) >= _CHANCE:
        return ""
    return (
        f"{reach:,} of {size:,} blocks reach {values[-1]:g}: improbable under this rule, "
        f"whose scales are powers of two, so that largest codes spread over a binade and about "
        f"{share:.0%} of blocks would, not above {bound:.0%} (chance below 1e-9 if blocks are "
        f"independent); {ROUNDED}"
    )


def _tail(count: int, size: int, share: float) -> float:
    """Return a bound on the chance that as many of independent events happen (Hoeffding)."""
    excess = count / max(size, 1) - share
    return float(np.exp(-2 * size * excess**2)) if excess > 0 else 1.0


def inverted(candidate: Candidate, largest: Largest, consistent: Sequence[Match]) -> Finding | None:
    """
    Say that decoded values are too large for weights, if they are not over the scales.

    Parameters
    ----------
    candidate : Candidate
        Says how scales may be arranged.
    largest : tuple of ndarray
        Each block's largest magnitude, in units of its scale, and whether it holds NaN.
    consistent : sequence of Match
        The rules that nothing contradicts.

    Returns
    -------
    Finding or None
        ``"scale-inverted"``, or ``"scale-divides"`` if a rule's library divides by them.
    """
    arranged: Any = None
    for reading, layout in candidate.views:
        arranged = layout.arrange(reading.values)
        if arranged is not None:
            break
    if arranged is None or candidate.rule.is_two_level:
        return None
    scales = as_float64(np.ascontiguousarray(arranged, np.float32)).reshape(arranged.shape)
    usable = (largest[0] > 0) & np.isfinite(scales) & (scales > 0)
    if not usable.any():
        return None
    times = float(np.median(largest[0][usable] * scales[usable]))
    over = float(np.median(largest[0][usable] / scales[usable]))
    if times <= _NO_WEIGHTS or over > _NO_WEIGHTS:
        return None
    divides = any(match.descale == "divide" and not match.is_inverted for match in consistent)
    return Finding(
        "scale-divides" if divides else "scale-inverted",
        f"in the median block, codes times the scale reach {times:.3g}, codes over it {over:.3g}: "
        "if these are weights, the scale is probably inverted for software that multiplies by it",
    )

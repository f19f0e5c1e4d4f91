"""
Where quantised values are: on their format's grid, and within its range.

::

    value --/ scale--> rounds to a code --* scale--> the same value
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fp8num.analysis.counts import overflow_threshold
from fp8num.codec import encode

if TYPE_CHECKING:
    from fp8num.nn.factor import Factor
    from fp8num.scaled import ScaledArray

__all__ = ["check_grid", "check_same", "saturated_elements"]

Array: TypeAlias = npt.NDArray[Any]


def _spread(
    scaled: ScaledArray, of_blocks: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[np.floating[Any]]:
    """Return what there is for each scale so that it broadcasts against the elements."""
    if of_blocks.size == 1:
        return of_blocks.reshape(())
    for axis, (length, size) in enumerate(zip(scaled.block, scaled.shape, strict=True)):
        if 1 < length < size:
            before = (slice(None),) * axis
            of_blocks = np.repeat(of_blocks, length, axis)[(*before, slice(size))]
    return of_blocks


def saturated_elements(scaled: ScaledArray, source: Array) -> npt.NDArray[np.bool_]:
    """Return which elements round past the format's largest value times their scale."""
    with np.errstate(all="ignore"):
        limits = scaled.scales.astype(np.float64) * overflow_threshold(scaled.format)
        # A scale of zero, as NVFP4 gives a block of zeros, flushes everything and saturates
        # nothing: what is compared with NaN is not beyond it.
        limits = np.where(limits > 0, limits, np.nan)
        found: npt.NDArray[np.bool_] = np.abs(source) >= _spread(scaled, limits)
    return found


def check_grid(title: str, scaled: ScaledArray, factor: Factor) -> None:
    """Raise AssertionError if what enters products is off the grid, with a scale or without."""
    fmt, values = scaled.format, factor.single
    decoded = factor.decoded.wide("checked")
    with np.errstate(all="ignore"):
        for what, found, again in (
            ("values of", decoded, fmt.values.take(encode(decoded, fmt))),
            ("a scale times values of", values, _through_codes(scaled, values)),
        ):
            wrong = np.isfinite(found) & (found != again)
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0])
                msg = (
                    f"{title} must hold {what} {fmt.name}, got {float(found[at])!r} at {at}, "
                    f"nearest to {float(again[at])!r}"
                )
                raise AssertionError(msg)


def check_same(title: str, factor: Factor, without: Factor) -> None:
    """Raise AssertionError if an operand without codes differs from what codes stand for."""
    theirs, ours = factor.single, without.single
    wrong = (theirs != ours) & ~(np.isnan(theirs) & np.isnan(ours))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        msg = (
            f"{title} must be the same with codes and without, got {float(theirs[at])!r} and "
            f"{float(ours[at])!r} at {at}"
        )
        raise AssertionError(msg)


def _through_codes(scaled: ScaledArray, values: npt.NDArray[np.float32]) -> Array:
    """Return dequantised values that were divided by their scales, encoded and dequantised."""
    codes = encode(values / _spread(scaled, scaled.scales.astype(np.float64)), scaled.format)
    return replace(scaled, codes=codes).dequantize()

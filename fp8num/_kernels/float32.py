"""
IEEE float32 arithmetic, also where another library has subnormals flushed to zero.

Rules of scaling are float32 formulas.  NumPy's own arithmetic is used where it keeps
subnormals; otherwise operands are widened by their bits, the operation is done in
float64, where it neither underflows nor loses a bit that matters, and rounded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._kernels.words import FLOAT32, float32_words, source_of, widen

if TYPE_CHECKING:
    from fp8num._kernels.words import Layout

__all__ = [
    "add",
    "as_float32",
    "as_float64",
    "divide",
    "flushes_subnormals",
    "keep_nan",
    "multiply",
]

Floats = npt.NDArray[np.float32]
Operand = Floats | np.float32
_SMALL, _ONE = np.float32(1e-40), np.float32(1)


def flushes_subnormals() -> bool:
    """Whether this thread's arithmetic takes float32 subnormals for zero."""
    return bool(_SMALL * _ONE == 0)


def as_float64(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return values of any type in float64; rounded to odd where they have more bits."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    source = source_of(values.dtype)
    words = source.words(values)
    layout: Layout = source.layout
    wide: npt.NDArray[np.float64]
    if words.dtype == np.uint64:
        wide = words.view(np.float64)
        return wide
    if not flushes_subnormals():
        with np.errstate(invalid="ignore"):  # a signalling NaN
            wide = as_float32(words.view(values.dtype)).astype(np.float64)
        return wide
    magnitude = words & layout.dtype.type(layout.magnitude_mask)
    sign = (words >> layout.dtype.type(layout.bits - 1)).astype(np.uint64) << np.uint64(63)
    wide = (widen(magnitude, layout) | sign).view(np.float64)
    return wide


def as_float32(values: npt.NDArray[Any]) -> Floats:
    """Return values of any type in float32, to nearest, as libraries do before scaling."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype == np.float32:
        return values
    if values.dtype.name == "bfloat16":
        return (values.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    if values.dtype == np.float16:
        with np.errstate(invalid="ignore"):  # a signalling NaN
            return values.astype(np.float32)
    return float32_words(as_float64(values)).view(np.float32)


def add(a: Operand, b: Operand) -> Floats:
    """Return the float32 sums; arrays broadcast."""
    with np.errstate(all="ignore"):
        if not flushes_subnormals():
            return np.asarray(np.add(a, b))
        return _rounded(_wide(a) + _wide(b), None)


def multiply(a: Operand, b: Operand, out: Floats | None = None) -> Floats:
    """Return the float32 products; arrays broadcast."""
    with np.errstate(all="ignore"):
        if not flushes_subnormals():
            return np.asarray(np.multiply(a, b, out=out))
        return _rounded(_wide(a) * _wide(b), out)


def divide(a: Operand, b: Operand, out: Floats | None = None) -> Floats:
    """
    Return the float32 quotients; arrays broadcast.

    Rounding float64's quotient of float32 numbers again gives float32's: one that is
    not a midpoint is further from it than float64's error.
    """
    with np.errstate(all="ignore"):
        if not flushes_subnormals():
            return np.asarray(np.divide(a, b, out=out))
        return _rounded(_wide(a) / _wide(b), out)


def keep_nan(result: npt.NDArray[Any], values: npt.NDArray[Any], factors: Any) -> None:  # noqa: ANN401 - of either type
    """Give results the values' NaNs where factors are NaN too: the processor takes either."""
    if np.isnan(factors).any():
        np.copyto(result, values, where=np.isnan(values))


def _wide(values: Operand) -> npt.NDArray[np.float64]:
    words = np.asarray(values, np.float32).view(np.uint32)
    sign = (words >> np.uint32(31)).astype(np.uint64) << np.uint64(63)
    return (widen(words & np.uint32(FLOAT32.magnitude_mask), FLOAT32) | sign).view(np.float64)


def _rounded(values: npt.NDArray[np.float64], out: Floats | None) -> Floats:
    rounded = float32_words(np.asarray(values)).view(np.float32)
    if out is None:
        return rounded
    out.view(np.uint32)[...] = rounded.view(np.uint32)
    return out

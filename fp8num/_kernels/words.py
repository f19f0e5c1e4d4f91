"""
Values as words: the bits of floats as unsigned integers, exact whatever the type.

::

    float16   s eeeee mmmmmmmmmm            float32   s eeeeeeee m(23)
    bfloat16  s eeeeeeee mmmmmmm            float64   s e(11)    m(52)

Integers and longdouble become float64 by rounding to odd: what does not fit leaves
its trace in the last bit, so that a later rounding to at most 50 bits is the only
one [1]_.

References
----------
.. [1] S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums: proved
   algorithms using rounding to odd", IEEE Trans. Computers 57 (2008), Theorem 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import as_array

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FLOAT64",
    "Layout",
    "Source",
    "Words",
    "as_values",
    "dyadic_words",
    "float32_words",
    "source_of",
    "widen",
]

Words = npt.NDArray[np.uint64]  # the widest; kernels take uint16 and uint32 too


class Layout:
    """The fields of an IEEE-like float of 16, 32 or 64 bits; there is one object for each."""

    def __init__(self, bits: int, mantissa_bits: int) -> None:
        self.bits = bits
        self.mantissa_bits = mantissa_bits
        #: The unsigned integer that holds a word.
        self.dtype: np.dtype[Any] = np.dtype(f"u{bits // 8}")
        #: IEEE's bias of the exponent field.
        self.bias = (1 << (bits - mantissa_bits - 2)) - 1
        #: All bits but the sign.
        self.magnitude_mask = (1 << (bits - 1)) - 1
        #: The word of infinity; larger magnitudes are NaNs.
        self.infinity = ((1 << (bits - 1 - mantissa_bits)) - 1) << mantissa_bits


FLOAT16 = Layout(16, 10)
BFLOAT16 = Layout(16, 7)
FLOAT32 = Layout(32, 23)
FLOAT64 = Layout(64, 52)


@dataclass(frozen=True, slots=True)
class Source:
    """A type of input: the layout of its words, and how a block becomes words."""

    layout: Layout
    words: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    is_view: bool = False  #: whether the words are the values' own bits


def _view(layout: Layout) -> Source:
    return Source(layout, lambda block: block.view(layout.dtype), is_view=True)


def _from_small_integers(block: npt.NDArray[Any]) -> Words:
    return block.astype(np.float64).view(np.uint64)


def _from_integers(block: npt.NDArray[Any]) -> Words:
    """Round 64-bit integers to odd in float64, keeping at least 52 bits."""
    words: Words
    magnitude = np.abs(block).view(np.uint64) if block.dtype.kind == "i" else block
    excess = np.maximum(np.frexp(magnitude.astype(np.float64))[1] - 53, 0).astype(np.uint64)
    kept = magnitude >> excess
    kept |= (kept << excess) != magnitude
    words = (kept << excess).astype(np.float64).view(np.uint64)
    words |= (block < 0).astype(np.uint64) << np.uint64(63)
    return words


def _from_longdouble(block: npt.NDArray[Any]) -> Words:
    """Round longdouble to odd in float64; finite numbers beyond its range stay finite."""
    magnitude = np.abs(block)
    words: Words
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        words = magnitude.astype(np.float64).view(np.uint64)
        # Truncate: a step down where rounding went up, from infinity to the largest too.
        words -= words.view(np.float64).astype(block.dtype) > magnitude
        inexact = words.view(np.float64).astype(block.dtype) != magnitude
    words |= inexact & ~np.isnan(block)
    words &= np.uint64(FLOAT64.magnitude_mask)  # NumPy's abs of a NaN may have a sign
    words |= np.signbit(block).astype(np.uint64) << np.uint64(63)
    return words


_INTEGERS = Source(FLOAT64, _from_integers)
_SMALL_INTEGERS = Source(FLOAT64, _from_small_integers)
_SOURCES: dict[np.dtype[Any], Source] = {
    # On some platforms longdouble is float64: the later entry is the one that stays.
    np.dtype(np.longdouble): Source(FLOAT64, _from_longdouble),
    np.dtype(np.float16): _view(FLOAT16),
    np.dtype(np.float32): _view(FLOAT32),
    np.dtype(np.float64): _view(FLOAT64),
    **{np.dtype(kind): _SMALL_INTEGERS for kind in ("i1", "i2", "i4", "u1", "u2", "u4")},
    **{np.dtype(kind): _INTEGERS for kind in ("i8", "u8")},
}
_BFLOAT16 = _view(BFLOAT16)


def source_of(dtype: np.dtype[Any]) -> Source:
    """Return how arrays of a type become words."""
    source = _SOURCES.get(dtype)
    if source is not None:
        return source
    if dtype.name == "bfloat16" and dtype.itemsize == 2:
        return _BFLOAT16
    source = _SOURCES.get(dtype.newbyteorder("="))  # e.g. long and long long of 8 bytes
    if source is not None:
        return source
    hint = "pass real floating-point or integer values"
    if dtype.name.startswith("float") and dtype.kind in "Vf":
        hint = "these are codes already: decode(x.view(np.uint8), fmt) gives their values"
    msg = f"x must hold real floating-point or integer values, got dtype {dtype}; {hint}"
    raise TypeError(msg)


def as_values(x: npt.ArrayLike, argument: str = "x") -> npt.NDArray[Any]:
    """Return `x` as an array of a type that has words."""
    if isinstance(x, int) and not isinstance(x, bool) and x.bit_length() > 63:
        return np.asarray(_odd_float(x))
    values = x if type(x) is np.ndarray else as_array(x, argument)
    if values.dtype.kind not in "fiu":
        source_of(values.dtype)  # bfloat16 passes; others say why not
    return values


def _odd_float(x: int) -> float:
    """Round a Python integer to odd in float64, to the largest finite one if beyond."""
    excess = max(abs(x).bit_length() - 53, 0)
    significand = abs(x) >> excess | (abs(x) & ((1 << excess) - 1) != 0)
    if excess > 1023 - 52:
        significand, excess = (1 << 53) - 1, 1023 - 52
    return float(significand << excess) * (1 if x > 0 else -1)


def widen(words: npt.NDArray[Any], layout: Layout) -> Words:
    """Return magnitude words of any layout as float64 words, exactly and in integers alone."""
    if layout is FLOAT64:
        return words.astype(np.uint64)
    if np.ndim(words) == 0:  # NumPy makes scalars of arrays without axes
        return widen(np.reshape(words, 1), layout).reshape(())
    wide = words.astype(np.uint64)
    rebias = (FLOAT64.bias - layout.bias) << 52
    normal = (wide << np.uint64(52 - layout.mantissa_bits)) + np.uint64(rebias)
    normal[wide >= layout.infinity] |= np.uint64(FLOAT64.infinity)  # payloads stay NaN
    low = wide < 1 << layout.mantissa_bits  # a subnormal: an integer, normal in float64
    lowest = 1 - layout.bias - layout.mantissa_bits
    normal[low] = dyadic_words(wide[low].view(np.int64), np.full(low.sum(), lowest))
    return normal


def dyadic_words(integers: npt.NDArray[np.int64], exponents: npt.NDArray[np.int64]) -> Words:
    """
    Return the float64 words of ``integers * 2**exponents``, for integers below 2**53.

    Numbers of 2**1024 and above give infinity.  Numbers that need bits below 2**-1074
    must not be passed.
    """
    words = integers.astype(np.float64).view(np.uint64).astype(np.int64)
    top = (words >> 52) - FLOAT64.bias + exponents  # the exponent of the value
    # Below 2**-1022 a word is the number of units of 2**-1074.
    units = integers << np.clip(exponents + 1074, 0, 62)
    normal = np.where(top > 1023, FLOAT64.infinity, words + (exponents << 52))
    found = np.where(integers == 0, 0, np.where(top < -1022, units, normal))
    return found.astype(np.uint64)


def float32_words(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """Return float64 values rounded to float32 (ties to even), subnormals kept in any mode."""
    if np.ndim(values) == 0:  # NumPy makes scalars of arrays without axes
        return float32_words(np.reshape(values, 1)).reshape(())
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        words = values.astype(np.float32).view(np.uint32)
        tiny = np.abs(values) < 2.0**-126
        units = np.rint(np.abs(values[tiny]) * 2.0**149).astype(np.uint32)
    words[tiny] = units | np.signbit(values[tiny]).astype(np.uint32) << np.uint32(31)
    return words

"""
The types that numbers are converted from, and their words: the bits as unsigned integers.

::

    word   0 .. infinity .. NaNs .. | sign | .. the same again, negative
           ascending magnitudes       1      descending values

Every case of a verification is a word, so that NaN payloads and the sign of zero are cases
like any other and nothing is lost on the way to an implementation and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import refuse
from fp8num._kernels.words import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Layout

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["SOURCES", "SourceType", "get_source"]


@dataclass(frozen=True, slots=True)
class SourceType:
    """A floating-point type that values come in."""

    name: str  #: float16, bfloat16, float32 or float64
    short: str  #: f16, bf16, f32 or f64
    layout: Layout  #: the fields of its words

    def __reduce__(self) -> tuple[Any, ...]:
        return get_source, (self.name,)  # one object for each, in every process

    @property
    def bits(self) -> int:
        """Width of a word."""
        return self.layout.bits

    @property
    def digits(self) -> int:
        """Hexadecimal digits of a word."""
        return self.layout.bits // 4

    @property
    def word(self) -> np.dtype[Any]:
        """The unsigned integer type of a word."""
        return self.layout.dtype

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of values."""
        if self.name == "bfloat16":
            import ml_dtypes

            found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
            return found
        return np.dtype(self.name)

    @property
    def precision(self) -> int:
        """Significant bits, the hidden one counted."""
        return self.layout.mantissa_bits + 1

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return 1 - self.layout.bias

    @property
    def sign(self) -> int:
        """The word of -0."""
        return 1 << (self.layout.bits - 1)

    @property
    def infinity(self) -> int:
        """The word of +infinity; larger magnitudes are NaNs."""
        return self.layout.infinity

    @property
    def quiet(self) -> int:
        """The top bit of a NaN's payload, set in quiet ones."""
        return 1 << (self.layout.mantissa_bits - 1)

    def values(self, words: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the values that words are the bits of, without touching a bit or their order."""
        return words.view(self.dtype.newbyteorder(words.dtype.byteorder))

    def words(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the words of values of the type."""
        return values.view(self.word)

    def every(self, first: int = 0, count: int | None = None) -> npt.NDArray[Any]:
        """Return consecutive words; all of them unless told otherwise."""
        count = (1 << self.bits) - first if count is None else count
        return np.arange(first, first + count, dtype=np.uint64).astype(self.word)

    def binades(self) -> npt.NDArray[Any]:
        """Return the first magnitude of each binade, ascending; subnormal ones hold 1, 2, 4 ..."""
        width = self.layout.mantissa_bits
        subnormal = 1 << np.arange(width, dtype=np.uint64)
        normal = np.arange(1, self.infinity >> width, dtype=np.uint64) << np.uint64(width)
        return np.concatenate([subnormal, normal]).astype(self.word)

    def place(self, magnitude: Fraction) -> tuple[int, bool]:
        """Return the word of the largest finite number up to a magnitude, and if it is equal."""
        if magnitude == 0:
            return 0, True
        exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
        exponent -= magnitude < 2**exponent if exponent >= 0 else magnitude * 2**-exponent < 1
        exponent = max(exponent, self.emin)
        shift = self.precision - 1 - exponent
        scaled = magnitude * 2**shift if shift >= 0 else magnitude / 2**-shift
        # Packing by addition: the hidden bit is worth one in the exponent field.
        place = int(scaled) + ((exponent - self.emin) << (self.precision - 1))
        if place >= self.infinity:
            return self.infinity - 1, False
        return place, scaled.denominator == 1

    def hex(self, word: int) -> str:
        """Write a word's value so that it can be read back: a hex float, inf, or a NaN's bits."""
        magnitude = word & (self.sign - 1)
        minus = "-" if word & self.sign else ""
        if magnitude > self.infinity:
            payload = magnitude - self.infinity
            kind = "nan" if payload & self.quiet else "snan"
            return f"{minus}{kind}(0x{payload:x})"
        return float(self.values(np.array([word], self.word)).astype(np.float64)[0]).hex()

    def fields(self, word: int) -> str:
        """Write a word's bits by field: sign, exponent, mantissa."""
        text = f"{word:0{self.bits}b}"
        cut = self.bits - self.layout.mantissa_bits
        return f"{text[:1]}_{text[1:cut]}_{text[cut:]}"


#: The types, by name.
SOURCES = {
    source.name: source
    for source in (
        SourceType("float16", "f16", FLOAT16),
        SourceType("bfloat16", "bf16", BFLOAT16),
        SourceType("float32", "f32", FLOAT32),
        SourceType("float64", "f64", FLOAT64),
    )
}


def get_source(spec: SourceType | npt.DTypeLike | str) -> SourceType:
    """Return the source type that a name or a dtype stands for."""
    if isinstance(spec, SourceType):
        return spec
    for source in SOURCES.values():
        if isinstance(spec, str) and spec.lower() in {source.name, source.short}:
            return source
    try:  # not of text: NumPy's "f8" is float64, and hardly what is meant here
        name = "" if isinstance(spec, str) else np.dtype(spec).name
    except TypeError:
        name = ""
    if name not in SOURCES:
        names = ", ".join(f"{source.name} ({source.short})" for source in SOURCES.values())
        refuse("source", f"one of {names}", spec)
    return SOURCES[name]

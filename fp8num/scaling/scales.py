"""
From a block's largest magnitude to its scale: each library's formula, in its arithmetic.

::

    amax (float32) --> stored   what the library keeps: float32, or codes of a small format
                   --> factor   what elements are multiplied by (or divided) on the way in

All operations are IEEE float32 unless a formula says otherwise.  `max` is the largest
value of the elements' format.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fp8num._kernels.float32 import as_float64, divide, multiply
from fp8num._kernels.state import float_arithmetic
from fp8num._kernels.words import float32_words
from fp8num._text import brief
from fp8num.codec import decode, encode
from fp8num.formats import E4M3FN, E8M0FNU, Format

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "AmaxQuotient",
    "Context",
    "DeepGemm",
    "Fixed",
    "PowerOfTwo",
    "Scale",
    "Scales",
    "TorchaoQuotient",
    "TransformerEngine",
    "TwoLevel",
    "floor_log2",
    "maximum",
    "power_by_log2",
    "power_of_two",
    "stored_values",
]

Floats = npt.NDArray[np.float32]

#: 2**(code - 127), and the other way 2**(127 - code), for every code of E8M0; 255 is NaN.
POWERS: Floats = E8M0FNU.values.astype(np.float32)
INVERSES: Floats = np.append(np.ldexp(np.float32(1), 127 - np.arange(255)), np.nan).astype("f4")
#: The words themselves, so that no arithmetic touches the subnormals 2**-127.
POWERS.view(np.uint32)[0] = INVERSES.view(np.uint32)[254] = 1 << 22
_LARGEST = np.float32(np.finfo(np.float32).max)
_MANTISSA = np.uint32((1 << 23) - 1)
_INFINITY = np.uint32(0x7F800000)
_E4M3, _SMALLEST_NORMAL = np.float32(448), np.float32(2.0**-6)


class Context(NamedTuple):
    """What else a formula may use."""

    fmt: Format  #: of the elements
    tensor_amax: np.float32 | Floats  #: the largest of the whole tensor, if it was asked for
    largest_input: np.float32  #: the largest finite number of the values' own type


class Scales(NamedTuple):
    """What a formula found, one for each block."""

    stored: npt.NDArray[Any]  #: what the library keeps: float32, or codes of a small format
    factor: Floats  #: what elements are multiplied by, or divided
    #: Of two levels, the largest magnitude of the tensor, or its rows'; formulas leave it out.
    tensor_amax: np.float32 | Floats | None = None


class Scale(Protocol):
    """A formula: frozen data, called on the largest magnitudes of some blocks."""

    @property
    def format(self) -> Format | None:
        """Format of the stored scales; None for float32."""

    def find(self, amax: Floats, context: Context) -> Scales:
        """Return the scales of blocks with these largest magnitudes."""


def stored_values(stored: npt.NDArray[Any], fmt: Format | None) -> Floats:
    """Return what stored scales stand for, as float32."""
    if fmt is None:
        return np.asarray(stored, np.float32)
    if fmt == E8M0FNU:
        return POWERS.take(stored)
    return _values_of(fmt).take(stored)


@lru_cache(maxsize=8)
def _values_of(fmt: Format) -> Floats:
    """Return the values of all codes as float32."""
    return np.asarray(decode(np.arange(1 << fmt.bits, dtype=fmt.code_dtype), fmt))


@lru_cache(maxsize=64)
def maximum(fmt: Format) -> np.float32:
    """Return the largest value of a format."""
    return np.float32(float(fmt.max))


@lru_cache(maxsize=64)
def _emax(fmt: Format) -> np.int32:
    return np.int32(fmt.emax)


def _words(values: Floats | np.float32) -> npt.NDArray[np.uint32]:
    return np.asarray(values, np.float32).view(np.uint32)


def _power_below(scales: Floats) -> Floats:
    """Return scales rounded down to powers of two: their mantissas are cleared."""
    return (_words(scales) & ~_MANTISSA).view(np.float32)


@dataclass(frozen=True, slots=True)
class AmaxQuotient:
    """
    ``s = max / amax``; elements are multiplied by `s` and divided on the way out.

    Of zero, or where there is no finite magnitude, `s` is 1.  It stays finite.

    Parameters
    ----------
    power_of_two : bool
        Whether `s` is rounded down to a power of two.
    """

    power_of_two: bool = False

    @property
    def format(self) -> None:
        """float32."""
        return

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:
        """Return `s` for both."""
        quotient = divide(maximum(context.fmt), amax)
        found = np.minimum(quotient, _LARGEST)
        usable = (_words(amax) > 0) & np.isfinite(amax)
        scales = np.where(usable, found, np.float32(1))
        scales = _power_below(scales) if self.power_of_two else scales
        return Scales(scales, scales)


@dataclass(frozen=True, slots=True)
class TransformerEngine:
    """
    TransformerEngine's `compute_scale_from_amax`; stored is ``1 / s``.

    Parameters
    ----------
    power_of_two : bool
        Whether the mantissa of `s` is cleared.
    infinity_from_input : bool
        What an infinite `s` becomes: the largest number of the values' own type, or
        of float32.
    """

    power_of_two: bool = False
    infinity_from_input: bool = False

    @property
    def format(self) -> None:
        """float32."""
        return

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:
        """Return ``1 / s`` and `s`."""
        quotient = divide(maximum(context.fmt), amax)
        largest = context.largest_input if self.infinity_from_input else _LARGEST
        scales = np.where(np.isinf(quotient), largest, quotient)
        usable = (_words(amax) > 0) & np.isfinite(amax)
        scales = np.where(usable, scales, np.float32(1))
        scales = _power_below(scales) if self.power_of_two else scales
        return Scales(divide(np.float32(1), scales), scales)


@dataclass(frozen=True, slots=True)
class TorchaoQuotient:
    """
    torchao's ``s = float32(float64(max) / max(float64(amax), 1e-12))``, which is stored.

    Parameters
    ----------
    power_of_two : bool
        Whether `s` becomes ``exp2(floor(log2(s)))``.
    exact_log2 : bool
        Whether that logarithm is exact.  The library's is float32: just below 2**k it
        is k itself where float32 has no number between, and `s` is rounded up there.
    inverse : bool
        Whether ``1 / s`` is stored instead.
    """

    power_of_two: bool = False
    exact_log2: bool = False
    inverse: bool = False

    @property
    def format(self) -> None:
        """float32."""
        return

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:
        """Return `s` or its inverse, and `s`."""
        wide = np.maximum(as_float64(amax), 1e-12)  # keeps NaN
        scales = float32_words(float(maximum(context.fmt)) / wide).view(np.float32)
        if self.power_of_two:
            powers = _power_below(scales) if self.exact_log2 else power_by_log2(scales)
            scales = np.where(np.isfinite(scales), powers, scales)
        return Scales(divide(np.float32(1), scales) if self.inverse else scales, scales)


def _log2(values: Floats) -> Floats:
    """Return the logarithm in float32, correctly rounded."""
    with np.errstate(all="ignore"):
        return np.asarray(np.log2(as_float64(values)).astype(np.float32))


def floor_log2(values: Floats) -> Floats:
    """Return ``floor(log2(x))`` where the logarithm is float32, correctly rounded."""
    return np.floor(_log2(values))


def power_by_log2(values: Floats) -> Floats:
    """Return ``exp2(floor(log2(x)))``, of zero zero."""
    return power_of_two(floor_log2(values))


def power_of_two(exponent: Floats) -> Floats:
    """Return two to integers, infinities and NaN; exp2 itself need not be exact."""
    finite = np.isfinite(exponent)
    whole = np.where(finite, exponent, 0).astype(np.int32)
    with np.errstate(all="ignore"):
        powers = np.ldexp(1.0, whole)
        return float32_words(np.where(finite, powers, np.exp2(exponent))).view(np.float32)


@dataclass(frozen=True, slots=True)
class DeepGemm:
    """
    DeepGEMM's ``sf = max(amax, 1e-4) / max``; elements are multiplied by ``1 / sf``.

    Parameters
    ----------
    ue8m0 : bool
        Whether `sf` is rounded up to a power of two and stored as E8M0.
    divides : bool
        Whether elements are divided by `sf`, as DeepSeek's own kernels do.
    """

    ue8m0: bool = False
    divides: bool = False

    @property
    def format(self) -> Format | None:
        """E8M0FNU, or float32."""
        return E8M0FNU if self.ue8m0 else None

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:
        """Return `sf`, and what elements are multiplied by or divided."""
        scales = divide(np.maximum(amax, np.float32(1e-4)), maximum(context.fmt))
        stored: npt.NDArray[Any] = scales
        if self.ue8m0:
            words = _words(scales)
            field = (words >> np.uint32(23)) + ((words & _MANTISSA) != 0)
            stored = np.clip(field, 1, 254).astype(np.uint8)
            scales = POWERS.take(stored)
        return Scales(stored, scales if self.divides else divide(np.float32(1), scales))


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """
    A power of two stored as E8M0, from the exponent field and mantissa of amax.

    Parameters
    ----------
    rounding : str
        ``"floor"``: the exponent of amax less that of `max` (OCP MX 1.0, section 6.3).
        ``"ceil"``: one more unless amax is a power of two.  ``"even"``: the exponent of
        amax rounded to the elements' mantissa bits.  ``"up"``: of
        ``amax * float32(1 / max)``, rounded up, so that nothing saturates.
        ``"log2"``: floor of the float32 logarithm, as microxcaling.  ``"up-log2"``: of
        ``amax / max``, the float32 logarithm rounded up.
    infinity : int, optional
        The code where amax is infinite, or becomes so when rounded; None for what its
        exponent field gives.
    largest : int
        The largest code of finite ones; 255 lets what is beyond the range be NaN.
    nan : int
        The code where amax is NaN.
    mantissa_bits : int, optional
        What ``"even"`` rounds amax to, if not to the elements' own.
    zero_factor, infinity_factor, nan_factor : float, optional
        What elements are multiplied by where the code is 0, and where amax is infinite
        (becomes so) or NaN, if not by the inverse of what the code stands for.
    """

    rounding: str = "floor"
    infinity: int | None = 255
    largest: int = 254
    nan: int = 255
    mantissa_bits: int | None = None
    zero_factor: float | None = None
    infinity_factor: float | None = None
    nan_factor: float | None = None

    def __post_init__(self) -> None:
        """Check the rounding's name, and that there are such codes."""
        names = ("floor", "ceil", "even", "up", "log2", "up-log2")
        if self.rounding not in names:
            msg = f"rounding must be one of {', '.join(names)}, got {self.rounding!r:.60}"
            raise ValueError(msg)
        for name in ("infinity", "largest", "nan"):
            code = getattr(self, name)
            if not (code is None and name == "infinity") and not 0 <= code <= 255:
                msg = f"{name} must be a code of E8M0FNU, from 0 to 255, got {code!r:.60}"
                raise ValueError(msg)

    @property
    def format(self) -> Format:
        """E8M0FNU."""
        return E8M0FNU

    @property
    def inverts(self) -> bool:
        """Whether elements are always multiplied by the inverse of what the code stands for."""
        return self.zero_factor is self.infinity_factor is self.nan_factor is None

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:
        """Return the codes, and what elements are multiplied by."""
        words = self._rounded(_words(amax), context.fmt)
        codes = self._code(words, context.fmt).astype(np.uint8)
        factor = INVERSES.take(codes)
        if self.zero_factor is not None:
            factor = np.where(codes == 0, np.float32(self.zero_factor), factor)
        if words.size and words.max() >= _INFINITY:
            nan = _words(amax) > _INFINITY
            for where, code, multiplier in (
                ((words >= _INFINITY) & ~nan, self.infinity, self.infinity_factor),
                (nan, self.nan, self.nan_factor),
            ):
                codes = codes if code is None else np.where(where, np.uint8(code), codes)
                given = INVERSES.take(codes) if multiplier is None else np.float32(multiplier)
                factor = np.where(where, given, factor)
        return Scales(codes, factor)

    def _rounded(self, words: npt.NDArray[np.uint32], fmt: Format) -> npt.NDArray[np.uint32]:
        """Return amax that a carry may have taken to the next binade, as words."""
        if self.rounding != "even":
            return words
        bits = fmt.mantissa_bits if self.mantissa_bits is None else self.mantissa_bits
        return words + np.uint32(1 << (23 - (bits or 0) - 1))

    def _code(self, words: npt.NDArray[np.uint32], fmt: Format) -> npt.NDArray[np.int32]:
        amax = words.view(np.float32)
        if self.rounding == "log2":
            lifted = np.where(words == 0, np.float32(2.0**-126), amax)
            return self._clip(np.nan_to_num(floor_log2(lifted)) + (127 - int(_emax(fmt))))
        if self.rounding == "up-log2":
            return self._clip(np.nan_to_num(np.ceil(_log2(divide(amax, maximum(fmt))))) + 127)
        if self.rounding == "up":
            ratio = multiply(amax, np.float32(1 / float(maximum(fmt))))
            field, mantissa = _fields(_words(ratio))
            subnormal_down = (field == 0) & (mantissa <= 1 << 22)
            return self._clip(field + ((mantissa > 0) & ~subnormal_down))
        field, mantissa = _fields(words)
        if self.rounding == "ceil":
            field = field + (mantissa > 0)
        return self._clip(field - _emax(fmt))

    def _clip(self, code: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        clipped: npt.NDArray[np.int32] = np.clip(code, 0, self.largest).astype(np.int32)
        return clipped


def _fields(words: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the exponent field and the mantissa of positive float32 words."""
    return (words >> np.uint32(23)).view(np.int32), (words & _MANTISSA).view(np.int32)


@dataclass(frozen=True, slots=True)
class TwoLevel:
    """
    NVFP4's two levels: block scales in E4M3FN, and one float32 amax for the tensor.

    ``S = min(largest * max / tensor_amax, FLT_MAX)``, or 1; the block's scale is
    ``E4M3(amax * (S * float32(1 / max)))``; elements are multiplied by
    ``min(1 / (scale * (1 / S)), FLT_MAX)``.

    Parameters
    ----------
    largest : float
        The scale of the block that holds the tensor's largest magnitude.
    choice : str, optional
        Four over six: a block's scale is ``E4M3((amax / max) * S)``, or that of 1.5 times
        the product, which takes to 4 what the other takes to 6, if its error is smaller;
        the sum over the block of magnitudes, ``"mae"``, or of squares, ``"mse"``.
    by_row : bool
        Whether each row along the axis has an amax of its own in place of the tensor's.
    quotients : bool
        Torchao's formulas: ``T = tensor_amax / (largest * max)``; the scale is
        ``E4M3(clip((amax / max) / T, 2**-6, 448))``; elements are multiplied by
        ``(1 / T) / scale``.
    levels : int
        1 leaves the tensor out: its `T` or `S` is 1.

    Raises
    ------
    ValueError
        If the choice or the number of levels is none of these.
    """

    largest: float = 448.0
    choice: str | None = None
    by_row: bool = False
    quotients: bool = False
    levels: int = 2

    def __post_init__(self) -> None:
        """Check the choice and the levels."""
        if self.choice not in (None, "mae", "mse"):
            msg = f"choice must be 'mae', 'mse' or None, got {brief(self.choice)}"
            raise ValueError(msg)
        if self.levels not in (1, 2):
            msg = f"levels must be 1 or 2, got {brief(self.levels)}"
            raise ValueError(msg)

    @property
    def format(self) -> Format:
        """E4M3FN."""
        return E4M3FN

    def bound(self, fmt: Format) -> np.float32:
        """Return what the tensor's amax is divided by, or divides."""
        return np.float32(self.largest * float(maximum(fmt)))

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:
        """Return the block scales' codes, and what elements are multiplied by."""
        largest = maximum(context.fmt)
        tensor = self._tensor(context)
        if self.quotients:
            wanted = np.clip(divide(divide(amax, largest), tensor), _SMALLEST_NORMAL, _E4M3)
        elif self.choice:
            wanted = multiply(divide(amax, largest), tensor)
        else:
            wanted = multiply(amax, multiply(tensor, np.float32(1 / float(largest))))
        return self._stored(wanted, context)

    def find_wider(self, amax: Floats, context: Context) -> Scales:
        """Return the other choice: scales 1.5 times as large before they are rounded."""
        wanted = multiply(divide(amax, maximum(context.fmt)), self._tensor(context))
        return self._stored(multiply(wanted, np.float32(1.5)), context)

    def multiplier(self, scales: Floats, context: Context) -> Floats:
        """Return what elements are multiplied by, from the blocks' scales."""
        one, tensor = np.float32(1), self._tensor(context)
        if self.quotients:
            return divide(divide(one, tensor), scales)
        inverse = divide(one, multiply(scales, divide(one, tensor)))
        return np.minimum(inverse, _LARGEST)

    def _stored(self, wanted: Floats, context: Context) -> Scales:
        codes = encode(np.minimum(wanted, _LARGEST), E4M3FN)
        return Scales(codes, self.multiplier(decode(codes, E4M3FN), context))

    def _tensor(self, context: Context) -> Floats:
        """Return `S`, or `T`."""
        one, amax = np.ones((), np.float32), np.asarray(context.tensor_amax, np.float32)
        if self.levels == 1:
            return one
        if self.quotients:
            return divide(amax, self.bound(context.fmt))
        found = np.minimum(divide(self.bound(context.fmt), amax), _LARGEST)
        return np.where((_words(amax) == 0) | (_words(found) == 0), one, found)


@dataclass(frozen=True, slots=True)
class Fixed:
    """
    One scale that was given: values are divided by it, and multiplied on the way out.

    Parameters
    ----------
    scale : float
        A positive finite number; it is rounded to float32.

    Raises
    ------
    ValueError
        If it is zero, negative, infinite or NaN in float32.
    """

    scale: float

    def __post_init__(self) -> None:
        """Check the scale."""
        with np.errstate(over="ignore"):
            stored = np.float32(self.scale)
        if not (_words(stored) and stored > 0 and np.isfinite(stored)):
            msg = f"scale must be positive and finite in float32, got {self.scale!r:.80}"
            raise ValueError(msg)

    @property
    def format(self) -> None:
        """float32."""
        return

    @float_arithmetic
    def find(self, amax: Floats, context: Context) -> Scales:  # noqa: ARG002 - a formula's form
        """Return the scale for every block, for both."""
        scales = np.full(amax.shape, self.scale, np.float32)
        return Scales(scales, scales)

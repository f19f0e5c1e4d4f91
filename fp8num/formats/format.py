"""
What a small floating-point format holds.

::

    code  = 0b s eeee mmm      (E4M3FN: one sign bit, 4 exponent bits, 3 mantissa bits)
    value = (-1)**s * 2**(e - bias) * (1 + m / 2**mantissa_bits)     e > 0
            (-1)**s * 2**(1 - bias) * (    m / 2**mantissa_bits)     e = 0

A `Format` keeps the parameters; everything else is computed from them.  Every
finite value is an integer times a power of two and is kept as such, so that
derived facts are exact even where float64 is too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fp8num._names import html_table
from fp8num._records import as_dict
from fp8num.formats.families import Overflow, Specials, check_overflow, check_parameters

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Format", "Magnitudes"]


class Magnitudes(NamedTuple):
    """The finite values that are not negative, ascending: ``integers * 2**exponents``."""

    codes: npt.NDArray[np.uint16]
    integers: npt.NDArray[np.int64]
    exponents: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, repr=False)
class Format:
    """
    A floating-point format of at most 16 bits.

    Formats are immutable and compare and hash by value, so they can key a table
    or a cache.  The catalogue, `fp8num.FORMATS`, holds the standard ones.

    Parameters
    ----------
    name : str
        What the format is called in tables and messages.
    exponent_bits : int
        Width of the exponent field, at least 1.
    mantissa_bits : int
        Width of the mantissa field; the hidden bit is not counted.
    bias : int, optional
        Subtracted from the exponent field.  The default is the family's:
        ``2**(exponent_bits - 1) - 1``, and one more for FNUZ and P3109.
    specials : Specials or str
        Which codes are infinities and NaNs.
    signed : bool, optional
        Whether the top bit of the code is a sign.
    subnormals : bool, optional
        Whether the lowest exponent field holds zero and the subnormals.  If not,
        it is a binade like the others, except that its first code is zero where
        there are mantissa bits (as in DLFloat16); with no mantissa bits the
        format has no zero (as in E8M0FNU).
    overflow : Overflow or str, optional
        What overflow gives under ``SatNone``.  The default is infinity where the
        format has one, else NaN where it has one, else the largest finite value;
        P3109's finite formats give the largest finite value, as in its v4.0.
    source : str, optional
        The document and table that define the format; it takes no part in
        comparison.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of range, or no format has that combination.

    Examples
    --------
    >>> e4m3fn = Format(name="mine", exponent_bits=4, mantissa_bits=3, specials="fn")
    >>> e4m3fn.bias, e4m3fn.max, e4m3fn.smallest_subnormal == 2.0**-9
    (7, 448.0, True)
    """

    name: str
    exponent_bits: int | None
    mantissa_bits: int | None
    bias: int | None = None
    specials: Specials | None
    signed: bool = True
    subnormals: bool = True
    overflow: Overflow | None = None
    source: str = field(default="", compare=False)

    if TYPE_CHECKING:  # strings are accepted and stored as the enums' members

        def __init__(
            self,
            *,
            name: str,
            exponent_bits: int | None,
            mantissa_bits: int | None,
            bias: int | None = None,
            specials: Specials | str | None,
            signed: bool = True,
            subnormals: bool = True,
            overflow: Overflow | str | None = None,
            source: str = "",
        ) -> None: ...

    def __post_init__(self) -> None:
        """Check the parameters, before anything is derived from them."""
        for name, value in check_parameters(vars(self)).items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts().items())
        return f"<{type(self).__name__} {self.name}: {facts}; {self.spelling}>"

    def _repr_html_(self) -> str:
        """Return a table of what defines the format, with every text escaped."""
        rows = [*self._facts().items(), ("spelling", self.spelling), ("source", self.source)]
        return html_table(rows, (self.name, ""))

    def _facts(self) -> dict[str, object]:
        """Return what is said of a format first."""
        widths = {"sign": int(self.signed), "exponent": self.exponent_bits}
        parts = {**widths, "mantissa": self.mantissa_bits, "bias": self.bias}
        fields = ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)
        infinite, nan = self.has_infinity, self.has_nan
        what = {(True, True): "infinity and NaN", (False, True): "NaN", (True, False): "infinity"}
        facts: dict[str, object] = {"bits": f"{self.bits} ({fields})"}
        if self.fits_float64:
            facts |= {"largest": f"{self.max:.9g}"}
            facts |= {"smallest": f"{self.smallest_subnormal or self.smallest_normal:.9g}"}
        return facts | {"specials": what.get((infinite, nan), "none")}

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, Any]:
        # What is derived is derived again: hashes differ between processes.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.exponent_bits, self.mantissa_bits, self.bias, self.specials))

    # Layout of the code.

    @cached_property
    def bits(self) -> int:
        """Width of a code in bits."""
        return int(self.signed) + self._exponent_bits + self._mantissa_bits

    @property
    def _exponent_bits(self) -> int:
        assert self.exponent_bits is not None  # tabulated formats override what would ask
        return self.exponent_bits

    @property
    def _mantissa_bits(self) -> int:
        assert self.mantissa_bits is not None
        return self.mantissa_bits

    @property
    def _bias(self) -> int:
        assert self.bias is not None
        return self.bias

    @property
    def _specials(self) -> Specials:
        assert self.specials is not None
        return self.specials

    @property
    def _overflow(self) -> Overflow:
        assert self.overflow is not None  # __post_init__ has put the family's
        return self.overflow

    @property
    def code_dtype(self) -> np.dtype[np.uint8 | np.uint16]:
        """The type of an array of codes: uint8 up to 8 bits, uint16 above."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    @property
    def sign_bit(self) -> int:
        """The sign's place in a code, 0 if the format is unsigned."""
        return 1 << (self.bits - 1) if self.signed else 0

    @property
    def _max_code(self) -> int:
        """The code of the largest finite value."""
        top = (1 << (self._exponent_bits + self._mantissa_bits)) - 1
        reserved = {
            Specials.IEEE: 1 << self._mantissa_bits,
            Specials.FN: 1,
            Specials.FNUZ: 0,
            Specials.EXTENDED: 1 if self.signed else 2,
            Specials.FINITE: 0 if self.signed else 1,
            Specials.NONE: 0,
        }
        return top - reserved[self._specials]

    # What it can say.

    @property
    def has_infinity(self) -> bool:
        """Whether there is a code for infinity."""
        return self._specials.has_infinity

    @property
    def has_nan(self) -> bool:
        """Whether there is a code for NaN."""
        return self._specials.has_nan

    @property
    def has_zero(self) -> bool:
        """Whether there is a code for zero."""
        return self.subnormals or self._mantissa_bits > 0

    @property
    def has_negative_zero(self) -> bool:
        """Whether there is a code for -0."""
        return self.signed and self.has_zero and self._specials.has_signed_zero

    # Codes of the specials, and of numbers as integer times power of two.

    def nan_code(self, *, negative: bool = False) -> int:
        """
        Return the code that a NaN becomes.

        Parameters
        ----------
        negative : bool, optional
            Whether to set the sign, where the format has NaNs of both signs.

        Returns
        -------
        int
            ``sign | all ones`` for FN, ``sign | quiet NaN`` for IEEE, else the one NaN.

        Raises
        ------
        ValueError
            If the format has no NaN.
        """
        magnitude_bits = self._exponent_bits + self._mantissa_bits
        match self.specials:
            case Specials.IEEE:  # the top mantissa bit alone: quiet, payload 0
                code = ((1 << self._exponent_bits) - 1 << 1 | 1) << (self._mantissa_bits - 1)
                return code | (self.sign_bit if negative else 0)
            case Specials.FN:
                code = (1 << magnitude_bits) - 1
                return code | (self.sign_bit if negative else 0)
            case Specials.NONE:
                msg = f"{self.name} has no NaN; every code is a finite number"
                raise ValueError(msg)
            case _:  # FNUZ, P3109: where -0 would be; unsigned P3109: the last code
                return self.sign_bit or (1 << self.bits) - 1

    def infinity_code(self, *, negative: bool = False) -> int:
        """
        Return the code of an infinity.

        Parameters
        ----------
        negative : bool, optional
            Whether to return the code of minus infinity.

        Returns
        -------
        int
            The code.

        Raises
        ------
        ValueError
            If the format has no such infinity.
        """
        if not self.has_infinity or (negative and not self.signed):
            which = "minus infinity" if negative else "infinity"
            msg = f"{self.name} has no {which}"
            raise ValueError(msg)
        return (self._max_code + 1) | (self.sign_bit if negative else 0)

    def negate_code(self, code: int) -> int:
        """Return the code of minus the magnitude that `code` stands for."""
        return code | self.sign_bit

    def _compute_magnitudes(self) -> Magnitudes:
        codes = np.arange(self._max_code + 1, dtype=np.int64)
        exponent, mantissa = np.divmod(codes, 1 << self._mantissa_bits)
        hidden = exponent > 0 if self.subnormals else np.ones_like(codes, dtype=bool)
        if not self.subnormals and self._mantissa_bits > 0:
            hidden[0] = False  # the code of zero
        integers = mantissa + (hidden.astype(np.int64) << self._mantissa_bits)
        lowest = 1 if self.subnormals else 0
        exponents = np.maximum(exponent, lowest) - self._bias - self._mantissa_bits
        return Magnitudes(codes.astype(np.uint16), integers, exponents)

    @cached_property
    def magnitudes(self) -> Magnitudes:
        """The finite values that are not negative, ascending, with their codes."""
        found = self._compute_magnitudes()
        for array in found:
            array.flags.writeable = False
        return found

    @property
    def successor(self) -> tuple[int, int] | None:
        """
        The value that would follow `max` if the exponent range went on.

        It is what "rounds past the largest value" refers to: 480 for E4M3FN.
        Given as integer and exponent; None where nothing follows (posit8).
        """
        integer, exponent = self.decompose(int(self.magnitudes.codes[-1]))
        return integer + 1, exponent

    def decompose(self, code: int) -> tuple[int, int]:
        """
        Return a code's value exactly, as integer and power of two.

        Parameters
        ----------
        code : int
            Code of a finite number.

        Returns
        -------
        tuple of int
            ``(integer, exponent)`` such that the value is ``integer * 2**exponent``.

        Raises
        ------
        ValueError
            If the code is out of range, or stands for an infinity or a NaN.
        """
        if code not in self._index_of_code:
            msg = (
                f"code must be that of a finite {self.name} number, got {code}; "
                f"{self.name} has {len(self._index_of_code)} of them among {1 << self.bits} codes"
            )
            raise ValueError(msg)
        index, sign = self._index_of_code[code]
        return sign * int(self.magnitudes.integers[index]), int(self.magnitudes.exponents[index])

    @cached_property
    def _index_of_code(self) -> dict[int, tuple[int, int]]:
        """Where each finite code's magnitude is, and its sign."""
        positive = {int(code): (i, 1) for i, code in enumerate(self.magnitudes.codes)}
        if not self.signed:
            return positive
        zero = self.magnitudes.integers[0] == 0
        skip = 1 if zero and not self.has_negative_zero else 0
        negative = {
            self.negate_code(int(code)): (i, -1)
            for i, code in enumerate(self.magnitudes.codes)
            if i >= skip
        }
        return positive | negative

    # Derived numbers.

    @property
    def precision(self) -> int | None:
        """Significant bits of a normal number, the hidden bit counted."""
        return self._mantissa_bits + 1

    @property
    def emin(self) -> int | None:
        """Exponent of the lowest normal binade."""
        return (1 if self.subnormals else 0) - self._bias

    @property
    def emax(self) -> int:
        """Exponent of the largest finite value."""
        integer, exponent = self.decompose(int(self.magnitudes.codes[-1]))
        return integer.bit_length() - 1 + exponent

    @property
    def max(self) -> float | Fraction:
        """The largest finite value; a Fraction if float64 cannot hold it."""
        return self._number(len(self.magnitudes.codes) - 1)

    @property
    def min(self) -> float | Fraction:
        """The most negative finite value, of an unsigned format the smallest."""
        return -self.max if self.signed else self._number(0)

    @property
    def first_normal(self) -> int:
        """Index of the smallest normal number among the magnitudes."""
        return 1 << self._mantissa_bits if self.subnormals else int(self.has_zero)

    @property
    def smallest_normal(self) -> float | Fraction:
        """The smallest positive normal number."""
        return self._number(self.first_normal)

    @property
    def smallest_subnormal(self) -> float | Fraction | None:
        """The smallest positive subnormal number; None if there are none."""
        return self._number(1) if self.first_normal > 1 else None

    @property
    def eps(self) -> float:
        """Distance from 1 to the next larger value, if 1 is a normal number: ``2**(1 - p)``."""
        return math.ldexp(1.0, -self._mantissa_bits)

    def _number(self, index: int) -> float | Fraction:
        """Return a magnitude as a float if that is exact, else as a Fraction."""
        _, integers, exponents = self.magnitudes
        integer, exponent = int(integers[index]), int(exponents[index])
        exact = Fraction(integer) * Fraction(2) ** exponent
        try:
            nearest = float(exact)
        except OverflowError:
            return exact
        return nearest if Fraction(nearest) == exact else exact

    @cached_property
    def fits_float64(self) -> bool:
        """Whether float64 holds every value, with room below for exact midpoints."""
        integers, exponents = self.magnitudes.integers, self.magnitudes.exponents
        smallest = int(exponents[integers > 0].min())
        return smallest >= -1074 + 2 and self.emax <= 1023

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """
        The value of every code, as float64 of shape ``(2**bits,)``, read-only.

        Raises
        ------
        ValueError
            If float64 cannot hold every value.
        """
        values = self._compute_values()
        values.flags.writeable = False
        return values

    def _compute_values(self) -> npt.NDArray[np.float64]:
        self.require_float64()
        values = np.full(1 << self.bits, np.nan)
        positive = _dyadic(self.magnitudes.integers, self.magnitudes.exponents)
        values[self.magnitudes.codes] = positive
        if self.signed:
            if self.has_negative_zero:  # there are NaNs of both signs, if any
                values[self.sign_bit :] = -np.nan
            skip = 1 if self.has_zero and not self.has_negative_zero else 0
            codes = [self.negate_code(int(code)) for code in self.magnitudes.codes[skip:]]
            values[codes] = -positive[skip:]
        if self.has_infinity:
            values[self.infinity_code()] = np.inf
            if self.signed:
                values[self.infinity_code(negative=True)] = -np.inf
        return values

    def require_float64(self) -> None:
        """
        Refuse a format whose values float64 cannot hold.

        Raises
        ------
        ValueError
            If it cannot, with the range of the format.
        """
        if not self.fits_float64:
            smallest = self._number(int(self.has_zero))
            low = Fraction(smallest).denominator.bit_length() - 1
            msg = (
                f"{self.name} does not fit float64: its values reach from 2**-{low} to nearly "
                f"2**{self.emax + 1}; its parameters and decompose() are exact, "
                "but values and conversions are not available"
            )
            raise ValueError(msg)

    # Exchange.

    @property
    def spelling(self) -> str:
        """The command-line spelling of the parameters, such as ``w4m3b7-fn``."""
        default = check_overflow(None, self._specials)
        sign = "" if self.signed else "u"
        parts = [
            f"{sign}w{self._exponent_bits}m{self._mantissa_bits}b{self._bias}",
            self._specials.value,
            *([] if self.subnormals else ["nosub"]),
            *([] if self.overflow is default else [f"overflow_{self._overflow.value}"]),
        ]
        return "-".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """
        Return the parameters as a dictionary that JSON can hold.

        Returns
        -------
        dict
            The constructor's arguments: ``Format(**fmt.to_dict()) == fmt``.
        """
        return as_dict(self)

    def fields(self, code: int) -> tuple[str, str, str]:
        """Return a code's sign, exponent and mantissa bits as text, empty where there are none."""
        text = f"{code:0{self.bits}b}"
        sign, mantissa = int(self.signed), self._mantissa_bits
        return text[:sign], text[sign : self.bits - mantissa], text[self.bits - mantissa :]

    def classify(self, code: int) -> str:
        """Return what a code is: nan, infinity, zero, subnormal or normal."""
        if code not in self._index_of_code:
            infinities = [self.infinity_code()] if self.has_infinity else []
            infinities += [self.infinity_code(negative=True)] if infinities and self.signed else []
            return "infinity" if code in infinities else "nan"
        index, _ = self._index_of_code[code]
        if self.has_zero and index == 0:
            return "zero"
        return "normal" if index >= self.first_normal else "subnormal"

    def to_frame(self) -> pd.DataFrame:
        """
        Return the code table.

        Returns
        -------
        pandas.DataFrame
            A row per code: code, sign, exponent and mantissa (text of bits), value
            (float64) and kind.

        Raises
        ------
        ValueError
            If float64 cannot hold every value.
        """
        import pandas as pd

        codes = range(1 << self.bits)
        fields = [self.fields(code) for code in codes]
        return pd.DataFrame(
            {
                "code": np.arange(1 << self.bits, dtype=self.code_dtype),
                "sign": [sign for sign, _, _ in fields],
                "exponent": [exponent for _, exponent, _ in fields],
                "mantissa": [mantissa for _, _, mantissa in fields],
                "value": self.values,
                "kind": [self.classify(code) for code in codes],
            }
        )


def _dyadic(
    integers: npt.NDArray[np.int64], exponents: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return ``integers * 2**exponents``, exact even where subnormals are flushed to zero."""
    with np.errstate(under="ignore"):
        values: npt.NDArray[np.float64] = np.ldexp(
            integers.astype(np.float64), exponents.astype(np.int32)
        )
    # Another library may have switched on flush-to-zero, which ldexp obeys when its
    # result is subnormal: those are assembled from bits, a unit being 2**-1074.
    top = np.frexp(integers.astype(np.float64))[1] + exponents
    small = (top <= -1022) & (integers > 0)
    values[small] = (integers[small] << (exponents[small] + 1074)).view(np.float64)
    return values

"""
What codes stand for, and which code a value has, by every family's own definition.

::

    P3109, IEEE 754, OCP, FNUZ   s exponent mantissa
    HiFloat8   s dot exponent mantissa     dot is prefix-coded: 11 10 01 001 0001, else 0000
    posit8     s regime exponent fraction  regime is a run of equal bits and its end

Symbols are those of the IEEE P3109 Interim Report v4.0: K bits, precision P, bias B;
its clauses stand, restated, above the lines that obey them.
"""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fp8num.formats import Specials
from fp8num.verify.reference.datum import Datum, Kind, floor_log2, power_of_two

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = [
    "Values",
    "decode",
    "decode_hifloat8",
    "decode_posit",
    "encode",
    "finite_values",
    "has_infinity",
    "has_nan",
    "has_zero",
    "posit8_boundary",
    "precision_bias",
    "round_hifloat8",
    "round_posit8",
]

P3109 = (Specials.EXTENDED, Specials.FINITE)


def decode(code: int, fmt: Format) -> Datum:
    """
    Return what a code stands for.

    Parameters
    ----------
    code : int
        The bit pattern.
    fmt : Format
        Its format; of the tabulated ones, HIFLOAT8 and POSIT8.

    Returns
    -------
    Datum
        The number, infinity or NaN, exactly.

    Raises
    ------
    ValueError
        If `code` is not one of the format's, or the format has no definition here.

    Examples
    --------
    >>> from fp8num.formats import E4M3FN
    >>> decode(0x7E, E4M3FN).value, decode(0x7F, E4M3FN).kind
    (Fraction(448, 1), <Kind.NAN: 'nan'>)
    """
    if not 0 <= code < 1 << fmt.bits:
        msg = f"code must be from 0 to {(1 << fmt.bits) - 1} for {fmt.name}, got {code}"
        raise ValueError(msg)
    if fmt.exponent_bits is None:
        return _decode_tabulated(code, fmt)
    return (_decode_p3109 if fmt.specials in P3109 else _decode_signed_zero)(code, fmt)


def _decode_tabulated(code: int, fmt: Format) -> Datum:
    """Read a code of a format that has no parameters."""
    if fmt.name == "HIFLOAT8":
        return decode_hifloat8(code)
    if fmt.name == "POSIT8":
        return decode_posit(code)
    msg = f"fmt must be parametric, HIFLOAT8 or POSIT8, got {fmt.name}, which is unknown here"
    raise ValueError(msg)


def precision_bias(fmt: Format) -> tuple[int, int]:
    """Return P and B of a parametric format."""
    assert fmt.mantissa_bits is not None
    assert fmt.bias is not None
    return fmt.mantissa_bits + 1, fmt.bias


def _decode_p3109(code: int, fmt: Format) -> Datum:
    """P3109's Decode: the first line that matches."""
    sign_code = 1 << (fmt.bits - 1)
    last = (1 << fmt.bits) - 1
    extended = fmt.specials is Specials.EXTENDED
    # NaN at 2^(K-1) (signed) / 2^K - 1 (unsigned)
    if code == (sign_code if fmt.signed else last):
        return Datum.nan()
    # +Inf (Extended only) at 2^(K-1) - 1 / 2^K - 2
    if extended and code == (sign_code - 1 if fmt.signed else last - 1):
        return Datum.infinite()
    # -Inf (signed, Extended) at 2^K - 1
    if extended and fmt.signed and code == last:
        return Datum.infinite(negative=True)
    # signed x > 2^(K-1): -decode(x - 2^(K-1))
    if fmt.signed and code > sign_code:
        return Datum.finite(-_magnitude(code - sign_code, fmt))
    return Datum.finite(_magnitude(code, fmt))


def _decode_signed_zero(code: int, fmt: Format) -> Datum:
    """Read IEEE 754's layout and what OCP and FNUZ made of its top codes."""
    negative = fmt.signed and code >= 1 << (fmt.bits - 1)
    magnitude_code = code - (1 << (fmt.bits - 1)) if negative else code
    precision, _ = precision_bias(fmt)
    exponent_field, mantissa_field = divmod(magnitude_code, 1 << (precision - 1))
    assert fmt.exponent_bits is not None
    top_field = (1 << fmt.exponent_bits) - 1
    # IEEE 754-2019, 3.4: E = 2^w - 1 is an infinity where T = 0, and else a NaN.
    if fmt.specials is Specials.IEEE and exponent_field == top_field:
        if mantissa_field == 0:
            return Datum.infinite(negative=negative)
        return Datum.nan(negative=negative)
    # OFP8, Table 3: E4M3's NaN is S.1111.111, and it has no infinity.
    ones = mantissa_field == (1 << (precision - 1)) - 1
    if fmt.specials is Specials.FN and exponent_field == top_field and ones:
        return Datum.nan(negative=negative)
    # FNUZ: the code of -0 is the only NaN.
    if fmt.specials is Specials.FNUZ and negative and magnitude_code == 0:
        return Datum.nan()
    value = _magnitude(magnitude_code, fmt)
    return Datum.finite(-value if negative else value, negative=negative)


def _magnitude(code: int, fmt: Format) -> Fraction:
    """Read a code without its sign as a number."""
    precision, bias = precision_bias(fmt)
    # T = x mod 2^(P-1), E = x div 2^(P-1)
    exponent_field, mantissa_field = divmod(code, 1 << (precision - 1))
    fraction = Fraction(mantissa_field, 1 << (precision - 1))
    # T 2^(1-P) 2^(1-B) if E = 0
    if fmt.subnormals and exponent_field == 0:
        return fraction * power_of_two(1 - bias)
    # Without subnormals only the first code of the lowest binade is special, as zero,
    # and not even that where there are no mantissa bits.
    if not fmt.subnormals and code == 0 and precision > 1:
        return Fraction(0)
    # else (1 + T 2^(1-P)) 2^(E-B)
    return (1 + fraction) * power_of_two(exponent_field - bias)


class Values(NamedTuple):
    """The finite values: all codes decoded, in order of value."""

    low: Fraction
    high: Fraction
    codes: dict[Fraction, int]  # +0's code for zero
    magnitudes: list[Fraction]  # those that are not negative, ascending


@lru_cache(maxsize=512)
def finite_values(fmt: Format) -> Values:
    """Decode every code."""
    data = ((code, decode(code, fmt)) for code in range(1 << fmt.bits))
    codes = {
        datum.value: code for code, datum in data if datum.is_finite and (datum.value or code == 0)
    }
    magnitudes = sorted(value for value in codes if value >= 0)
    return Values(min(codes), max(codes), codes, magnitudes)


def encode(datum: Datum, fmt: Format) -> int:
    """
    Return the code of a datum that the format holds.

    Parameters
    ----------
    datum : Datum
        A value of the format; an infinity or NaN that it has.
    fmt : Format
        The format.

    Returns
    -------
    int
        The code.  A NaN's sign is kept where the format has both, its payload is the
        family's: all ones for FN, the top mantissa bit alone for IEEE.

    Raises
    ------
    ValueError
        If the format does not hold it.
    """
    if datum.kind is Kind.NAN and has_nan(fmt):
        return _nan_code(fmt, negative=datum.negative)
    if datum.kind is Kind.INFINITE and has_infinity(fmt, negative=datum.negative):
        return _infinity_code(fmt, negative=datum.negative)
    if not datum.is_finite or datum.value not in finite_values(fmt).codes:
        msg = f"datum must be one that {fmt.name} holds, got {datum}; project() rounds"
        raise ValueError(msg)
    if datum.value == 0 and datum.negative and _has_negative_zero(fmt):
        return 1 << (fmt.bits - 1)
    if fmt.exponent_bits is None or not fmt.subnormals:
        return finite_values(fmt).codes[datum.value]
    return _encode_number(datum.value, fmt)


def _encode_number(x: Fraction, fmt: Format) -> int:
    """P3109's Encode, for all formats with subnormals."""
    precision, bias = precision_bias(fmt)
    if x == 0:
        return 0
    # X < 0: Encode(-X) + 2^(K-1)
    if x < 0:
        return _encode_number(-x, fmt) + (1 << (fmt.bits - 1))
    # E = max(floor(log2 X), 1 - B), S = X 2^(-E + P - 1), T = S mod 2^(P-1)
    exponent = max(floor_log2(x), 1 - bias)
    significand = x * power_of_two(-exponent + precision - 1)
    assert significand.denominator == 1
    trailing = int(significand) % (1 << (precision - 1))
    # T if S < 2^(P-1) else T + (E + B) 2^(P-1)
    if significand < 1 << (precision - 1):
        return trailing
    return trailing + (exponent + bias) * (1 << (precision - 1))


def has_nan(fmt: Format) -> bool:
    """Whether there is a code for NaN."""
    return fmt.specials is not Specials.NONE


def has_infinity(fmt: Format, *, negative: bool = False) -> bool:
    """Whether there is a code for that infinity."""
    if fmt.exponent_bits is None:
        return fmt.name == "HIFLOAT8"
    family = fmt.specials in (Specials.IEEE, Specials.EXTENDED)
    return family and (fmt.signed or not negative)


def has_zero(fmt: Format) -> bool:
    """Whether there is a code for zero."""
    return fmt.subnormals or fmt.mantissa_bits != 0


def _has_negative_zero(fmt: Format) -> bool:
    """Whether -0 has a code of its own."""
    families = (Specials.IEEE, Specials.FN, Specials.NONE)
    return fmt.signed and fmt.specials in families and has_zero(fmt)


def _nan_code(fmt: Format, *, negative: bool) -> int:
    """Return the NaN that a conversion produces."""
    sign = 1 << (fmt.bits - 1) if fmt.signed else 0
    if fmt.exponent_bits is None:
        return 0x80
    precision, _ = precision_bias(fmt)
    match fmt.specials:
        case Specials.IEEE:  # 0b s_11111_10 for E5M2
            top = ((1 << fmt.exponent_bits) - 1) << (precision - 1)
            code = top + (1 << (precision - 2))
            return code + sign if negative else code
        case Specials.FN:  # 0b s_1111_111
            code = (1 << (fmt.exponent_bits + precision - 1)) - 1
            return code + sign if negative else code
        case _:  # one NaN, without a sign
            return sign if fmt.signed else (1 << fmt.bits) - 1


def _infinity_code(fmt: Format, *, negative: bool) -> int:
    """Return the code of an infinity that the format has."""
    if fmt.exponent_bits is None:
        return 0xEF if negative else 0x6F  # HiFloat8
    sign = 1 << (fmt.bits - 1) if fmt.signed else 0
    if fmt.specials is Specials.IEEE:  # 0b s_11111_00
        precision, _ = precision_bias(fmt)
        code = ((1 << fmt.exponent_bits) - 1) << (precision - 1)
        return code + sign if negative else code
    if negative:
        return (1 << fmt.bits) - 1
    return sign - 1 if fmt.signed else (1 << fmt.bits) - 2


# HiFloat8 and posit8: their own definitions.


def decode_hifloat8(code: int) -> Datum:
    """Read a code of HiFloat8 (Luo et al., arXiv:2409.16626, Tables 1 to 3)."""
    magnitude, negative = code & 0x7F, code >= 0x80
    if magnitude == 0:
        return Datum.nan() if negative else Datum.finite(Fraction(0))
    if magnitude == 0x6F:
        return Datum.infinite(negative=negative)
    value = _hifloat8_magnitude(magnitude)
    return Datum.finite(-value if negative else value)


def _hifloat8_magnitude(magnitude: int) -> Fraction:
    """Read the seven bits below the sign as a positive number."""
    text = f"{magnitude:07b}"
    widths = {"11": 4, "10": 3, "01": 2, "001": 1, "0001": 0}
    dot = next((prefix for prefix in widths if text.startswith(prefix)), None)
    if dot is None:  # 0000: denormal, 2**(m - 23)
        return power_of_two(magnitude - 23)
    width = widths[dot]
    exponent_field = text[len(dot) :][:width]
    mantissa_field = text[len(dot) + width :]
    # The exponent is in sign and magnitude; the magnitude's leading 1 is hidden.
    exponent = 0
    if exponent_field:
        size = int("1" + exponent_field[1:], 2)
        exponent = -size if exponent_field[0] == "1" else size
    fraction = Fraction(int(mantissa_field, 2), 1 << len(mantissa_field))
    return (1 + fraction) * power_of_two(exponent)


def round_hifloat8(x: Fraction) -> Fraction:
    """
    Round a nonzero number as HiFloat8's TA rounding does: half away from zero.

    A magnitude beyond 2**15 is overflow, whatever its value.
    """
    magnitude = abs(x)
    exponent = floor_log2(magnitude)
    if exponent < -23:
        return Fraction(0)
    exponent = max(exponent, -22)  # the binade of -23 has no value of its own
    # Mantissa bits taper: 3 up to |E| = 3, 2 up to 7, 1 up to 15, none below -15.
    size = abs(exponent)
    mantissa_bits = 3 if size <= 3 else 2 if size <= 7 else 1 if size <= 15 else 0
    unit = power_of_two(exponent - mantissa_bits)
    rounded = (magnitude / unit + Fraction(1, 2)).__floor__() * unit
    return rounded if x > 0 else -rounded


def decode_posit(code: int, bits: int = 8) -> Datum:
    """Read a code of a posit with two exponent bits (Posit Standard 2022, section 3.3)."""
    if code == 0:
        return Datum.finite(Fraction(0))
    if code == 1 << (bits - 1):
        return Datum.nan()  # NaR
    if code > 1 << (bits - 1):  # negative numbers are two's complements
        return Datum.finite(-decode_posit((1 << bits) - code, bits).value)
    text = f"{code:0{bits - 1}b}"
    run = len(text) - len(text.lstrip(text[0]))
    regime = run - 1 if text[0] == "1" else -run
    rest = text[run + 1 :]  # after the bit that ends the run
    exponent = int(rest[:2].ljust(2, "0"), 2)  # missing bits are 0
    fraction_field = rest[2:]
    fraction = Fraction(int(fraction_field or "0", 2), 1 << len(fraction_field))
    return Datum.finite((1 + fraction) * power_of_two(4 * regime + exponent))


def posit8_boundary(code: int) -> Fraction:
    """Return where rounding passes from `code` to the next: the posit with one more bit."""
    return decode_posit(2 * code + 1, 9).value


@cache
def _posit8_boundaries() -> tuple[Fraction, ...]:
    """Return the boundaries above each positive code but the last, ascending."""
    return tuple(posit8_boundary(code) for code in range(1, 0x7F))


def round_posit8(x: Fraction) -> Fraction:
    """Round a nonzero number to nearest on the encoding, ties to the even code."""
    magnitude = abs(x)
    boundaries = _posit8_boundaries()
    # Posit Standard 2022, section 4.1: never to 0 or NaR; minpos and maxpos instead.
    code = 1 + bisect_left(boundaries, magnitude)
    on_boundary = code < 0x7F and magnitude == boundaries[code - 1]
    if on_boundary and code % 2 == 1:
        code += 1
    rounded = decode_posit(code).value
    return rounded if x > 0 else -rounded

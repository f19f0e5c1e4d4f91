"""
HiFloat8 and posit8 by their own definitions, in exact rationals.

::

    HiFloat8   s dot exponent mantissa     dot is prefix-coded: 11 10 01 001 0001, else 0000
    posit8     s regime exponent fraction  regime is a run of equal bits and its end
"""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction
from functools import cache

from fp8num.verify.reference.datum import Datum, floor_log2, power_of_two

__all__ = [
    "decode_hifloat8",
    "decode_posit",
    "posit8_boundary",
    "round_hifloat8",
    "round_posit8",
]


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

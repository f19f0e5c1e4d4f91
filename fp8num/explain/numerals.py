"""
Numbers between text and exact arithmetic, in both directions.

A number is a `Fraction`, or a float for what no Fraction is: infinities, NaNs, -0.

::

    "0.3125"  parse_number -> Fraction(5, 16) -> decimal_text  0.3125
                                                 short_text    0.3125, or 5*2^-4 if long
                                                 hex_text      0x1.4p-2
"""

from __future__ import annotations

import math
import re
import struct
from decimal import (
    MAX_EMAX,
    MAX_PREC,
    MIN_EMIN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    InvalidOperation,
)
from fractions import Fraction
from typing import NamedTuple

from fp8num._text import shorten

__all__ = [
    "WrittenNumber",
    "decimal_text",
    "exact_decimal",
    "exact_record",
    "fraction_text",
    "hex_text",
    "nearest_float",
    "odd_factor",
    "parse_number",
    "round_to_odd",
    "short_text",
]

#: Beyond any format, and small enough to compute with.
MOST_DIGITS = 20_000
_HEX = re.compile(
    r"(?P<sign>[+-]?)0x(?P<whole>[0-9a-f]*)(?:\.(?P<part>[0-9a-f]*))?(?:p(?P<exponent>[+-]?\d+))?",
    re.IGNORECASE | re.ASCII,
)


def _context(digits: int) -> Context:
    """Return a context of which nothing is left to the process's default."""
    traps = [InvalidOperation]
    return Context(digits, ROUND_HALF_EVEN, MIN_EMIN, MAX_EMAX, 1, 0, [], traps)


#: Exact: Python's own conversion of integers to text stops at 4300 digits.
_EXACT = _context(MAX_PREC)

# Text to numbers.


class WrittenNumber(NamedTuple):
    """A number as it was written, and exactly; a float for infinities, NaNs and -0."""

    written: str
    value: Fraction | float


def parse_number(written: str) -> WrittenNumber:
    """
    Read a number exactly.

    >>> parse_number("1/3").value, parse_number("0x1.8p-3").value, parse_number("-0").value
    (Fraction(1, 3), Fraction(3, 16), -0.0)
    """
    head, slash, tail = written.partition("/")
    value = _parse(head, written)
    if slash:
        below = _parse(tail, written)
        if not isinstance(value, Fraction) or not isinstance(below, Fraction) or below == 0:
            raise ValueError(_complaint(written))
        value /= below
    return WrittenNumber(written.strip(), value)


def _complaint(written: str) -> str:
    return (
        "VALUE must be a number such as 0.3, 1e-9, 1/3, 0x1.8p-3, inf or nan, "
        f"got {shorten(written)!r}"
    )


def _parse(part: str, written: str) -> Fraction | float:
    """Read a number that is no fraction."""
    match = _HEX.fullmatch(part.strip())
    if match is not None:
        return _parse_hexadecimal(match, written)
    try:
        decimal = Decimal(part, _EXACT)  # exact: the context says only that nonsense is refused
    except InvalidOperation:
        raise ValueError(_complaint(written)) from None
    sign = -1.0 if decimal.is_signed() else 1.0
    if decimal.is_nan():
        return math.copysign(math.nan, sign)
    if decimal.is_infinite():
        return math.copysign(math.inf, sign)
    if decimal == 0:
        return -0.0 if sign < 0 else Fraction(0)
    _check_size(decimal.adjusted(), len(part), written)
    return Fraction(*decimal.as_integer_ratio())


def _parse_hexadecimal(match: re.Match[str], written: str) -> Fraction | float:
    whole, part = match["whole"], match["part"] or ""
    if not whole + part:
        raise ValueError(_complaint(written))
    exponent = match["exponent"] or "0"
    power = int(exponent) if len(exponent) < 10 else 1 << 31
    _check_size(power, len(whole + part), written)
    magnitude = int(whole + part, 16) * Fraction(2) ** (power - 4 * len(part))
    if magnitude == 0:
        return -0.0 if match["sign"] == "-" else Fraction(0)
    return -magnitude if match["sign"] == "-" else magnitude


def _check_size(exponent: int, length: int, written: str) -> None:
    """Refuse what would take long to compute with; no format reaches a tenth as far."""
    if abs(exponent) > MOST_DIGITS or length > MOST_DIGITS:
        msg = (
            f"VALUE must have an exponent of -{MOST_DIGITS} to {MOST_DIGITS} and at most as many "
            f"digits, got {shorten(written)!r}; no format reaches as far"
        )
        raise ValueError(msg)


def round_to_odd(value: Fraction | float) -> float:
    """
    Convert to float64 such that a later rounding to fewer digits is the only one.

    What float64 cannot hold leaves its trace in the last bit: of the two neighbours the
    one whose last bit is 1 is taken, beyond the range the largest number.

    S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums: proved
    algorithms using rounding to odd", IEEE Trans. Computers 57 (2008), Theorem 2.

    >>> round_to_odd(Fraction(1, 3)).hex(), round_to_odd(Fraction(10) ** 400).hex()
    ('0x1.5555555555555p-2', '0x1.fffffffffffffp+1023')
    """
    if isinstance(value, float) or value == 0:
        return float(value)
    word, rest = _word_below(abs(value))
    return _float_of(min(word | (rest != 0), 0x7FEF_FFFF_FFFF_FFFF), negative=value < 0)


def nearest_float(value: Fraction) -> float:
    """Return the nearest float64, ties to even: `float` divides as the processor rounds."""
    if value == 0:
        return 0.0
    word, rest = _word_below(abs(value))
    word += (2 * rest, word & 1) > (1, 0)
    return _float_of(min(word, 0x7FF0_0000_0000_0000), negative=value < 0)


def _word_below(magnitude: Fraction) -> tuple[int, Fraction]:
    """Return the word of the largest float64 up to a magnitude, and what is left, in ulps."""
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    exponent = max(exponent, -1022)
    scaled = magnitude / Fraction(2) ** (exponent - 52)
    # Packing by addition: the hidden bit is worth one in the exponent field.
    return int(scaled) + ((exponent + 1022) << 52), scaled % 1


def _float_of(word: int, *, negative: bool) -> float:
    found: float = struct.unpack("<d", struct.pack("<Q", word | negative << 63))[0]
    return found


# Numbers to text.


def exact_decimal(value: Fraction | float) -> str | None:
    """
    Write a number in decimal with all its digits.

    >>> exact_decimal(Fraction(5, 16)), exact_decimal(Fraction(2) ** 70), exact_decimal(-0.0)
    ('0.3125', '1180591620717411303424', '-0')
    """
    if isinstance(value, float):
        return _special(value)
    rest = value.denominator
    twos = (rest & -rest).bit_length() - 1
    rest >>= twos
    fives = 0
    while rest % 5 == 0:
        rest //= 5
        fives += 1
    if rest != 1:
        return None
    # n / (2**a 5**b) = n 2**(k-a) 5**(k-b) / 10**k with k = max(a, b): no digit is superfluous
    places = max(twos, fives)
    digits = value.numerator * 2 ** (places - twos) * 5 ** (places - fives)
    return format(_EXACT.scaleb(Decimal(digits), -places), "f")


def fraction_text(value: Fraction | float | None) -> str | None:
    """
    Write any number exactly for a machine to read.

    >>> fraction_text(Fraction(1, 80)), fraction_text(Fraction(2) ** 70), fraction_text(None)
    ('1/80', '1180591620717411303424', None)
    """
    if value is None or isinstance(value, float):
        return None if value is None else _special(value)
    # Decimal writes integers of any length.
    parts = [value.numerator] + ([value.denominator] if value.denominator != 1 else [])
    return "/".join(format(Decimal(part), "f") for part in parts)


def decimal_text(value: Fraction | float, digits: int = 12) -> str:
    """
    Write a number in decimal: exactly if that is short, else rounded and marked.

    >>> [decimal_text(Fraction(text), 6) for text in ("1/3", "448", "1e39", "-1/512")]
    ['~0.333333', '448', '1e+39', '~-0.00195312']
    """
    if isinstance(value, float):
        return _special(value)
    quotient = _context(digits).divide(Decimal(value.numerator), Decimal(value.denominator))
    exact = Fraction(quotient) == value
    return _plain(quotient) if exact else f"~{_plain(quotient)}"


def _plain(number: Decimal) -> str:
    """Write a decimal without trailing zeros, in full unless it is long."""
    number = number.normalize(_EXACT)
    adjusted = number.adjusted()
    if not number or -6 < adjusted < 17:
        return format(number, "f")
    mantissa = format(_EXACT.scaleb(number, -adjusted), "f")
    return f"{mantissa}e{adjusted:+d}"


def _special(value: float) -> str:
    """Write what is not a Fraction."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if math.isnan(value):
        return f"{sign}NaN"
    if math.isinf(value):
        return f"{sign}inf"
    return f"{sign}0"


def odd_factor(value: Fraction) -> tuple[int, int]:
    """Split a number with a finite binary expansion."""
    if value.denominator & (value.denominator - 1):
        msg = f"value must be an integer times a power of two, got {value}; round it first"
        raise ValueError(msg)
    integer, exponent = value.numerator, 1 - value.denominator.bit_length()
    if integer == 0:
        return 0, 0
    zeros = (integer & -integer).bit_length() - 1
    return integer >> zeros, exponent + zeros


def short_text(value: Fraction | float, limit: int = 8) -> str:
    """
    Write a value of a format exactly and shortly.

    >>> [short_text(Fraction(448)), short_text(Fraction(1, 512)), short_text(Fraction(3, 512))]
    ['448', '2^-9', '3*2^-9']
    """
    if isinstance(value, float):
        return _special(value)
    integer, exponent = odd_factor(value)
    if -limit < exponent < 4 * limit:
        text = exact_decimal(value)
        if text is not None and len(text) <= limit:
            return text
    factor = {1: "", -1: "-"}.get(integer, f"{integer}*")
    return f"{factor}2^{exponent}"


def hex_text(value: Fraction | float) -> str:
    """
    Write a number as a hexadecimal floating-point constant of C, exactly.

    >>> hex_text(Fraction(5, 16)), hex_text(Fraction(-448)), hex_text(-0.0)
    ('0x1.4p-2', '-0x1.cp+8', '-0x0p+0')
    """
    if isinstance(value, float):
        return "-0x0p+0" if value == 0 else _special(value).lower()
    integer, exponent = odd_factor(value)
    sign, integer = ("-", -integer) if integer < 0 else ("", integer)
    if integer == 0:
        return "0x0p+0"
    length = integer.bit_length() - 1
    digits = -(-length // 4)
    fraction = (
        f"{(integer << (4 * digits - length)) - (1 << 4 * digits):0{digits}x}" if digits else ""
    )
    return f"{sign}0x1{'.' if fraction else ''}{fraction}p{exponent + length:+d}"


def exact_record(value: Fraction | float) -> dict[str, str | int]:
    """
    Return a value of a format for JSON, exactly and in the usual notations.

    >>> exact_record(Fraction(448))
    {'decimal': '448', 'hex': '0x1.cp+8', 'integer': 7, 'exponent': 6}
    """
    decimal = exact_decimal(value)
    assert decimal is not None  # a denominator that is a power of two ends in decimal too
    found: dict[str, str | int] = {"decimal": decimal, "hex": hex_text(value)}
    if isinstance(value, Fraction):
        found["integer"], found["exponent"] = odd_factor(value)
    return found

"""
What a format holds, as text for a terminal and as records for JSON.

::

    formats --> catalogue    a row each        format --> description   numbers, line, codes
            --> record       for JSON                 --> code_records  every code
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from fp8num._text import columns, pairs
from fp8num.explain import codes, numerals

if TYPE_CHECKING:
    from fp8num.formats import Format

__all__ = ["catalogue", "code_records", "description", "record"]

LEGEND = "Positive values: | is one, a digit so many in one column, # ten or more."
HEADING = ("format", "bits", "fields", "bias", "max", "normal", "subnormal", "specials")


def catalogue(formats: list[Format]) -> str:
    """Return a table with a row per format, and the documents that define them."""
    rows = [HEADING, *(_row(fmt) for fmt in formats)]
    sources: dict[str, list[str]] = {}
    for fmt in formats:
        sources.setdefault(fmt.source, []).append(fmt.name)
    notes = [
        f"  {source}: {'all' if len(sources) == 1 else ', '.join(names)}"
        for source, names in sources.items()
    ]
    return "\n".join([columns(rows, "<>>>>>><"), "", "Defined in", *notes])


def _row(fmt: Format) -> tuple[str, ...]:
    """Return the cells of a format in the catalogue."""
    fields = (int(fmt.signed), fmt.exponent_bits, fmt.mantissa_bits)
    return (
        fmt.name,
        str(fmt.bits),
        "-" if fmt.exponent_bits is None else "/".join(map(str, fields)),
        "-" if fmt.bias is None else str(fmt.bias),
        _short(fmt.max),
        _short(fmt.smallest_normal),
        _short(fmt.smallest_subnormal),
        " ".join(_specials(fmt)) or "-",
    )


def _short(value: float | Fraction | None) -> str:
    return "-" if value is None else numerals.short_text(Fraction(value))


def _specials(fmt: Format) -> list[str]:
    """Return what a format has besides numbers."""
    has = {"inf": fmt.has_infinity, "NaN": fmt.has_nan, "-0": fmt.has_negative_zero}
    return [name for name, there in has.items() if there]


def description(fmt: Format) -> str:
    """Return everything about a format: numbers, number line and codes."""
    table = codes.code_grid(fmt) if fmt.bits <= 8 else codes.code_list(fmt)
    parts = [f"{fmt.name}\n{pairs(_facts(fmt))}", f"{LEGEND}\n{codes.number_line(fmt)}", table]
    return "\n\n".join(parts)


def _facts(fmt: Format) -> list[tuple[str, str]]:
    """Return the numbers of a format with their names; those it has not are left out."""
    facts = {
        "code": _layout(fmt),
        "bias": None if fmt.bias is None else str(fmt.bias),
        "precision": None if fmt.precision is None else str(fmt.precision),
        "largest": _long(fmt.max),
        "smallest normal": _long(fmt.smallest_normal),
        "smallest subnormal": _long(fmt.smallest_subnormal),
        "finite codes": str(_finite_codes(fmt)),
        "specials": ", ".join(_special_codes(fmt)) or "none: every code is a finite number",
        "overflow, SatNone": fmt.overflow.value if fmt.overflow is not None else None,
        "spelling": fmt.spelling,
        "defined in": fmt.source or None,
    }
    return [(name, fact) for name, fact in facts.items() if fact is not None]


def _layout(fmt: Format) -> str:
    """Return how the bits of a code are shared out."""
    if fmt.exponent_bits is None:
        return f"{fmt.bits} bits, given by a table of values"
    fields = {
        "sign": int(fmt.signed),
        "exponent": fmt.exponent_bits,
        "mantissa": fmt.mantissa_bits,
    }
    return f"{fmt.bits} bits: " + ", ".join(f"{width} {name}" for name, width in fields.items())


def _long(value: float | Fraction | None) -> str | None:
    """Return a number in full: in decimal and as an odd integer times a power of two."""
    if value is None:
        return None
    exact = Fraction(value)
    decimal, power = numerals.decimal_text(exact, 10), numerals.short_text(exact, limit=0)
    return f"{power} ({decimal})" if decimal.startswith("~") else f"{decimal} = {power}"


def _special_codes(fmt: Format) -> list[str]:
    """Return the specials with their codes."""
    found = []
    if fmt.has_infinity:
        signs = (False, True) if fmt.signed else (False,)
        found += [("inf", [fmt.infinity_code(negative=sign) for sign in signs])]
    nans = [code for code in range(1 << fmt.bits) if fmt.classify(code) == "nan"]
    found += [("NaN", nans)] if nans else []
    found += [("-0", [fmt.sign_bit])] if fmt.has_negative_zero else []
    return [
        f"{name} at {' '.join(codes.hex_code(code, fmt) for code in those[:2])}"
        + (f" and {len(those) - 2} more" if len(those) > 2 else "")
        for name, those in found
    ]


def _finite_codes(fmt: Format) -> int:
    """Return how many codes are numbers."""
    count = len(fmt.magnitudes.codes)
    if not fmt.signed:
        return count
    return 2 * count - (fmt.has_zero and not fmt.has_negative_zero)


# JSON.


def record(fmt: Format) -> dict[str, Any]:
    """Return the parameters and derived numbers of a format for JSON, numbers as exact text."""
    numbers = {
        "max": fmt.max,
        "min": fmt.min,
        "smallest_normal": fmt.smallest_normal,
        "smallest_subnormal": fmt.smallest_subnormal,
    }
    return {
        "name": fmt.name,
        "spelling": fmt.spelling,
        "bits": fmt.bits,
        "signed": fmt.signed,
        "exponent_bits": fmt.exponent_bits,
        "mantissa_bits": fmt.mantissa_bits,
        "bias": fmt.bias,
        "precision": fmt.precision,
        **{name: _exact(value) for name, value in numbers.items()},
        "finite_codes": _finite_codes(fmt),
        "has_infinity": fmt.has_infinity,
        "has_nan": fmt.has_nan,
        "has_negative_zero": fmt.has_negative_zero,
        "overflow": None if fmt.overflow is None else fmt.overflow.value,
        "source": fmt.source,
    }


def _exact(value: float | Fraction | None) -> dict[str, str | int] | None:
    return None if value is None else numerals.exact_record(Fraction(value))


def code_records(fmt: Format) -> list[dict[str, Any]]:
    """Return every code, its bits, value and kind, for JSON."""
    return [
        {
            "code": codes.hex_code(code, fmt),
            "fields": list(fmt.fields(code)),
            "value": numerals.exact_record(codes.code_value(code, fmt)),
            "kind": fmt.classify(code),
        }
        for code in range(1 << fmt.bits)
    ]

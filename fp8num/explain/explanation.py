"""What a conversion did in words, as a block of text, and as a record for JSON."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from fp8num._text import pairs, shorten
from fp8num.explain.codes import fields_text, hex_code
from fp8num.explain.inspection import Ladder, finite
from fp8num.explain.numerals import (
    decimal_text,
    exact_record,
    fraction_text,
    hex_text,
    short_text,
)
from fp8num.formats import Overflow, TabulatedFormat
from fp8num.projection import Rounding, Saturation

if TYPE_CHECKING:
    from fp8num.explain.inspection import Neighbour, Record
    from fp8num.formats import Format

__all__ = ["decision", "describe", "to_dict"]

HALF = Fraction(1, 2)

# In words.


def decision(record: Record) -> str:
    """Say why a number became what it became."""
    if record.number is None:
        return ""
    x, written = record.number.value, shorten(record.number.written, 40)
    if isinstance(x, float):
        return _special_decision(record)
    if finite(record.value) == x:
        return f"{written} is a value of {record.fmt.name}: nothing is rounded"
    why = _missing(record, x) or _beyond(record, x, written)
    return f"{why} gives {_say(record.value)}" if why else _rounding_decision(record, x, written)


def _missing(record: Record, x: Fraction) -> str:
    """Name what the format has not, zero or a sign, and what decides instead."""
    fmt = record.fmt
    if x < 0 and not fmt.signed:
        # What rounds to zero is not beyond the range.
        rule = _saturation(record) if "invalid" in record.flags else _rounding(record).value
        return f"{fmt.name} has no negative numbers: {rule}"
    if x == 0:
        return f"{fmt.name} has no zero: {_saturation(record)}"
    if abs(x) < Ladder(fmt).magnitude(0):
        return f"{fmt.name} has no zero: every mode"
    return ""


def _beyond(record: Record, x: Fraction, written: str) -> str:
    """Say if a number is beyond the range, and what decides."""
    fmt = record.fmt
    largest = abs(Fraction(fmt.max))
    if "overflow" in record.flags:
        following = "" if fmt.successor is None else f" ({_say(_following(record))} would follow)"
        past = f"{written} rounds past the largest value, {_say(largest)}{following}"
        # Under SatNone some modes never leave the largest value, whatever overflow is.
        stops = finite(record.value) is not None and fmt.overflow is not Overflow.MAX
        named = _saturation(record) == Saturation.SAT_NONE.value and record.conversion.like is None
        return f"{past}: {_rounding(record).value if stops and named else _saturation(record)}"
    if abs(x) > largest and fmt.successor is None:
        return f"{written} lies beyond the largest value: {_rounding(record).value}"
    return ""


def _say(value: Fraction | float) -> str:
    """Write a value of a format exactly in a sentence."""
    return short_text(value, 12)


def _saturation(record: Record) -> str:
    assert record.projection is not None
    return record.projection.saturation.value


def _rounding(record: Record) -> Rounding:
    assert record.projection is not None
    return record.projection.rounding


def _following(record: Record) -> Fraction:
    """Return what would follow the largest value."""
    ladder = Ladder(record.fmt)
    return ladder.magnitude(ladder.count)


def _special_decision(record: Record) -> str:
    """Say what became of an infinity, a NaN or -0."""
    assert record.number is not None
    given, result = _say(record.number.value), _say(record.value)
    if given == result:
        return f"{given} is kept"
    if "NaN" in given:
        name = record.fmt.name
        why = f"the NaN of {name} has no sign" if record.fmt.has_nan else f"{name} has no NaN"
        return f"{why}: {given} becomes {result}"
    if given == "-0":
        missing = "-0" if record.fmt.has_zero else "zero"
        return f"{record.fmt.name} has no {missing}: it becomes {result}"
    return f"{given} is beyond the range: {_saturation(record)} gives {result}"


def _rounding_decision(record: Record, x: Fraction, written: str) -> str:
    """Say between which values a number lies, and which of them was taken why."""
    low = record.below.value if record.below is not None else -_following(record)
    high = record.above.value if record.above is not None else _following(record)
    part = (x - low) / (high - low)
    ends = [_say(low), _say(high)]
    for i, neighbour in enumerate((record.below, record.above)):
        if neighbour is None:
            ends[i] += " (which would follow)"
    sentence = (
        f"{written} lies {_share(part)} from {ends[0]} to {ends[1]}: "
        f"{_rounding(record).value} takes {_say(record.value)}, {_reason(record, x, part)}"
    )
    if "underflow" not in record.flags:
        return sentence
    normal = _say(Fraction(record.fmt.smallest_normal))
    return f"{sentence}; below the smallest normal number, {normal}, that is underflow"


def _share(part: Fraction) -> str:
    """Write how far on the way between two values a number is, never as what it is not."""
    if part == HALF:
        return "halfway"
    near = {"~0.5": "just under half" if part < HALF else "just over half", "~1": "nearly all"}
    text = decimal_text(part, 4)
    return f"{near.get(text, text)} of the way"


#: Why a mode takes a neighbour, if that needs no look at the number.
_REASONS = {
    Rounding.TOWARD_ZERO: "the one nearer to zero",
    Rounding.TOWARD_POSITIVE: "the larger",
    Rounding.TOWARD_NEGATIVE: "the smaller",
    Rounding.TO_ODD: "whose code is odd",
}


def _reason(record: Record, x: Fraction, part: Fraction) -> str:
    """Say why a neighbour was taken, for a number that is part of the way to the upper one."""
    rounding, boundary = _rounding(record), _table_boundary(record, x)
    if rounding.is_stochastic:
        bits, width = record.conversion.random_bits, record.conversion.random_width
        return f"for random bits {bits:0{width}b}"
    if rounding in _REASONS:
        return _REASONS[rounding]
    if boundary is not None:
        return f"as the boundary on the encoding is {_say(boundary)}"
    result = finite(record.value)
    assert result is not None
    if part == HALF:
        away = rounding is Rounding.NEAREST_TIES_TO_AWAY or isinstance(record.fmt, TabulatedFormat)
        return "the one farther from zero" if away else "whose code is even"
    nearer = (part > HALF) == (result > x)
    return "the nearer" if nearer else f"as {record.conversion.like} does"


def _table_boundary(record: Record, x: Fraction) -> Fraction | None:
    """Return where a tabulated format divides the gap that x lies in, unless in its middle."""
    fmt = record.fmt
    if not isinstance(fmt, TabulatedFormat):
        return None
    ladder = Ladder(fmt)
    index = ladder.index(x)
    integer, exponent, _ = fmt.nearest[index]
    boundary = integer * Fraction(2) ** exponent
    middle = (ladder.magnitude(index) + ladder.magnitude(index + 1)) / 2
    return None if boundary == middle else (boundary if x > 0 else -boundary)


# As text.


def describe(record: Record) -> str:
    """Write a record as a block of text."""
    fmt = record.fmt
    heading = fmt.name
    if record.projection is not None:
        mode = f"{record.projection.rounding.value}, {record.projection.saturation.value}"
        like = record.conversion.like
        heading += f", {mode}" if like is None else f", like {like} ({mode})"
    code = f"{hex_code(record.code, fmt)} = {fields_text(record.code, fmt)}"
    items = [
        ("code", f"{code} ({fmt.classify(record.code)})"),
        ("value", _value_text(record)),
        ("below", _neighbour_text(record.below, record)),
        ("above", _neighbour_text(record.above, record)),
    ]
    if record.number is not None:
        items += [
            ("rounding", decision(record)),
            ("error", _error_text(record)),
            ("flags", ", ".join(record.flags) or "none"),
        ]
    return f"{heading}\n{pairs(items)}"


def _value_text(record: Record) -> str:
    """Write a value in decimal, in hexadecimal, and as the integer that the format holds."""
    value = record.value
    if isinstance(value, float):
        return decimal_text(value)
    integer, exponent = record.fmt.decompose(record.code)
    notations = [decimal_text(value, 17), hex_text(value), f"{integer}*2^{exponent}"]
    return " = ".join(notations if not notations[0].startswith("~") else notations[1:])


def _neighbour_text(neighbour: Neighbour | None, record: Record) -> str:
    if neighbour is None:
        return "-"
    code, value, ulps = neighbour
    return f"{_say(value)} at {hex_code(code, record.fmt)}, {decimal_text(ulps, 6)} ulp away"


def _error_text(record: Record) -> str:
    """Write the error: absolute, relative and in units of the last place."""
    error, relative = record.error, record.relative_error
    if error is None or record.ulp is None:
        return "-"
    if error == 0:
        return "0"
    parts = [decimal_text(error, 6)]
    if relative is not None:
        parts.append(f"relative {decimal_text(relative, 6)}")
    parts.append(f"{decimal_text(error / record.ulp, 6)} ulp of {_say(record.ulp)}")
    return ", ".join(parts)


# For JSON.


def to_dict(record: Record) -> dict[str, Any]:
    """Return a record for JSON, its numbers as exact text."""
    fmt = record.fmt
    sign, exponent, mantissa = fmt.fields(record.code)
    found: dict[str, Any] = {
        "format": fmt.name,
        "code": hex_code(record.code, fmt),
        "bits": {"sign": sign, "exponent": exponent, "mantissa": mantissa},
        "kind": fmt.classify(record.code),
        "value": exact_record(record.value),
        "below": _neighbour_dict(record.below, fmt),
        "above": _neighbour_dict(record.above, fmt),
        "ulp": fraction_text(record.ulp),
    }
    if record.number is None or record.projection is None:
        return found
    error, relative = record.error, record.relative_error
    ulps = None if error is None or not record.ulp else error / record.ulp
    return {
        "number": record.number.written,
        "exact": fraction_text(record.number.value),
        **found,
        "rounding": record.projection.rounding.value,
        "saturation": record.projection.saturation.value,
        "like": record.conversion.like,
        "random_bits": record.conversion.random_bits,
        "random_width": record.conversion.random_width,
        "decision": decision(record),
        "error": {
            "absolute": fraction_text(error),
            "relative": fraction_text(relative),
            "ulps": fraction_text(ulps),
        },
        "flags": list(record.flags),
    }


def _neighbour_dict(neighbour: Neighbour | None, fmt: Format) -> dict[str, Any] | None:
    if neighbour is None:
        return None
    code, value, ulps = neighbour
    return {
        "code": hex_code(code, fmt),
        "value": exact_record(value),
        "ulps": fraction_text(ulps),
    }

"""
A format's codes as plain text for a terminal: aligned, ASCII, 80 columns.

::

    code_grid  code_list       codes and their values
    number_line                the values on a logarithmic axis
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from fp8num._text import columns
from fp8num.explain.numerals import short_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fp8num.formats import Format

__all__ = [
    "code_grid",
    "code_list",
    "code_value",
    "fields_text",
    "hex_code",
    "number_line",
]

WIDTH = 80

# Codes.


def code_value(code: int, fmt: Format) -> Fraction | float:
    """
    Return what a code stands for, exactly.

    >>> from fp8num.formats import E4M3FN
    >>> code_value(0x2A, E4M3FN), code_value(0x80, E4M3FN), code_value(0xFF, E4M3FN)
    (Fraction(5, 16), -0.0, nan)
    """
    negative = bool(fmt.sign_bit and code & fmt.sign_bit)
    kind = fmt.classify(code)
    if kind == "nan":  # where there is one NaN, its top bit is no sign
        both_signs = fmt.signed and fmt.specials is not None and fmt.specials.has_signed_zero
        return math.copysign(math.nan, -1.0 if negative and both_signs else 1.0)
    if kind == "infinity":
        return -math.inf if negative else math.inf
    integer, exponent = fmt.decompose(code)
    if integer == 0 and negative:
        return -0.0
    return integer * Fraction(2) ** exponent


def fields_text(code: int, fmt: Format) -> str:
    """Write a code's bits by field, as ``0 | 0101 | 010``."""
    return " | ".join(bits for bits in fmt.fields(code) if bits)


def hex_code(code: int, fmt: Format) -> str:
    """Write a code in hexadecimal with all its digits."""
    return f"0x{code:0{-(-fmt.bits // 4)}x}"


# Formats.


def code_grid(fmt: Format, *, width: int = WIDTH) -> str:
    """Write the value of every code that has no sign bit, and what the others are."""
    count = fmt.sign_bit or 1 << fmt.bits
    # Seven characters a cell leave room for a binade of three mantissa bits in a row.
    cells = [short_text(code_value(code, fmt), 7) for code in range(count)]
    for step in (8, 4, 2, 1):
        if step > count:
            continue
        heading = ["", *(f"+{i}" for i in range(step))]
        rows = [[hex_code(i, fmt), *cells[i : i + step]] for i in range(0, count, step)]
        text = columns([heading, *rows], "<" + ">" * step)
        if step == 1 or max(map(len, text.split("\n"))) <= width:
            break
    if not fmt.signed:
        return text
    last = (1 << fmt.bits) - 1
    others = ", ".join(
        f"{hex_code(code, fmt)} is {short_text(code_value(code, fmt))}"
        for code in sorted({count, min(count + 1, last), last})
    )
    return f"{text}\nWith the sign bit: {others}."


def code_list(fmt: Format) -> str:
    """Write the codes of a wide format where something begins or ends, and their values."""
    table = fmt.magnitudes.codes
    normal, largest = int(table[fmt.first_normal]), int(table[-1])
    end = fmt.sign_bit or 1 << fmt.bits
    near = [*range(4), *range(normal - 2, normal + 3), *range(largest - 2, largest + 4)]
    codes = sorted({code for code in near if 0 <= code < end})
    codes += [code for code in (end, end + 1, (1 << fmt.bits) - 1) if code < 1 << fmt.bits]
    codes = list(dict.fromkeys(codes))
    rows: list[list[str]] = []
    for before, code in zip([-1, *codes], codes, strict=False):
        if code > before + 1:
            rows.append(["..."])
        value = short_text(code_value(code, fmt))
        rows.append([hex_code(code, fmt), fields_text(code, fmt), value, fmt.classify(code)])
    return columns(rows, "<<><")


class _Axis(NamedTuple):
    """A logarithmic axis of text: binade `low` begins at column 0."""

    low: int
    high: int
    scale: float  #: columns per binade

    def column(self, logarithm: float) -> int:
        """Return the column that a binary logarithm falls into."""
        return int((logarithm - self.low) * self.scale + 1e-9)


def number_line(fmt: Format, *, width: int = WIDTH) -> str:
    """
    Draw the positive values of a format on a logarithmic axis.

    Parameters
    ----------
    fmt : Format
        The format.
    width : int, optional
        Columns to fill.

    Returns
    -------
    str
        A row for the subnormals, if there are any, one for the normal numbers, and the
        axis.  A ``|`` is one value, a digit so many in one column, ``#`` ten or more.

    Examples
    --------
    >>> from fp8num.formats import E2M1FN
    >>> print(number_line(E2M1FN, width=48))
    subnormal  |
    normal              |    |   |    |   |    |
               +--------+--------+--------+--------
               2^-1     2^0      2^1      2^2
    """
    first = int(fmt.has_zero)
    _, integers, exponents = fmt.magnitudes
    logarithms = [
        math.log2(int(integer)) + int(exponent)
        for integer, exponent in zip(integers[first:], exponents[first:], strict=True)
    ]
    names = ("subnormal", "normal")
    room = width - len(names[0]) - 2
    low, high = math.floor(logarithms[0]), math.floor(logarithms[-1]) + 1
    whole = room // (high - low)
    axis = _Axis(low, high, whole or room / (high - low))
    normal = fmt.first_normal - first
    rows = [
        [name, _ticks(part, axis)]
        for name, part in zip(names, (logarithms[:normal], logarithms[normal:]), strict=True)
        if part
    ]
    return columns([*rows, *([["", line] for line in _scale(axis, room)])], "<<")


def _ticks(logarithms: Sequence[float], axis: _Axis) -> str:
    """Draw values as marks."""
    counts = [0] * (axis.column(axis.high) + 1)
    for logarithm in logarithms:
        counts[axis.column(logarithm)] += 1
    marks = (" ", "|", *"23456789")
    return "".join(marks[count] if count < 10 else "#" for count in counts).rstrip()


def _scale(axis: _Axis, room: int) -> tuple[str, str]:
    """Draw the axis and its labels, as many as there is room for."""
    longest = max(len(f"2^{exponent}") for exponent in (axis.low, axis.high))
    step = next(1 << power for power in range(62) if (1 << power) * axis.scale >= longest + 2)
    line = ["-"] * axis.column(axis.high)
    labels = ""
    for exponent in range(axis.low, axis.high):
        if exponent % step == 0:
            column = axis.column(exponent)
            line[column] = "+"
            label = f"2^{exponent}"
            labels = f"{labels:<{column}}{label}" if column + len(label) <= room else labels
    return "".join(line), labels

"""Tables, code tables and number lines, against what was drawn by hand."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest

from fp8num.explain.codes import (
    code_grid,
    code_list,
    code_value,
    fields_text,
    hex_code,
    number_line,
)
from fp8num.explain.numerals import short_text
from fp8num.formats import BFLOAT16, E2M1FN, E2M3FN, E4M3FN, E8M0FNU, FORMATS, Format, get_format
from fp8num.verify.reference import Kind, decode

#: Beyond float64; without zero; unsigned.
OTHERS = [get_format(name) for name in ("Binary16p1se", "w1m0b0-none-nosub", "binary4p3ue")]
by_format = pytest.mark.parametrize("fmt", [*FORMATS.values(), *OTHERS], ids=lambda fmt: fmt.name)


@by_format
def test_code_values_are_the_definition(fmt: Format) -> None:
    """Every code stands for what the exact reference says, signs of zeros and NaNs included."""
    step = 1 if fmt.bits <= 8 else 127
    for code in [*range(0, 1 << fmt.bits, step), (1 << fmt.bits) - 1]:
        value, datum = code_value(code, fmt), decode(code, fmt)
        if isinstance(value, Fraction):
            assert datum.kind is Kind.FINITE
            assert (value, datum.negative) == (datum.value, value < 0)
        else:
            kind = Kind.NAN if math.isnan(value) else Kind.INFINITE if value else Kind.FINITE
            negative = math.copysign(1, value) < 0
            assert (kind, negative) == (datum.kind, datum.negative)


def test_code_grid_by_hand() -> None:
    """OCP MX 1.0, section 5.3.3: the sixteen values of E2M1."""
    assert code_grid(E2M1FN) == (
        "     +0   +1  +2   +3  +4  +5  +6  +7\n"
        "0x0   0  0.5   1  1.5   2   3   4   6\n"
        "With the sign bit: 0x8 is -0, 0x9 is -0.5, 0xf is -6."
    )


@pytest.mark.parametrize(
    "fmt", [fmt for fmt in FORMATS.values() if fmt.bits <= 8], ids=lambda fmt: fmt.name
)
def test_code_grid_has_every_value_in_its_place(fmt: Format) -> None:
    """Row and column add up to the code whose value stands there."""
    lines = [line for line in code_grid(fmt).split("\n") if line.startswith("0x")]

    count = 0
    for line in lines:
        first, *cells = line.split()
        for offset, cell in enumerate(cells):
            assert cell == short_text(code_value(int(first, 16) + offset, fmt), 7)
            count += 1
    assert count == (1 << fmt.bits) >> fmt.signed


def test_code_list_shows_where_something_begins() -> None:
    """Zero, the smallest subnormal and normal number, the largest value, specials, -0."""
    rows = {line.split("  ")[0]: line for line in code_list(BFLOAT16).split("\n")}

    assert rows["0x0001"].split() == [
        "0x0001",
        "0",
        "|",
        "00000000",
        "|",
        "0000001",
        "2^-133",
        "subnormal",
    ]
    assert rows["0x0080"].split()[-2:] == ["2^-126", "normal"]
    assert rows["0x7f7f"].split()[-2:] == ["255*2^120", "normal"]
    assert rows["0x7f80"].split()[-2:] == ["inf", "infinity"]
    assert rows["0x8000"].split()[-2:] == ["-0", "zero"]
    assert rows["0xffff"].split()[-2:] == ["-NaN", "nan"]
    assert "..." in rows


def test_number_line_by_hand() -> None:
    """
    E2M3FN at nine columns a binade: mark k of a binade is at column floor(9 log2(1 + k/8)).

    The subnormals are k/8: the binades of 2^-3, 2^-2 and 2^-1 hold 1, 2 and 4 of them, at
    9 (0), 9 (0, 0.585) and 9 (0, 0.322, 0.585, 0.807) columns; the normal binades hold 8, at
    9 (0, 0.170, 0.322, 0.459, 0.585, 0.700, 0.807, 0.907) = 0 1 2 4 5 6 7 8.
    """
    binade = "||| |||||"
    expected = [
        "subnormal  |        |    |   | |  | |",
        "normal     " + " " * 27 + binade * 3,
        "           " + "+--------" * 6,
        "           2^-3     2^-2     2^-1     2^0      2^1      2^2",
    ]

    assert number_line(E2M3FN, width=65 + 1).split("\n") == expected


def test_number_line_counts_what_shares_a_column() -> None:
    """E8M0 has 255 values in 69 columns at most: their marks add up."""
    line = number_line(E8M0FNU).split("\n")[0].removeprefix("normal").strip()

    assert sum(1 if mark == "|" else int(mark) for mark in line) == 255


@by_format
def test_number_line_fits_a_terminal(fmt: Format) -> None:
    """No line is longer than 80 columns, and all of it is ASCII."""
    picture = number_line(fmt)

    assert max(map(len, picture.split("\n"))) <= 80
    assert picture.isascii()
    assert ("subnormal" in picture) == (fmt.smallest_subnormal is not None)


def test_codes_are_written_by_field_and_in_full() -> None:
    """A sign bit, an exponent, a mantissa; and as many digits as the format has."""
    assert fields_text(0xAA, E4M3FN) == "1 | 0101 | 010"
    assert fields_text(0x7D, E8M0FNU) == "01111101"
    assert hex_code(0x2, E2M1FN) == "0x2"
    assert hex_code(0x2, BFLOAT16) == "0x0002"
    assert re.fullmatch("0x[0-9a-f]{2}", hex_code(0x3F, get_format("E3M2FN")))

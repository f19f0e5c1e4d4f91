"""
Rounding to odd under SatNone: every answer of Berkeley SoftFloat that was recorded.

Of the largest finite value and infinity it takes the one with the odd code, as
RISC-V's vfncvt.rod does; P3109 says so of its unsigned formats.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fp8num as fp
from fp8num import ops
from fp8num.verify import reference

ROWS = (Path(__file__).parent.parent / "data" / "softfloat" / "round_odd.txt").read_text("utf-8")
TO_ODD = {"rounding": "ro", "saturation": "SatNone"}
INEXACT, UNDERFLOW, OVERFLOW = 1, 2, 4
WORDS = {"f32_to_f16": (np.uint32, np.float32), "f64_to_f16": (np.uint64, np.float64)}
OPERATIONS = {"f16_add": ops.add, "f16_mul": ops.multiply, "f16_div": ops.divide}


def recorded(function: str) -> list[list[int]]:
    """Return the operands, results and flags of a function, a list each."""
    rows = [line.split()[1:] for line in ROWS.splitlines() if line.startswith(f"{function} ")]
    return [[int(word, 16) for word in column] for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("function", WORDS)
def test_conversions_round_to_odd_as_softfloat(function: str) -> None:
    """Codes and flags, of the codec and of the exact reference."""
    words, codes, flags = recorded(function)
    word, dtype = WORDS[function]
    x = np.array(words, word).view(dtype)

    raised = fp.flags(x, "BINARY16", **TO_ODD)

    assert fp.encode(x, "BINARY16", **TO_ODD).tolist() == codes
    assert [reference.project(v, fp.BINARY16, "ro", "SatNone") for v in x.tolist()] == codes
    bits = raised.inexact * INEXACT + raised.underflow * UNDERFLOW + raised.overflow * OVERFLOW
    assert bits.tolist() == flags


@pytest.mark.parametrize("function", OPERATIONS)
def test_operations_round_to_odd_as_softfloat(function: str) -> None:
    """Sums, products and quotients, most of them at the ends of the range."""
    a, b, codes, _ = recorded(function)
    operands = (np.array(column, np.uint16) for column in (a, b))

    assert OPERATIONS[function](*operands, "BINARY16", **TO_ODD).tolist() == codes


@pytest.mark.parametrize(
    ("fmt", "codes"),
    [
        ("BINARY16", [0x7BFF, 0xFBFF]),  # infinity is 7c00
        ("BFLOAT16", [0x7F7F, 0xFF7F]),
        ("E5M2", [0x7B, 0xFB]),
        ("E4M3IEEE", [0x77, 0xF7]),
        ("w5m2b15-ieee-overflow_nan", [0x7B, 0xFB]),  # as directed rounding, whatever overflow is
        ("Binary8p3ue", [0xFD, 0xFF]),  # P3109 v4.0: unsigned, extended; -inf and below are NaN
        ("Binary8p3se", [0x7F, 0xFF]),  # infinity has the odd code
        ("HIFLOAT8", [0x6F, 0xEF]),  # so it has here
        ("E4M3FN", [0x7F, 0xFF]),  # without infinity: the format's overflow, NaN
        ("E4M3FNUZ", [0x80, 0x80]),
        ("Binary8p3sf", [0x7F, 0xFF]),  # P3109 v4.0: finite formats end at the largest value
        ("E2M1FN", [0x7, 0xF]),
    ],
)
def test_to_odd_takes_the_odd_one_of_the_largest_value_and_infinity(
    fmt: str, codes: list[int]
) -> None:
    """From every type that reaches beyond the range, by the codec and the exact reference."""
    found = fp.get_format(fmt)
    for x in (np.float64([1e300, -1e300]), np.longdouble([1e300, -1e300])):
        assert fp.encode(x, fmt, **TO_ODD).tolist() == codes
    if found.bits <= 8:  # the reference lists all values; those of binary16 are asked above
        assert [reference.project(v, found, "ro", "SatNone") for v in (1e300, -1e300)] == codes

"""The reference of operations, against results worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from fp8num.formats import E4M3FN, E5M2, POSIT8, get_format
from fp8num.verify.reference import Datum, Kind
from fp8num.verify.reference.operations import OPERATIONS, compute, convention_of, operate

MODES = ("NearestTiesToEven", "SatNone")


def number(value: Any, *, negative: bool = False) -> Datum:
    return Datum.finite(Fraction(value), negative=negative)


def test_every_operation_has_the_name_it_has_in_ops() -> None:
    from fp8num import ops

    for name in OPERATIONS:
        assert hasattr(ops, name)


@pytest.mark.parametrize(
    ("name", "operands", "value"),
    [
        ("add", (Fraction(1, 3), Fraction(1, 6)), Fraction(1, 2)),
        ("subtract", (1, 3), -2),
        ("multiply", (Fraction(2, 3), -3), -2),
        ("divide", (1, 3), Fraction(1, 3)),
        ("fma", (2, 3, Fraction(1, 7)), Fraction(43, 7)),
        ("faa", (2**300, 1, -(2**300)), 1),
        ("sqrt", (Fraction(9, 4),), Fraction(3, 2)),
        ("rsqrt", (Fraction(9, 4),), Fraction(2, 3)),
        ("reciprocal", (-7,), Fraction(-1, 7)),
        ("minimum", (2, -3), -3),
        ("maximum", (2, -3), 2),
        ("minimum_magnitude", (2, -3), 2),
        ("maximum_magnitude", (2, -3), -3),
    ],
)
def test_numbers(name: str, operands: Any, value: Any) -> None:
    found = operate(name, [number(x) for x in operands])
    if name == "rsqrt":  # a square root of a fraction that is not dyadic, as near as is said
        assert abs(found.value - value) < Fraction(1, 2**1200)
    else:
        assert found == number(value)


def test_irrational_roots_lie_between_all_boundaries() -> None:
    """Within 2**-1200, and neither the number below nor the one above."""
    root = operate("sqrt", [number(2)]).value
    unit = Fraction(1, 2**1200)
    assert (root - unit) ** 2 < 2 < (root + unit) ** 2
    assert root * 2**1201 % 2 == 1


def test_zero_signs() -> None:
    """IEEE 754-2019, 6.3."""
    plus, minus = number(0), number(0, negative=True)
    assert operate("add", [plus, minus]) == plus
    assert operate("add", [plus, minus], rounding="rd") == minus
    assert operate("add", [minus, minus]) == minus
    assert operate("add", [number(1), number(-1)], rounding="rd") == minus
    assert operate("multiply", [minus, number(1)]) == minus
    assert operate("multiply", [minus, number(1)], convention="p3109") == plus
    assert operate("sqrt", [minus]) == minus
    assert operate("minimum", [plus, minus]) == minus
    assert operate("maximum", [minus, plus]) == plus


def test_special_cases_of_both_conventions() -> None:
    infinity, zero, one = Datum.infinite(), number(0), number(1)
    assert operate("divide", [one, zero]) == infinity
    assert operate("divide", [one, zero], convention="p3109").kind is Kind.NAN
    assert operate("divide", [zero, zero]).kind is Kind.NAN
    assert operate("rsqrt", [number(0, negative=True)]) == Datum.infinite(negative=True)
    assert operate("rsqrt", [zero], convention="p3109").kind is Kind.NAN
    assert operate("rsqrt", [infinity]) == zero
    assert operate("rsqrt", [number(-1)]).kind is Kind.NAN
    assert operate("reciprocal", [Datum.infinite(negative=True)]) == number(0, negative=True)
    assert operate("fma", [zero, infinity, one]).kind is Kind.NAN
    assert operate("minimum_finite", [Datum.infinite(negative=True), one]) == one
    assert operate("minimum_number", [Datum.nan(), one]) == one
    assert operate("add", [one, Datum.nan(negative=True)]) == Datum.nan(negative=True)


def test_the_formats_decide_the_convention() -> None:
    assert convention_of(E5M2, E4M3FN) == "ieee"
    assert convention_of(E5M2, get_format("Binary8p3se")) == "p3109"
    assert convention_of(POSIT8) == "p3109"


@pytest.mark.parametrize(
    ("name", "codes", "expected"),
    [
        ("add", (0x38, 0x18), 0x38),  # 1 + 1/16: the tie goes to the even code
        ("add", (0x38, 0x19), 0x39),  # 1 + 9/128
        ("multiply", (0x39, 0x39), 0x3A),  # 1.265625 is nearer to 1.25 than to 1.375
        ("divide", (0x38, 0x3C), 0x33),  # 1 / 1.5 = 0.666...: 0.6875
        ("multiply", (0x7E, 0x7E), 0x7F),  # 448 * 448 overflows
        ("fma", (0x39, 0x39, 0xBA), 0x08),  # 81/64 - 80/64 = 1/64
    ],
)
def test_codes_by_hand(name: str, codes: Any, expected: int) -> None:
    assert compute(name, codes, [E4M3FN] * len(codes), E4M3FN, MODES) == expected


def test_the_result_may_be_of_another_format() -> None:
    wide = get_format("w5m6-ieee")
    assert compute("multiply", (0x39, 0x39), (E4M3FN, E4M3FN), wide, MODES) == 0b0_01111_010001
    assert compute("divide", (0x38, 0x00), (E4M3FN, E4M3FN), E5M2, MODES) == 0x7C
    assert (
        compute("divide", (0x38, 0x00), (E4M3FN, E4M3FN), E5M2, MODES, convention="p3109") == 0x7E
    )

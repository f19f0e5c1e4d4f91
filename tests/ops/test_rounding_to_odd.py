"""What comes before the projection: enclosures, and integers rounded to odd."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np
import pytest

import fp8num as fp
from fp8num.ops import Convention, functions, rules
from fp8num.ops.enclosures import Enclosure, Precision, decimal_of, round_to_odd
from fp8num.ops.execution import Circumstances
from fp8num.ops.numbers import NUMBER, Number, Numbers, numbers_of, shift_right, words_of
from fp8num.verify import reference

ONE = Number(1 << 15, -15)
#: e, and no more than 2**-400 above.
EULER = sum((Fraction(1, factorial(k)) for k in range(100)), Fraction(0))


def value_of(x: Number) -> Fraction:
    return x.magnitude * Fraction(2) ** x.exponent


@pytest.mark.parametrize("digits", [5, 32])
def test_intervals_hold_what_they_enclose(digits: int) -> None:
    """Both ends are off, one on each side."""
    precision = Precision(digits)
    one, three = decimal_of(Fraction(1)), decimal_of(Fraction(3))
    third = precision.divide(one, three)
    squares = precision.multiply(third, third)
    for interval, exact in (
        (third, Fraction(1, 3)),
        (squares, Fraction(1, 9)),
        (precision.add(third, three), Fraction(10, 3)),
        (precision.subtract(three, third), Fraction(8, 3)),
        (precision.exp(one), EULER),
        (precision.exp(precision.ln(three)), Fraction(3)),
    ):
        assert Fraction(interval.low) < exact < Fraction(interval.high)
        assert (interval.high - interval.low) < Decimal(10) ** (4 - digits)


def test_dyadic_numbers_are_written_exactly() -> None:
    for value in (Fraction(3, 2**1100), Fraction(-5, 8), Fraction(2**70)):
        low, high = decimal_of(value)
        assert Fraction(low) == Fraction(high) == value


def test_an_irrational_number_becomes_the_odd_one_beside_it() -> None:
    magnitude, exponent = round_to_odd(lambda precision: precision.exp(decimal_of(Fraction(1))))
    assert magnitude % 2 == 1
    assert 1 << 60 <= magnitude < 1 << 62
    assert abs(EULER - magnitude * Fraction(2) ** exponent) < Fraction(2) ** exponent


def test_an_enclosure_is_narrowed_until_it_decides() -> None:
    """One unit is crossed with 32 and 64 digits, and no more with 128."""
    asked = []
    near = 1 + Fraction(1, 2**300)

    def evaluate(precision: Precision) -> Enclosure:
        asked.append(precision)
        width = Fraction(1, 10 ** (32 * 2 ** (len(asked) - 1)))
        ends = [near - width, near + width]
        return Enclosure(*(Decimal(x.numerator) / Decimal(x.denominator) for x in ends))

    from decimal import localcontext

    with localcontext() as context:
        context.prec = 400
        magnitude, exponent = round_to_odd(evaluate)
    assert len(asked) == 3
    assert 0 < magnitude * Fraction(2) ** exponent - 1 < Fraction(1, 2**59)


@pytest.mark.parametrize(
    ("function", "check"),
    [
        (functions.sqrt, lambda x, y: (x * x, y)),
        (functions.rsqrt, lambda x, y: (1 / (x * x), y)),
        (functions.reciprocal, lambda x, y: (1 / x, y)),
    ],
)
def test_roots_are_odd_where_they_are_inexact(function: Any, check: Any) -> None:
    """Strictly between the even integers beside; exact ones are exact."""
    for magnitude in (0x8000, 0x9000, 0xA001, 0xC000, 0xFFFF):
        for exponent in (-30, -17, -16, -15, 40):
            x = Number(magnitude, exponent)
            found = function(x, Convention.IEEE)
            same, wanted = check(value_of(found), value_of(x))
            if same == wanted:
                continue
            assert found.magnitude % 2 == 1
            unit = Fraction(2) ** found.exponent
            ends = sorted(check(value_of(found) + s * unit, 0)[0] for s in (1, -1))
            assert ends[0] < wanted < ends[1]


def test_quotients_are_odd_where_they_are_inexact() -> None:
    """Of divisors that go into a power of two but for a remainder of 1, and of others."""
    divisors = [0x8001, 0x8003, 0xFFFF, 0xFFFE, 0xC000, 0x8000, 0xB6DB]
    above, below = np.meshgrid(np.arange(0x8000, 0x10000, 97), divisors)
    x, y = (
        Numbers(
            magnitude.ravel(),
            np.zeros(magnitude.size, np.int64),
            np.full(magnitude.size, NUMBER, np.uint8),
            np.zeros(magnitude.size, np.bool_),
        )
        for magnitude in (above, below)
    )

    found = rules.quotient(Circumstances(Convention.IEEE, downward=False), x, y)

    for a, b, magnitude, exponent in zip(
        *(array.tolist() for array in (x.magnitude, y.magnitude, found.magnitude, found.exponent)),
        strict=True,
    ):
        exact = Fraction(a, b) / Fraction(2) ** exponent
        assert magnitude == exact or (magnitude % 2 == 1 and abs(magnitude - exact) < 1)


def test_shifting_right_rounds_to_odd() -> None:
    """Of all 6-bit integers of both signs, by every count."""
    integers, count = np.meshgrid(np.arange(-64, 65), np.arange(9))

    shifted = shift_right(integers, count)

    exact = integers / 2.0**count
    wanted = np.where(exact == np.floor(exact), exact, 2 * np.floor(exact / 2) + 1)
    np.testing.assert_array_equal(shifted, wanted)


@pytest.mark.parametrize("exponent", [-1200, -1135, -1100, -1074, -30, 0, 900, 962, 963, 1000])
def test_words_are_rounded_to_odd(exponent: int) -> None:
    """Exact, or odd and next to the number; what is beyond float64 is told."""
    magnitudes = [1, 2, 3, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, (1 << 61) - 1, (1 << 62) - 1]
    numbers = Numbers(
        np.array(magnitudes, np.int64),
        np.full(len(magnitudes), exponent),
        np.full(len(magnitudes), NUMBER, np.uint8),
        np.zeros(len(magnitudes), np.bool_),
    )

    words, huge = words_of(numbers)

    for magnitude, word, beyond in zip(magnitudes, words.tolist(), huge.tolist(), strict=True):
        exact = magnitude * Fraction(2) ** exponent
        assert beyond == (exact >= 2**1024)
        value = Fraction(float(np.uint64(word).view(np.float64)))
        assert value == exact or word % 2 == 1
        above = float(np.uint64(word + 1).view(np.float64))
        below = float(np.uint64(max(word, 1) - 1).view(np.float64))
        assert below < exact or value == exact
        assert np.isinf(above) or exact < Fraction(above)


@pytest.mark.parametrize("name", ["E4M3FN", "E8M0FNU", "POSIT8", "Binary8p3se", "BFLOAT16"])
def test_codes_are_taken_apart_exactly(name: str) -> None:
    """Against the reference, for all codes (a tenth of 16 bits)."""
    fmt = fp.get_format(name)
    numbers = numbers_of(fmt)
    for code in range(0, 1 << fmt.bits, 1 if fmt.bits <= 8 else 11):
        datum = reference.decode(code, fmt)
        assert bool(numbers.is_nan[code]) == (datum.kind is reference.Kind.NAN)
        assert bool(numbers.is_infinite[code]) == (datum.kind is reference.Kind.INFINITE)
        assert bool(numbers.negative[code]) == datum.negative
        if datum.is_finite and datum.value:
            found = Number(int(numbers.magnitude[code]), int(numbers.exponent[code]))
            assert value_of(found) == abs(datum.value)
            assert found.magnitude.bit_length() == 16

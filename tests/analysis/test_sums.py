"""Sums of products at the ends of float64's range, and functions of exact numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from fp8num.analysis.sums import Shifted, decibels, dot, root


@pytest.mark.parametrize("power", [-1074, -1022, -540, -301, -300, 0, 300, 301, 600, 1023])
def test_sums_of_squares_are_exact_at_every_size(power: int) -> None:
    """One, two and three times a power of two: their squares add up to 14."""
    values = np.ldexp([1.0, 2.0, 3.0] if power < 1022 else [0.25, 0.5, 0.75], power)
    scaled = Shifted(values).normalize(float(values.max()))

    expected = sum(Fraction(float(value)) ** 2 for value in values)
    assert dot(scaled, scaled) == expected


def test_numbers_already_in_units_keep_them() -> None:
    """Normalising counts the exponent that was there."""
    scaled = Shifted(np.array([2.0**500]), 8).normalize(2.0**500)

    assert dot(scaled, scaled) == Fraction(2) ** 1016


def test_products_of_large_and_small() -> None:
    """Operands are brought into range each for itself."""
    large, small = Shifted(np.array([1e300])), Shifted(np.array([-1e-300]))
    found = dot(large.normalize(1e300), small.normalize(1e-300))

    assert float(found) == pytest.approx(-1.0, rel=1e-15)


@pytest.mark.parametrize("exponent", [-1500, -800, -1, 0, 3, 900, 1500])
def test_roots_and_decibels_of_any_size(exponent: int) -> None:
    """The argument may be far outside float64."""
    value = Fraction(9) * Fraction(2) ** (2 * exponent)

    expected = 10 * (math.log10(9) + 2 * exponent * math.log10(2))
    assert decibels(value) == pytest.approx(expected, rel=1e-14)
    if abs(exponent) < 1000:
        assert root(value) == math.ldexp(3.0, exponent)


def test_roots_that_float64_cannot_hold() -> None:
    """Too large gives infinity, too small zero."""
    huge = Fraction(2) ** 3000

    assert (root(huge), root(1 / huge), root(Fraction(0))) == (math.inf, 0.0, 0.0)

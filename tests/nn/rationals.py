"""
Products of float32 from rational arithmetic: slow, and with nothing of the code under test.

::

    float32 --> Fraction --> exact sum --by integers--> the nearest float32, ties to even
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def nearest_float32(x: Fraction) -> np.float32:
    """Return the nearest float32, ties to even, by integers alone."""
    if x == 0:
        return np.float32(0)
    sign, x = (-1, -x) if x < 0 else (1, x)
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    if Fraction(2) ** exponent > x:
        exponent -= 1
    place = max(exponent, -126) - 23
    whole = round(x / Fraction(2) ** place)  # to even
    if whole * Fraction(2) ** place >= Fraction(2) ** 128:
        return np.float32(sign * math.inf)
    return np.float32(sign * math.ldexp(whole, place))


def exact(a: Array, b: Array) -> Array:
    """Return the product from rational arithmetic."""
    rows = [[Fraction(float(x)) for x in row] for row in a]
    columns = [[Fraction(float(x)) for x in column] for column in b.T]
    found = [
        [
            nearest_float32(sum(map(Fraction.__mul__, row, column), Fraction(0)))
            for column in columns
        ]
        for row in rows
    ]
    return np.array(found, np.float32).reshape(len(a), b.shape[1])


def assert_same_bits(ours: Array, theirs: Array) -> None:
    """Compare float32 by their bits."""
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))

"""Expected values from exact rationals, and helpers that compare metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.analysis import Distribution, ErrorMetrics

COUNTS = ("size", "finite", "nonzero", "underflow", "saturated", "pairs", "codes_used")


@dataclass(frozen=True)
class Expected:
    """What the definitions give for elements and results, element by element."""

    pairs: list[tuple[int, float, float, float]]  #: position, x, q, e = q - x

    def total(self, left: str, right: str) -> Fraction:
        """Sum products of two of x, q and e exactly."""
        column = {"x": 1, "q": 2, "e": 3}
        return sum(
            (Fraction(pair[column[left]]) * Fraction(pair[column[right]]) for pair in self.pairs),
            Fraction(0),
        )

    @property
    def cosine_distance(self) -> float:
        """One minus the cosine of x and q, from 100 digits of the square root."""
        xx, qq, xq = self.total("x", "x"), self.total("q", "q"), self.total("x", "q")
        return float(1 - xq / _root(xx * qq))

    @property
    def max_abs(self) -> tuple[float, int]:
        """The largest error and the first position that has it."""
        return max(
            ((abs(e), i) for i, _, _, e in self.pairs), key=lambda found: (found[0], -found[1])
        )

    @property
    def max_rel(self) -> tuple[float, int]:
        """The largest error relative to x and the first position that has it."""
        ratios = [(abs(e) / abs(x), i) for i, x, _, e in self.pairs if x]
        return max(ratios, key=lambda found: (found[0], -found[1]))


def _root(value: Fraction) -> Fraction:
    """Return the square root to 100 digits relative."""
    shift = 4 ** (340 + value.denominator.bit_length())
    return Fraction(math.isqrt(value.numerator * shift // value.denominator), math.isqrt(shift))


@pytest.fixture(scope="session")
def expect() -> Callable[[npt.ArrayLike, npt.ArrayLike], Expected]:
    """Return what the definitions give for elements and results."""

    def expected(x: npt.ArrayLike, q: npt.ArrayLike) -> Expected:
        elements = np.asarray(x, np.float64).reshape(-1).tolist()
        results = np.asarray(q, np.float64).reshape(-1).tolist()
        both = enumerate(zip(elements, results, strict=True))
        return Expected(
            [(i, a, b, b - a) for i, (a, b) in both if math.isfinite(a) and math.isfinite(b)]
        )

    return expected


@pytest.fixture(scope="session")
def assert_same_metrics() -> Callable[[ErrorMetrics, ErrorMetrics], None]:
    """Compare metrics: counts and largest errors exactly, sums to 1e-12 of what was summed."""

    def compare(a: ErrorMetrics, b: ErrorMetrics) -> None:
        for name in (*COUNTS, "codes_total", "max_abs", "max_rel"):
            np.testing.assert_equal(getattr(a, name), getattr(b, name), err_msg=name)
        for left, right in ("xx", "xe", "ee", "xq", "qq"):
            size_2 = getattr(a, 2 * left) * getattr(a, 2 * right)  # Cauchy and Schwarz
            difference = getattr(a, left + right) - getattr(b, left + right)
            assert difference**2 <= Fraction(1e-24) * size_2, left + right
        assert (a.binades.start, len(a.binades.count)) == (b.binades.start, len(b.binades.count))
        np.testing.assert_array_equal(a.binades.count, b.binades.count)
        np.testing.assert_array_equal(a.binades.maximum, b.binades.maximum)
        np.testing.assert_allclose(a.binades.rms, b.binades.rms, rtol=1e-12)

    return compare


@pytest.fixture(scope="session")
def assert_same_distribution() -> Callable[[Distribution, Distribution], None]:
    """Compare distributions exactly."""

    def compare(a: Distribution, b: Distribution) -> None:
        for name in ("size", "zeros", "nans", "infinities", "amax", "amin", "binades"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)

    return compare

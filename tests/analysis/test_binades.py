"""Relative errors by binade."""

from __future__ import annotations

import numpy as np

from fp8num.analysis import BinadeErrors


def summarize(errors: dict[int, list[float]]) -> BinadeErrors:
    """Summarise errors given by exponent, of magnitudes in no order."""
    pairs = [
        (error, 1.5 * 2.0**exponent if exponent > -1074 else 5e-324)
        for exponent, some in errors.items()
        for error in some
    ]
    shuffled = pairs[1::2] + pairs[::2]
    return BinadeErrors.of(
        np.array([error for error, _ in shuffled], np.float64),
        np.array([magnitude for _, magnitude in shuffled], np.float64),
    )


def assert_binades(
    found: BinadeErrors,
    start: int,
    count: list[int],
    rms: list[float],
    maximum: list[float],
) -> None:
    """Compare all of a summary."""
    assert found.start == start
    np.testing.assert_array_equal(found.count, count)
    np.testing.assert_allclose(found.rms, rms, rtol=1e-15)
    np.testing.assert_array_equal(found.maximum, maximum)


def test_each_binade_has_its_own_errors() -> None:
    """Binades between that have no elements are counted 0."""
    found = summarize({-2: [0.03, 0.04], 1: [0.5]})

    assert_binades(
        found, -2, [2, 0, 0, 1], [np.sqrt((9e-4 + 16e-4) / 2), 0, 0, 0.5], [0.04, 0, 0, 0.5]
    )
    np.testing.assert_array_equal(found.exponents, [-2, -1, 0, 1])


def test_merging_joins_the_ranges() -> None:
    """Means are weighted by the counts."""
    found = summarize({0: [0.3, 0.3, 0.3], 1: [0.1]}).merge(summarize({-1: [0.2], 0: [0.5]}))

    assert_binades(
        found, -1, [1, 4, 1], [0.2, np.sqrt((3 * 0.09 + 0.25) / 4), 0.1], [0.2, 0.5, 0.1]
    )


def test_nothing_is_neutral() -> None:
    """On either side, and merged with itself."""
    nothing, some = summarize({}), summarize({3: [0.25]})

    assert_binades(some.merge(nothing), 3, [1], [0.25], [0.25])
    assert_binades(nothing.merge(some), 3, [1], [0.25], [0.25])
    assert len(nothing.merge(nothing).count) == 0


def test_squares_of_huge_errors_do_not_overflow() -> None:
    """Relative errors of 1e300 occur where the element is near zero and the result is not."""
    found = summarize({-1074: [3e300, 4e300], 0: [0.25, 0.25]})
    expected = np.zeros(1075)
    expected[[0, -1]] = np.sqrt(12.5) * 1e300, 0.25

    np.testing.assert_allclose(found.rms, expected, rtol=1e-15)
    np.testing.assert_allclose(found.merge(found).rms, expected, rtol=1e-15)


def test_the_largest_errors_that_are_counted_stay_finite() -> None:
    """Rounding up a mean of errors of 2**1023 does not overflow."""
    found = summarize({0: [2.0**1023] * 7})

    np.testing.assert_allclose(found.merge(found).rms, 2.0**1023, rtol=1e-15)

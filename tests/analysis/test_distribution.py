"""Distributions count what a tensor holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fp8num.analysis import BINADES, LOWEST_EXPONENT, Distribution

if TYPE_CHECKING:
    from collections.abc import Callable

anything = st.floats() | st.floats(-1e-307, 1e-307) | st.sampled_from([0.0, -0.0])


def binade(exponent: int) -> npt.NDArray[np.int64]:
    """Return the counts of one number with an exponent."""
    counts = np.zeros(2098, np.int64)
    counts[exponent + 1074] = 1
    return counts


def test_every_kind_of_element_is_counted() -> None:
    """Zeros of both signs, NaNs of both signs, infinities of both signs, numbers."""
    x = [0.0, -0.0, np.nan, -np.nan, np.nan, np.inf, -np.inf, 1.0, -6.0]

    found = Distribution.of(np.array(x, np.float32))

    assert (found.size, found.zeros, found.nans, found.infinities) == (9, 2, 3, 2)
    assert (found.amax, found.amin, found.nonzero, found.finite) == (6.0, 1.0, 2, 4)
    np.testing.assert_array_equal(found.binades, binade(0) + binade(2))
    assert found.exponents == range(3)


@pytest.mark.parametrize(
    "x", [[], [[]], [0.0], [np.nan, np.inf], 0.0], ids=["empty", "2-D", "zero", "specials", "0-d"]
)
def test_without_numbers_there_is_no_smallest_one(x: npt.ArrayLike) -> None:
    """The largest magnitude is then 0, the smallest NaN."""
    found = Distribution.of(x)

    assert found.amax == 0.0
    assert math.isnan(found.amin)
    assert found.binades.sum() == 0
    assert found.exponents == range(0)


@pytest.mark.parametrize(
    ("x", "exponent"),
    [
        (5e-324, -1074),
        (2.0**-1073, -1073),
        (np.nextafter(2.0**-1022, 0), -1023),
        (2.0**-1022, -1022),
        (np.nextafter(2.0, 0), 0),
        (2.0, 1),
        (1.7976931348623157e308, 1023),
        (np.float32(1e-45), -149),
        (np.nextafter(np.float32(2.0**-126), np.float32(0)), -127),
        (np.float16(6e-8), -24),
        (ml_dtypes.bfloat16(9.2e-41), -133),
        (np.int8(-128), 7),
        (np.uint64(2**64 - 1), 63),
        (-(2**63), 63),
        (3, 1),
    ],
)
def test_the_binade_is_the_exponent(x: npt.ArrayLike, exponent: int) -> None:
    """Subnormal numbers too, of every type."""
    np.testing.assert_array_equal(Distribution.of(x).binades, binade(exponent))


def test_a_longdouble_beyond_float64_is_a_number() -> None:
    """It counts in the highest binade, not as an infinity."""
    if np.finfo(np.longdouble).maxexp <= 1024:
        pytest.skip("longdouble is float64 here")

    found = Distribution.of(np.ldexp(np.longdouble(1), 2000))

    assert (found.infinities, found.amax) == (0, np.finfo(np.float64).max)


@given(st.lists(anything, max_size=50))
def test_the_distribution_follows_its_definition(x: list[float]) -> None:
    """Compared with a loop over Python floats."""
    found = Distribution.of(np.array(x, np.float64))

    numbers = [abs(value) for value in x if math.isfinite(value) and value != 0]
    counts = np.zeros(BINADES, np.int64)
    for number in numbers:
        counts[math.frexp(number)[1] - 1 - LOWEST_EXPONENT] += 1
    np.testing.assert_array_equal(found.binades, counts)
    assert found.amax == max(numbers, default=0.0)
    np.testing.assert_equal(found.amin, min(numbers, default=math.nan))
    assert found.nans == sum(math.isnan(value) for value in x)
    assert found.infinities == sum(math.isinf(value) for value in x)
    assert found.zeros == len(x) - len(numbers) - found.nans - found.infinities


@given(st.lists(st.lists(anything, max_size=9), min_size=1, max_size=5))
def test_merging_parts_gives_the_whole(
    assert_same_distribution: Callable[..., None], parts: list[list[float]]
) -> None:
    """Exactly, in any order and grouping."""
    found = [Distribution.of(np.array(part)) for part in parts]

    from_left, from_right = found[0], found[-1]
    for part in found[1:]:
        from_left = from_left.merge(part)
    for part in found[-2::-1]:
        from_right += part

    whole = Distribution.of(np.array([value for part in parts for value in part]))
    assert_same_distribution(from_left, whole)
    assert_same_distribution(from_right, whole)


def test_comparing_distributions_can_fail(assert_same_distribution: Callable[..., None]) -> None:
    """The helper notices a number that moved to another binade."""
    with pytest.raises(AssertionError):
        assert_same_distribution(Distribution.of([1.0, 1.5, 4.0]), Distribution.of([1.0, 2.0, 4.0]))


def test_counts_cannot_be_written_to() -> None:
    """A frozen record is frozen to its arrays."""
    with pytest.raises(ValueError, match="read-only"):
        Distribution.of([1.0]).binades[0] = 1


@pytest.mark.parametrize("x", [np.array([1j]), np.array(["1"]), np.array([True])])
def test_what_is_not_real_is_refused(x: npt.NDArray[np.generic]) -> None:
    """As by encode."""
    with pytest.raises(TypeError, match="x must hold real floating-point or integer values"):
        Distribution.of(x)

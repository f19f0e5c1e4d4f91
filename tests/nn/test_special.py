"""The functions that NumPy lacks, against the C library's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fp8num.nn.special import normal_cdf, normal_density, sigmoid


def test_the_normal_distribution_function_is_the_complementary_error_function() -> None:
    """To 4e-16, over its whole range, closely around where the formula changes."""
    change = math.pi * 16 / 7 * math.sqrt(2)
    beside = np.concatenate([np.linspace(-1e-3, 1e-3, 201) + at for at in (0.0, -change, change)])
    x = np.concatenate([np.linspace(-40, 40, 16_001), beside, [-0.0, 1e-300, -1e-300]])

    expected = np.array([math.erfc(-one / math.sqrt(2)) / 2 for one in x])

    np.testing.assert_allclose(normal_cdf(x), expected, rtol=0, atol=4e-16)


def test_the_lower_tail_is_accurate_relatively() -> None:
    """To a few units of x^2 / 2 in the last place of its exponential."""
    x = np.linspace(-37, -0.5, 5_001)

    expected = np.array([math.erfc(-one / math.sqrt(2)) / 2 for one in x])

    error = np.abs(normal_cdf(x) - expected) / expected
    assert (error <= 4 * 2.0**-53 * np.maximum(1, x * x / 2) + 4 * 2.0**-53).all()


def test_blocks_do_not_show() -> None:
    """Any shape, also 0-d and empty, is the same as element by element, whatever is beside it."""
    x = np.random.default_rng(0).standard_normal((3, 7001))
    found = normal_cdf(x)
    np.testing.assert_array_equal(
        found, np.concatenate([normal_cdf(x[:, :10]), normal_cdf(x[:, 10:])], 1)
    )
    assert found[1, 2] == normal_cdf(np.array(x[1, 2]))
    assert normal_cdf(np.zeros((0, 2))).shape == (0, 2)
    assert normal_cdf(np.float32(x)).dtype == np.float64


def test_functions_at_infinity_and_nan() -> None:
    """Limits, without a warning but what NumPy's own functions give."""
    x = np.array([-np.inf, np.inf, np.nan])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(normal_cdf(x), [0, 1, np.nan])
        np.testing.assert_array_equal(normal_density(x), [0, 0, np.nan])
        np.testing.assert_array_equal(sigmoid(x), [0, 1, np.nan])


def test_the_density_is_the_normal_one() -> None:
    x = np.linspace(-9, 9, 101)
    expected = [math.exp(-one * one / 2) / math.sqrt(2 * math.pi) for one in x]
    np.testing.assert_allclose(normal_density(x), expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_logistic_function_is_accurate_in_both_tails(dtype: type[np.floating]) -> None:
    """Relatively to a few units in the last place: where tanh would give 0, too."""
    x = np.linspace(-80, 80, 1_601).astype(dtype)

    expected = [math.exp(one) / (1 + math.exp(one)) for one in x.tolist()]

    found = sigmoid(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=4 * float(np.finfo(dtype).eps))

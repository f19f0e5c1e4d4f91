"""What formats are compared with."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fp8num.analysis.blocks import Block

SPECIALS = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 65504.0, 6e-8, -6.1e-5]


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "g", ">f4", ">f8", ml_dtypes.bfloat16, "i1", "u2", "i4", "i8", "u8"]
)
def test_elements_become_float64_unchanged(dtype: npt.DTypeLike) -> None:
    """Of every type, any strides and byte order; signs of zeros are kept."""
    kind = np.dtype(dtype).kind
    x = np.array([3, 0, 100] if kind in "iu" else SPECIALS).astype(dtype)
    x = np.stack([x, x])[:, ::-1]

    block = Block(x)

    expected = x.astype(np.float64).reshape(-1)
    np.testing.assert_array_equal(block.values, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(block.values)[numbers], np.signbit(expected)[numbers])


def test_float32_subnormals_are_exact() -> None:
    """They are widened by their bits where the processor takes them for zero."""
    words = np.array([1, 2, 0x80000001, 0x7FFFFF, 0x800000], np.uint32)

    values = Block(words.view(np.float32)).values

    expected = [2.0**-149, 2.0**-148, -(2.0**-149), 2.0**-126 - 2.0**-149, 2.0**-126]
    np.testing.assert_array_equal(values, expected)


def test_integers_that_float64_cannot_hold_keep_their_side_of_a_midpoint() -> None:
    """2**60 + 1 is above the midpoint 2**60, and stays so."""
    above, below = Block(np.array([2**60 + 1, 2**60 - 1], np.int64)).values

    assert above > 2.0**60 > below


@given(st.lists(st.floats(width=32), max_size=40))
def test_what_formats_have_in_common_is_right(x: list[float]) -> None:
    """Zeros stand in for what is not finite; a zero is divided by infinity."""
    array = np.array(x, np.float32)
    block = Block(array)

    finite = np.isfinite(array)
    clean = np.where(finite, array.astype(np.float64), 0.0)
    assert block.finite == finite.sum()
    assert (block.is_finite is None) == finite.all()
    np.testing.assert_array_equal(block.x, clean)
    assert block.zeros == (clean == 0).sum()
    np.testing.assert_array_equal(block.divisors, np.where(clean == 0, np.inf, clean))
    assert block.sum_of_squares == pytest.approx(float(sum(Fraction(v) ** 2 for v in clean)))

"""Blocks sorted by binade."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fp8num.analysis.blocks import Block, as_float64

SPECIALS = [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 65504.0, 6e-8, -6.1e-5]


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "g", ">f4", ">f8", ml_dtypes.bfloat16, "i1", "u2", "i4", "i8", "u8"]
)
def test_elements_become_float64_unchanged(dtype: npt.DTypeLike) -> None:
    """Of every type, any strides and byte order; signs of zeros are kept."""
    kind = np.dtype(dtype).kind
    x = np.array([3, 0, 100] if kind in "iu" else SPECIALS).astype(dtype)
    x = np.stack([x, x])[:, ::-1]

    native, values = as_float64(x)

    expected = x.astype(np.float64).reshape(-1)
    np.testing.assert_array_equal(values, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(values)[numbers], np.signbit(expected)[numbers])
    np.testing.assert_array_equal(native.astype(np.float64), expected)
    wide = np.dtype(dtype).kind in "iu" or np.dtype(dtype).itemsize >= 8
    assert native.dtype == (np.float64 if wide else x.dtype.newbyteorder("="))


def test_float32_subnormals_are_exact() -> None:
    """They are widened in integers."""
    words = np.array([1, 2, 0x7FFFFF, 0x80000001, 0x800000], np.uint32)

    _, values = as_float64(words.view(np.float32))

    expected = [2.0**-149, 2.0**-148, 2.0**-126 - 2.0**-149, -(2.0**-149), 2.0**-126]
    np.testing.assert_array_equal(values, expected)


def test_integers_that_float64_cannot_hold_keep_their_side_of_a_midpoint() -> None:
    """2**60 + 1 is above the midpoint 2**60, and stays so."""
    _, values = as_float64(np.array([2**60 + 1, 2**60 - 1], np.int64))

    assert values[0] > 2.0**60 > values[1]


@given(st.lists(st.floats(width=32), max_size=40))
def test_a_block_is_a_stable_sort_by_binade(x: list[float]) -> None:
    """Zeros, binades upwards, infinities, NaNs; within each, the order of the input."""
    array = np.array(x, np.float32)
    block = Block.of(array)

    kinds = np.select([np.isnan(array), np.isinf(array), array == 0], [3, 2, 0], 1)
    exponents = np.where(kinds == 1, np.frexp(array.astype(np.float64))[1], 0)
    order = np.lexsort([exponents, kinds])
    np.testing.assert_array_equal(block.order, order)
    np.testing.assert_array_equal(block.values, array[order])
    np.testing.assert_array_equal(block.native, array[order])
    assert block.zeros == (kinds == 0).sum()
    assert block.finite == (kinds <= 1).sum()
    binades, counts = np.unique(exponents[kinds == 1] - 1, return_counts=True)
    np.testing.assert_array_equal(block.exponents, binades)
    np.testing.assert_array_equal(block.starts, np.cumsum(counts) - counts)
    assert block.amax == np.max(np.abs(array[kinds <= 1]), initial=0.0)


def test_products_are_rounded_to_the_elements_type() -> None:
    """float32 for narrower types, as kernels compute; nothing is lost to an overflow warning."""
    x = np.array([1.1, -3.3, 0.0, np.nan, np.inf, 3e38], np.float32)
    block = Block.of(x)
    with np.errstate(over="ignore"):
        product = block.times(149.33333)
        expected = (x.astype(np.float64) * 149.33333).astype(np.float32)[block.order]

    assert product.dtype == np.float32
    np.testing.assert_array_equal(product, expected)
    wide = Block.of(x.astype(np.float64)).times(149.33333)
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide, x.astype(np.float64)[block.order] * 149.33333)


def test_times_one_is_the_element() -> None:
    """Without a change of type."""
    assert Block.of(np.ones(3, np.float16)).times(1.0).dtype == np.float16


def test_half_precision_is_multiplied_in_float32() -> None:
    """Products of float16 elements may exceed float16's range."""
    product = Block.of(np.array([60000.0], np.float16)).times(16.0)

    assert product.dtype == np.float32
    assert product[0] == 960000.0

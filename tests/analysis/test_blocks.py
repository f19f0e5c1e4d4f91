"""Blocks sorted by binade."""

from __future__ import annotations

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

    block = Block.of(x)

    expected = x.astype(np.float64).reshape(-1)[block.order]
    np.testing.assert_array_equal(block.values, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(block.values)[numbers], np.signbit(expected)[numbers])


def test_float32_subnormals_are_exact() -> None:
    """They are widened by their bits where the processor takes them for zero."""
    words = np.array([1, 2, 0x80000001, 0x7FFFFF, 0x800000], np.uint32)

    values = Block.of(words.view(np.float32)).values

    expected = [2.0**-149, -(2.0**-149), 2.0**-148, 2.0**-126 - 2.0**-149, 2.0**-126]
    np.testing.assert_array_equal(values, expected)


def test_integers_that_float64_cannot_hold_keep_their_side_of_a_midpoint() -> None:
    """2**60 + 1 is above the midpoint 2**60, and stays so."""
    below, above = Block.of(np.array([2**60 + 1, 2**60 - 1], np.int64)).values

    assert above > 2.0**60 > below


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
    assert block.zeros == (kinds == 0).sum()
    assert block.finite == (kinds <= 1).sum()
    binades, counts = np.unique(exponents[kinds == 1] - 1, return_counts=True)
    np.testing.assert_array_equal(block.exponents, binades)
    np.testing.assert_array_equal(block.starts, np.cumsum(counts) - counts)
    assert block.amax == np.max(np.abs(array[kinds <= 1]), initial=0.0)

"""A row's error against a definition in rational numbers, element by element."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fp8num as fp
from fp8num.analysis import analyze_tensor
from fp8num.analysis.excess import RowErrors
from fp8num.inputs import tensor_from_array


def defined(x: list[float], q: list[float]) -> float:
    """Compute a row's error as its definition says, in rationals but for the roots."""
    blocks = []
    for start in range(0, len(x), 32):
        pairs = [
            (Fraction(a), Fraction(b) - Fraction(a))
            for a, b in zip(x[start : start + 32], q[start : start + 32], strict=True)
        ]
        largest = max(range(len(pairs)), key=lambda i: abs(pairs[i][0]))
        rest = [pair for i, pair in enumerate(pairs) if i != largest]
        if not any(a for a, _ in rest):
            rest = pairs
        norm2 = sum(a * a for a, _ in rest)
        if norm2:
            blocks.append((norm2, sum(e * e for _, e in rest)))
    if not blocks:
        return math.nan
    norms = sorted(math.sqrt(norm2) for norm2, _ in blocks)
    middle = (norms[(len(norms) - 1) // 2] + norms[len(norms) // 2]) / 2
    counted = [error2 / norm2 for norm2, error2 in blocks if math.sqrt(norm2) >= 1e-3 * middle]
    return math.sqrt(sum(counted) / len(counted))


rows = st.lists(
    st.tuples(
        st.floats(1e-9, 1e6) | st.floats(-1e6, -1e-9) | st.sampled_from([0.0, 1e5, -1e-5, 1e12]),
        st.floats(-0.1, 0.1),
    ),
    min_size=1,
    max_size=100,
)


@given(rows)
def test_a_rows_error_is_what_its_definition_says(row: list[tuple[float, float]]) -> None:
    x = [a for a, _ in row]
    q = [a * (1 + relative) for a, relative in row]

    found = RowErrors.of(np.array([x]), np.array([q]))

    np.testing.assert_allclose(found.relative[0], defined(x, q), rtol=1e-12)
    np.testing.assert_allclose(
        found.norms[0], math.sqrt(sum(Fraction(a) ** 2 for a in x)), rtol=1e-12
    )


def test_an_outlier_does_not_hide_what_it_does_to_its_neighbours() -> None:
    """The row's own norm would say 10**-5."""
    x = np.ones((1, 64))
    x[0, 3] = 1e6
    flushed = np.where(x == 1, 0.0, x)

    assert RowErrors.of(x, flushed).relative[0] == 1.0


def test_damage_in_few_blocks_counts() -> None:
    """A median over blocks would say 0."""
    x = np.ones((1, 320))
    made = x.copy()
    made[0, :32] = 0

    np.testing.assert_allclose(RowErrors.of(x, made).relative[0], math.sqrt(1 / 10))


def test_blocks_that_nobody_would_miss_are_left_out() -> None:
    x = np.ones((1, 320))
    x[0, :32] = 1e-4
    made = x.copy()
    made[0, :32] = 0

    assert RowErrors.of(x, made).relative[0] == 0.0


def test_an_element_that_is_alone_in_its_block_counts() -> None:
    x = np.zeros((1, 64))
    x[0, [0, 40]] = 3.0

    assert RowErrors.of(x, np.zeros((1, 64))).relative[0] == 1.0


def test_a_row_of_zeros_has_no_error() -> None:
    found = RowErrors.of(np.zeros((2, 5)), np.zeros((2, 5)))

    assert np.isnan(found.relative).all()
    assert (found.norms == 0).all()


@pytest.mark.parametrize("scale", [1e-300, 1e300, 5e-324])
def test_squares_neither_overflow_nor_vanish(scale: float) -> None:
    x = np.full((1, 32), 8.0) * scale
    made = x * 2

    assert RowErrors.of(x, made).relative[0] == 1.0


def test_elements_that_are_not_finite_count_as_zero_and_lost_results_as_lost() -> None:
    x = np.ones((1, 32))
    x[0, 0] = np.nan
    made = np.ones((1, 32))
    made[0, 1:] = np.inf

    assert RowErrors.of(x, made).relative[0] == 1.0


def test_parts_merge_to_the_whole() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((7, 70))
    made = np.round(x, 1)
    whole = RowErrors.of(x, made)

    parts = RowErrors.of(x[:3], made[:3]) + RowErrors.of(x[3:], made[3:])

    np.testing.assert_array_equal(parts.relative, whole.relative)
    np.testing.assert_array_equal(parts.norms, whole.norms)


@pytest.mark.parametrize("rule", ["unit", "row", "block-128x128"])
def test_narrow_numbers_measure_what_they_do_in_float64(rule: str) -> None:
    """Largest elements, exponents and codes are found faster for them; ties, zeros and all."""
    x = np.random.default_rng(0).standard_normal((260, 1024)).astype(np.float32)
    x[:64] = np.round(4 * x[:64]) / 4  # many of a block are the largest
    x[70] = 0
    x[71, ::2] = 1e-42
    x[72, 5] = -3e38

    narrow, wide = (
        analyze_tensor(tensor_from_array("x", array), "E4M3FN", rule)
        for array in (x, x.astype(np.float64))
    )
    (one,), (other,) = narrow.results, wide.results

    np.testing.assert_array_equal(narrow.distribution.binades, wide.distribution.binades)
    assert one.rows is not None
    assert other.rows is not None
    np.testing.assert_array_equal(one.rows.relative, other.rows.relative)
    np.testing.assert_array_equal(one.rows.norms, other.rows.norms)
    codes = fp.scale_quantize(x, rule, fmt="E4M3FN").codes
    np.testing.assert_array_equal(
        one.metrics.code_counts, np.bincount(codes.reshape(-1), minlength=256)
    )
    assert (one.metrics.xx, one.metrics.ee) == (other.metrics.xx, other.metrics.ee)

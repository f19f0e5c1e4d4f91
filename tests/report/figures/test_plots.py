"""Ticks are round, and names beside lines do not cover each other."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fp8num.report.figures.plots import decade_ticks, round_ticks, spread


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0, 460, 7, [0, 100, 200, 300, 400]),
        (-0.8, 0.6, 9, [-0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6]),
        (-0.0005, 0.0046, 6, [0, 0.001, 0.002, 0.003, 0.004]),
        (99.5, 100.5, 3, [99.5, 100, 100.5]),
    ],
)
def test_ticks_are_the_round_numbers_within(
    low: float, high: float, most: int, ticks: list[float]
) -> None:
    assert round_ticks(low, high, most) == ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 12))
def test_there_are_never_more_ticks_than_fit(low: float, size: float, most: int) -> None:
    found = round_ticks(low, low + size, most)

    assert len(found) <= most
    assert all(low - 1e-3 * size <= tick <= low + 1.001 * size for tick in found)


def test_a_logarithmic_axis_has_one_two_and_five() -> None:
    found = [round(10**tick, 9) for tick in decade_ticks(math.log10(0.019), math.log10(2.3))]

    assert found == [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
    assert [10**tick for tick in decade_ticks(-4.5, 1.5)] == [1e-4, 1e-3, 1e-2, 0.1, 1, 10]


@given(st.lists(st.floats(0, 200), max_size=8), st.floats(1, 20))
def test_names_do_not_cover_each_other_and_keep_their_order(
    places: list[float], apart: float
) -> None:
    found = spread(places, apart, 0, 200)

    ordered = sorted(found)
    assert all(b - a >= apart - 1e-9 for a, b in pairwise(ordered))
    assert all(
        first <= second
        for a, first in zip(places, found, strict=True)
        for b, second in zip(places, found, strict=True)
        if a < b
    )
    assert all(0 <= place <= 200 + 1e-9 for place in found)


def test_names_that_do_not_touch_stay_where_they_are() -> None:
    assert spread([10.0, 50.0, 30.0], 13, 0, 100) == [10.0, 50.0, 30.0]

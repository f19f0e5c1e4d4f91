"""Labels are short and harmless, and never say none or all of what is not."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from fp8num.report import labels


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (0.0, "0%"),
        (1e-300, "<0.01%"),
        (0.00012, "0.01%"),
        (0.0999, "9.99%"),
        (0.09999, "10.0%"),
        (0.5, "50.0%"),
        (0.9989, "99.9%"),
        (1 - 2**-53, ">99.9%"),
        (1.0, "100%"),
        (math.nan, "–"),
    ],
)
def test_percentages(rate: float, expected: str) -> None:
    assert labels.percent(rate) == expected


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_rate_between_none_and_all_is_never_written_as_either(rate: float) -> None:
    assert labels.percent(rate) not in {"0%", "0.00%", "0.0%", "100%", "100.0%", "–"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(31.45, "31.4"), (-0.04, "0.0"), (-1.26, "−1.3"), (math.inf, "∞"), (math.nan, "–")],
)
def test_decibels(value: float, expected: str) -> None:
    assert labels.decibels(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.001953125, "0.001953"),
        (448.0, "448"),
        (-1.5e-7, "−1.5e−07"),
        (-math.inf, "−∞"),
        (math.nan, "–"),
    ],
)
def test_numbers(value: float, expected: str) -> None:
    assert labels.number(value) == expected


def test_counts_powers_shapes_and_rules() -> None:
    assert labels.count(1234567) == "1,234,567"
    assert labels.power_of_two(-19) == "2⁻¹⁹"
    assert labels.shape_text((64, 10)) == "64 × 10"
    assert labels.shape_text(()) == "scalar"
    assert labels.rule_name("tensor") == "per-tensor scale"
    assert labels.rule_name("a rule of its own") == "a rule of its own"

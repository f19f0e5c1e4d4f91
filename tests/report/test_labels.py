"""Labels are short and harmless, and never say none or all of what is not."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from fp8num.report import labels


@given(st.text())
def test_printable_text_is_one_visible_line(text: str) -> None:
    assert labels.printable(text).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert labels.printable(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u202eabc", r"\u202eabc"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_controls_reversals_and_surrogates_are_escaped(text: str, expected: str) -> None:
    assert labels.printable(text) == expected


@given(st.text(), st.integers(8, 60))
@example("\x00" * 100, 8)
@example("a" * 7 + "\U000e0041" * 10, 8)
def test_a_shortened_name_keeps_to_its_limit(text: str, limit: int) -> None:
    short = labels.shorten(text, limit)

    assert len(short) <= limit
    assert short.isprintable()


@given(st.text(), st.integers(8, 60))
def test_shortening_cuts_out_the_middle_of_the_escaped_name(text: str, limit: int) -> None:
    full, short = labels.printable(text), labels.shorten(text, limit)

    if len(full) <= limit:
        assert short == full
    else:
        head, tail = short[: limit - 1 - limit // 2], short[-(limit // 2) :]
        assert short == f"{head}…{tail}"
        assert full.startswith(head)
        assert full.endswith(tail)


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
    assert labels.plural(1, "tensor") == "1 tensor"
    assert labels.plural(2000, "tensor") == "2,000 tensors"
    assert labels.power_of_two(-19) == "2⁻¹⁹"
    assert labels.shape_text((64, 10)) == "64 × 10"
    assert labels.shape_text(()) == "scalar"
    assert labels.rule_name("tensor") == "per-tensor scale"
    assert labels.rule_name("a rule of its own") == "a rule of its own"

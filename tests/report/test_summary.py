"""The summary says what the numbers say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

import fp8num as fp
from fp8num.report.summary import Name, Summary, best_formats
from fp8num.report.tables import ReportContents, TensorRecord

if TYPE_CHECKING:
    from collections.abc import Callable


def summary(*records: TensorRecord, formats: str, rules: tuple[str, ...] = ("unit",)) -> Summary:
    chosen = tuple(fp.get_format(name) for name in formats.split())
    return Summary(
        ReportContents(records=list(records), formats=chosen, rules=rules, skipped=(), command="")
    )


def sentences(found: Summary) -> dict[str, str]:
    return {
        finding.catchword: "".join(
            part.text if isinstance(part, Name) else part for part in finding.parts
        ).strip()
        for finding in found.findings
    }


@pytest.mark.parametrize(
    ("sqnr", "expected"),
    [
        ({"E4M3FN": 31.0, "E5M2": 25.0}, ["E4M3FN"]),
        ({"E4M3FN": 31.02, "E5M2": 30.98}, ["E4M3FN", "E5M2"]),
        ({"E4M3FN": math.inf, "E5M2": math.inf}, ["E4M3FN", "E5M2"]),
        ({"E4M3FN": math.nan, "E5M2": 3.0}, ["E5M2"]),
        ({"E4M3FN": math.nan, "E5M2": math.nan}, []),
        ({"E4M3FN": 0.0, "E5M2": -5.0}, []),
    ],
)
def test_best_formats(
    record: Callable[..., TensorRecord], sqnr: dict[str, float], expected: list[str]
) -> None:
    found = record("w", {(name, "unit"): value for name, value in sqnr.items()})

    assert best_formats(found, sqnr, "unit") == expected
    assert best_formats(found, sqnr, "tensor") == []


def test_the_best_format_of_each_width_is_named(record: Callable[..., TensorRecord]) -> None:
    def tensor(name: str, *sqnr: float) -> TensorRecord:
        names = ("E4M3FN", "E5M2", "E2M1FN")
        return record(name, {(n, "unit"): v for n, v in zip(names, sqnr, strict=True)})

    found = summary(
        tensor("a", 31, 25, 17), tensor("b", 30, 25, 12), tensor("c", 2, 26, 3),
        formats="E4M3FN E5M2 E2M1FN",
    )  # fmt: skip

    said = sentences(found)
    assert said["8 bits"] == (
        "Without a scale, E4M3FN has the least error for 2 of 3 tensors, "
        "and reaches 30.0 dB (median)."
    )
    assert said["4 bits"] == "Without a scale, E2M1FN reaches 12.0 dB (median)."
    assert list(said)[:2] == ["8 bits", "4 bits"]


def test_lost_elements_are_told_for_the_formats_of_8_bits(
    record: Callable[..., TensorRecord],
) -> None:
    tensor = record("w", {("E4M3FN", "unit"): 3.0, ("E5M2", "unit"): 3.0, ("E2M1FN", "unit"): 0.0})
    for row, rate in zip(tensor.rows, (0.25, 0.0, 1.0), strict=True):
        row["underflow_rate"] = rate

    said = sentences(summary(tensor, formats="E4M3FN E5M2 E2M1FN"))

    assert said["Underflow"] == (
        "Of the 8-bit formats without a scale, E4M3FN turns 25.0% of the nonzero elements of w "
        "into zero; none are lost in E5M2."
    )


def test_nothing_lost_and_nothing_beyond_is_said_too(record: Callable[..., TensorRecord]) -> None:
    said = sentences(summary(record("w", {("E5M2", "unit"): 3.0}), formats="E5M2"))

    assert said["Underflow"] == "Without a scale, none loses an element."
    assert said["Saturation"] == "No element is beyond the range of any format."


def test_the_scale_s_effect_is_the_median_difference(record: Callable[..., TensorRecord]) -> None:
    def tensor(gain: float) -> TensorRecord:
        return record(
            "w",
            {
                ("E5M2", "unit"): 20.0, ("E5M2", "tensor"): 20.0 + gain,
                ("POSIT8", "unit"): 30.0, ("POSIT8", "tensor"): 30.0 - 2 * gain,
            },
        )  # fmt: skip

    tensors = [tensor(1.0), tensor(2.0), tensor(9.0)]
    said = sentences(summary(*tensors, formats="E5M2 POSIT8", rules=("unit", "tensor")))

    assert said["Scale"] == (
        "A per-tensor scale changes the SQNR by +2.0 dB (median) in E5M2 and by −4.0 dB in POSIT8."
    )


def test_saturation_names_the_tensor_with_the_highest_rate(
    record: Callable[..., TensorRecord],
) -> None:
    a = record("a", {("E5M2", "unit"): 3.0}, saturated=9, saturation_rate=0.01)
    b = record("b", {("E5M2", "unit"): 3.0}, saturated=1, saturation_rate=0.5)
    c = record("c", {("E5M2", "unit"): 3.0})

    said = sentences(summary(a, b, c, formats="E5M2"))

    assert said["Saturation"] == (
        "2 of 3 tensors reach beyond the range of some format, most of all b: "
        "E5M2 without a scale saturates 50.0% of it."
    )


def test_exact_tensors_and_those_that_are_not_finite_are_named(
    record: Callable[..., TensorRecord],
) -> None:
    exact = record("a", {("E4M3FN", "unit"): math.inf, ("E5M2", "unit"): math.inf})
    broken = record("b", {("E4M3FN", "unit"): 1.0, ("E5M2", "unit"): 1.0}, nans=3, infinities=1)

    said = sentences(summary(exact, broken, formats="E4M3FN E5M2"))

    assert said["Exact"] == "1 of 2 tensors can be held without any error: a in E4M3FN and E5M2."
    assert said["Not finite"] == (
        "There are 3 NaN and 1 infinities in 1 tensor, such as b; "
        "they are counted and otherwise left out."
    )


def test_tensors_without_signal_are_not_judged(record: Callable[..., TensorRecord]) -> None:
    zeros = record("a", {("E4M3FN", "unit"): math.nan, ("E5M2", "unit"): math.nan})
    for row in zeros.rows:
        row["underflow_rate"] = math.nan

    found = summary(zeros, formats="E4M3FN E5M2")

    assert set(sentences(found)) == {"Saturation"}
    standing = found.standings["E4M3FN", "unit"]
    assert (standing.wins, standing.judged) == (0, 0)
    assert math.isnan(standing.sqnr_db)
    assert math.isnan(standing.underflow_rate)

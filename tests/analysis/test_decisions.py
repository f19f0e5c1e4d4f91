"""
Decisions beside damage that is computed apart: the page of `reports/decisions`, and its cases.

Expected figures come from NumPy and ml_dtypes (`reports/decisions/truth.py`), or from the tables.
"""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fp8num.scaling import scale_quantize

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "reports" / "decisions"
RULES = {"FP8": "tensor", "FP8_DYNAMIC": "row", "FP8_BLOCK": "block-128x128", "MXFP8": "te-mxfp8"}
#: What the exact output errors of these cases need, by hand from their measured figures.
CASES = {
    "nothing": "FP8",
    "element of 10^6": "FP8_DYNAMIC",
    "element of 10^5": "FP8_DYNAMIC",
    "element of 10^4": "FP8",
    "element of 10^3": "FP8",
    "element of 10^2": "FP8",
    "column of 10^5": "keep",
    "near-dead row of 10^-6": "FP8",
    "row of 10^2": "FP8",
    "row of 10^3": "FP8",
    "row of 10^4": "FP8_DYNAMIC",
    "row of 10^5": "FP8_DYNAMIC",
    "2 columns of 10^5": "keep",
    "1 column of 10^5": "keep",
    "a quarter of the rows with an element of 1.5*10^5": "keep",
    "32 near-dead columns": "FP8",
    "column of 10^2": "FP8",
    "Student t, 4": "FP8",
    "Laplace": "FP8",
    "3 columns of 4,000, Student t, 4": "FP8_DYNAMIC",
    "log-normal, sigma 2": "FP8",
}


@pytest.fixture(scope="module")
def decisions() -> Iterator[Any]:
    """The script; its neighbours are imported as it imports them."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("decisions")
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def measured(decisions: Any) -> list[dict[str, Any]]:
    return [decisions.measured(*case) for case in decisions.misleading_cases(64)]


def rows(name: str) -> list[dict[str, str]]:
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_page_follows_from_the_tables(decisions: Any) -> None:
    assert decisions.main(["--keep", "--check"]) == 0


def test_the_tables_come_out_again(decisions: Any) -> None:
    """The first of the random tensors; floats have four digits in the table."""
    cases = decisions.truth.random_cases()
    for row in rows("decisions")[:3]:
        found = decisions.compared(next(cases))
        for name in ("plant", "truth", "decision"):
            assert row[name] == found[name]
        for name in ("true_FP8", "excess_FP8", "true_MXFP8", "excess_MXFP8"):
            np.testing.assert_allclose(float(row[name]), found[name], rtol=1e-3)


def test_the_page_counts_what_the_tables_hold() -> None:
    table, well = rows("decisions"), [one for one in rows("healthy") if one["truth"] == "FP8"]
    wrong, alarms = (sum(one["agree"] == "False" for one in some) for some in (table, well))
    text = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert len(table) >= 300
    assert len(well) >= 1000
    assert 1000 * alarms / len(well) < 5
    assert f"| {wrong} of {len(table)} disagree |" in text
    assert f"| {alarms} of {len(well):,} that one scale suits" in text
    section = text.split("## Where they disagree")[1].split("\n## ")[0]
    assert sum(line.startswith("| ") for line in section.splitlines()) == wrong + 2


@pytest.mark.parametrize("name", RULES)
def test_the_truth_rounds_as_the_rules_do(decisions: Any, name: str) -> None:
    """Two ways to the same values; the last bit of a scale may differ."""
    truth = decisions.truth
    x = truth.healthy(np.random.default_rng(5), "Student t, 4", (40, 160))
    (candidate,) = (one for one in truth.CANDIDATES["E4M3FN"] if one.name == name)

    made = scale_quantize(x, RULES[name], fmt="E4M3FN").dequantize(np.float64)

    same = np.isclose(truth.rounded(x, candidate), made, rtol=1e-6, atol=0)
    assert same.mean() > 0.999


def test_misleading_cases_are_decided_as_the_damage_asks(measured: list[dict[str, Any]]) -> None:
    assert {one["case"]: one["true_decision"] for one in measured} == CASES
    assert {one["case"]: one["decision"] for one in measured} == CASES


def test_the_excess_is_the_exact_error_where_other_measures_are_not(
    measured: list[dict[str, Any]],
) -> None:
    """Within 15 % of it, median rows; a row that hangs on one element is the known miss."""
    for one in measured:
        assert one["excess"] == pytest.approx(one["exact"], rel=0.15), one["case"]
        if one["case"] != "log-normal, sigma 2":
            worst = one["exact_worst"]
            assert one["excess_worst"] == pytest.approx(worst, rel=0.3), one["case"]
    miss = next(one for one in measured if one["case"] == "log-normal, sigma 2")
    assert miss["excess_worst"] < 0.8 * miss["exact_worst"]


def test_a_row_s_own_norm_and_a_median_of_blocks_mislead(measured: list[dict[str, Any]]) -> None:
    """Why neither is the measure: harmful cases that they call harmless, and the reverse."""
    by_name = {(one["case"], one["rule"]): one for one in measured}

    column = by_name["column of 10^5", "row"]
    assert column["own_norm"] < 0.01
    assert column["exact"] > 2
    assert by_name["near-dead row of 10^-6", "tensor"]["own_norm_worst"] == 1
    columns = by_name["2 columns of 10^5", "block-128x128"]
    assert columns["median_block"] < 1.25
    assert columns["exact"] > 2

"""
Loss scaling and kinds of scales: tables come out again, and what is said of them is so.

Expected values are exact fractions, the exact reference, integrals, or made-up rows.
"""

from __future__ import annotations

import csv
import html
import importlib
import math
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fp8num import E4M3FN, E5M2
from fp8num.verify.reference import decode, project

FOLDER = Path(__file__).parents[2] / "reports" / "training"


@pytest.fixture(scope="module", autouse=True)
def neighbours() -> Any:
    """The parts import each other as scripts do."""
    if not FOLDER.exists():
        pytest.skip("a source distribution has no reports")
    sys.path.insert(0, str(FOLDER))
    try:
        yield
    finally:
        sys.path.remove(str(FOLDER))


def module(name: str) -> Any:
    return importlib.import_module(name)


def rows(name: str, **wanted: str) -> list[dict[str, str]]:
    """Read the rows of a table that have some values."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream))
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def rounded(x: Fraction, fmt: Any) -> Fraction:
    """Round a number as casts do, by the exact reference."""
    return Fraction(decode(project(x, fmt, "NearestTiesToEven", "SatFinite"), fmt).value)


# What is computed.


@pytest.mark.parametrize("fmt", [E4M3FN, E5M2])
def test_shares_are_those_of_the_exact_reference(fmt: Any) -> None:
    """Of what becomes 0, of its sum, and of what lies beyond the range; ties are among them."""
    part = module("loss_scaling_part")
    halves = [fmt.smallest_subnormal / 2 * 2.0**-k for k in (0, 3)]
    over = [fmt.max * factor for factor in (1, 1.02, 1.1)]  # 1.02 rounds back, 1.1 not
    values = np.float32([*halves, *(1.25 * one for one in halves), -0.3, 0.0, *over, *halves])

    found = part._shares(values, fmt.name)

    for k, row in zip(part.EXPONENTS, found.tolist(), strict=True):
        exact = [abs(Fraction(float(x)) * Fraction(2) ** k) for x in values if x]
        # Whether something saturates is whether it rounds past the largest value.
        step = fmt.max - max(v for v in map(float, fmt.values) if v < fmt.max)
        gone = [x for x in exact if rounded(x, fmt) == 0]
        beyond = [x for x in exact if x > Fraction(fmt.max) + Fraction(step) / 2]
        share = len(gone) / len(exact), float(sum(gone) / sum(exact)), len(beyond) / len(exact)
        assert row == pytest.approx(share, abs=1e-12), k


def result(k: int | None, **changes: Any) -> dict[str, Any]:
    """Make up a row of results of ten pairs; the differences are like float32's."""
    row = {
        "data": "x", "log2_scale": math.nan if k is None else k, "n": 10, "diverged": 0,
        "decision": "baseline" if k is None else "within", "margin": 0.005, "loss": 1.0,
        "accuracy_difference": 0.0, "accuracy_difference_error": 0.001,
        "loss_difference": 0.0, "loss_difference_error": 0.01,
    }  # fmt: skip
    return row | changes


def test_a_window_ends_where_results_leave_the_margins() -> None:
    """Loss counts as well as accuracy; a gap ends it; diverged is outside."""
    made = module("loss_scaling_window")
    # 10 pairs: 1.833 standard errors on each side of the mean.
    frame = pd.DataFrame(
        [
            result(None), result(0, diverged=10, decision="diverged"), result(1),
            result(2, loss_difference=0.08), result(3, loss_difference=0.031),
            result(4, loss_difference=0.033), result(5), result(6), result(7),
            result(8, accuracy_difference=-0.0075, decision="worse"),
        ]
    )  # fmt: skip

    states = [made.state(row, 1.0) for row in frame.to_dict("records")[1:]]

    assert states == [
        "outside", "within", "outside", "within", "undecided", *["within"] * 3, "outside"
    ]  # fmt: skip
    assert made.window(frame, "x", 6) == made.Window(smallest=5, below=2, largest=7, above=8)


def test_a_window_is_none_where_nothing_is_within() -> None:
    """As of two seeds, from which nothing follows."""
    made = module("loss_scaling_window")
    frame = pd.DataFrame([result(None), result(5, decision="undecided")])
    assert made.window(frame, "x", 5) == made.Window(None, None, None, None)


def test_what_is_foretold_is_the_first_with_a_tenth_in_every_layer() -> None:
    """And the largest power of two that takes the largest gradient to at most 464."""
    made = module("loss_scaling_window")
    shares = {"a": [0.5, 0.2, 0.09, 0.0], "b": [0.4, 0.05, 0.1, 0.02]}
    frame = pd.DataFrame(
        [
            {"data": "x", "format": "E4M3FN", "layer": layer, "log2_scale": k, "magnitude": one,
             "amax": amax}
            for (layer, found), amax in zip(shares.items(), (0.5, 464 / 512), strict=True)
            for k, one in enumerate(found)
        ]
    )  # fmt: skip
    assert made.foretold(frame, "x") == (2, 9)


# What is recorded.


def test_both_formats_train_alike_seven_powers_of_two_apart() -> None:
    """Where all gradients are multiples of both smallest numbers, and only there."""
    same = {}
    for k in (0, 1, 3):
        one, other = (
            {row["seed"]: row["loss"] for row in rows("loss_scaling_runs", data=data, recipe=name)}
            for data, name in (("digits", f"2^{k}"), ("digits-e5m2", f"2^{k - 7}"))
        )
        same[k] = [one[seed] == loss for seed, loss in other.items()]
    assert all(same[0])
    assert all(same[1])
    assert not any(same[3])


@pytest.mark.parametrize(
    ("name", "apart"),
    [
        ("fp32", 1e-4),
        ("2^12", 5e-3),
        pytest.param("2^0", 0.3, marks=pytest.mark.exhaustive),
    ],
)
def test_recorded_trainings_come_out_again(name: str, apart: float) -> None:
    """To the digit on the same versions; where training fails, small differences grow."""
    part, nn = module("loss_scaling_part"), module("fp8num.nn")
    setting = part.SETTINGS["digits"]
    task = module("common").TASKS["digits"]
    recipe = "fp32" if name == "fp32" else part._one_format("E4M3FN")
    scaler = None if name == "fp32" else nn.LossScaler(2.0 ** int(name[2:]), dynamic=False)
    (kept,) = rows("loss_scaling_runs", data="digits", recipe=name, seed="3")

    found = nn.train(
        task.data(seed=3), recipe=recipe, seed=3, loss_scaler=scaler,
        **task.options | setting.options,
    )  # fmt: skip

    assert found.held_out.loss == pytest.approx(float(kept["loss"]), abs=apart)


def test_a_power_of_two_changes_no_bit_where_tensors_have_scales() -> None:
    """1,000 does, and so does one where they have none, which shows that bits are compared."""
    for row in rows("loss_scaling_control"):
        scaled = row["recipe"] != "fp8-unscaled" and float(row["scale"]) != 1000
        assert int(row["identical"]) == (int(row["n"]) if scaled else 0), row
        assert (int(row["most_differ"]) == 0) == scaled


def test_rows_of_the_first_gradient_lean_as_exact_rounding_says() -> None:
    """All ten classes have a probability of about a tenth."""
    gradient = [Fraction(1, 10) / 256] * 9 + [Fraction(-9, 10) / 256]
    for k in (0, 12, 18):
        q = [rounded(x * 2**k, E4M3FN) / 2**k for x in gradient]
        expected = float(sum(q) / sum(map(abs, gradient)))
        (row,) = rows("loss_scaling_rows", log2_scale=str(k))
        assert float(row["net"]) == pytest.approx(expected, abs=0.03)


def test_pixels_are_exact_with_a_power_of_two_and_seldom_otherwise() -> None:
    """Of the sixteenths times 256, all are values of E4M3FN; of those times 448, few."""
    values = {decode(code, E4M3FN).value for code in range(127)}
    exact = [k for k in range(1, 17) if Fraction(28 * k) in values]
    assert all(Fraction(16 * k) in values for k in range(1, 17))
    pixels = module("common").TASKS["digits"].data(seed=0).x
    share = np.mean(np.isin(pixels[pixels > 0] * 16, exact))

    (row,) = rows("scales_casts", data="digits", layer="layer0", tensor="inputs", measure="exact")

    assert float(row["power of two"]) == 1
    assert float(row["float32"]) == pytest.approx(share, abs=0.01)


def test_gaussian_inputs_become_smaller_by_what_the_integral_says() -> None:
    """A power of two leaves every binade its values: the sum over their cells, by erf."""
    values = [float(decode(code, E4M3FN).value) for code in range(127)]
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    # The batch's largest of 2,048 is nearly always from 3.5 to 7: 64 numbers to a unit.
    edges = [0.0, *(one / 64 for one in middles), math.inf]
    inside = [math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2)) for a, b in pairwise(edges)]
    mean = sum(value / 64 * share for value, share in zip(values, inside, strict=True))
    expected = mean / math.sqrt(2 / math.pi) - 1

    (row,) = rows(
        "scales_casts", data="teacher", layer="layer0", tensor="inputs", measure="magnitude"
    )

    found, error = float(row["power of two"]), float(row["power of two_error"])
    assert abs(found - expected) < 4 * error
    assert error < abs(expected) / 4


def test_inputs_keep_their_errors_with_a_power_of_two_alone() -> None:
    """The teacher's, from epoch to epoch; float32 scales come from the batch's largest number."""
    by_scale = {
        row["scale"]: float(row["alike"])
        for row in rows("scales_persistence", data="teacher", what="inputs", lag="1")
    }
    assert by_scale["power of two"] > 0.95
    assert abs(by_scale["float32"]) < 0.15


@pytest.mark.parametrize("name", ["loss_scaling", "scales"])
def test_pages_follow_from_their_tables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text without holes, with figures that say what the recorded ones do."""
    monkeypatch.setattr("fp8num.plot.to_svg", lambda figure, title, description: description)
    common, part = module("common"), module(f"{name}_part")
    texts = {
        f"{one}.csv": (FOLDER / f"{one}.csv").read_text(encoding="utf-8") for one in part.TABLES
    }

    page = part.derive(common.read_tables(part.TABLES, texts))

    assert "{" not in page.text
    assert "nan" not in page.text.split()
    assert len(page.answers) == 2
    for figure, drawing in page.figures.items():
        assert f"({figure}.svg)" in page.text
        assert html.escape(drawing, quote=False) in (FOLDER / f"{figure}.svg").read_text(
            encoding="utf-8"
        )
        assert (FOLDER / f"{figure}.csv").exists()

"""What recipes did is written as it was found, with n, errors and decisions."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import pytest

from fp8num.nn import Comparison
from fp8num.nn.outcome import Outcome, Share
from fp8num.report.labels import MISSING
from fp8num.report.training import (
    MAX_SHARES,
    curves_to_csv,
    decision_words,
    outcomes_to_csv,
    training_section,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_training_has_a_row(comparison: Comparison) -> None:
    found = rows(outcomes_to_csv(comparison))

    assert [(row["recipe"], row["seed"]) for row in found] == [
        (name, seed) for seed in "01" for name in ("fp32", "lossy", "wild")
    ]
    assert (found[4]["accuracy"], found[4]["loss"], found[4]["held_out"]) == ("0.77", "2.3", "100")
    assert (found[5]["accuracy"], found[5]["diverged"]) == ("nan", "the loss is NaN")


def test_the_curves_table_has_steps_and_epochs(comparison: Comparison) -> None:
    """The first epoch of fp32 has losses 4 and 3 in seed 0, twice that in seed 1."""
    found = {(row["recipe"], row["by"], row["at"]): row for row in rows(curves_to_csv(comparison))}

    assert len(found) == 3 * (4 + 2)
    step, epoch = found["fp32", "step", "1"], found["fp32", "epoch", "0"]
    assert (step["n"], float(step["loss"]), float(step["loss_error"])) == ("2", 4.5, 1.5)
    assert (float(epoch["loss"]), float(epoch["loss_error"])) == (5.25, 1.75)
    changed = found["lossy", "step", "3"]
    assert float(changed["difference"]) == pytest.approx(0.2)
    assert float(changed["difference_error"]) == pytest.approx(0.1)
    assert found["wild", "step", "0"]["n"] == "1"


def test_results_are_written_with_their_errors(comparison: Comparison) -> None:
    """Student's 97.5 % quantile of one degree of freedom is 12.706: tan(0.475 pi)."""
    fp32, lossy, wild = training_section(comparison)["results"]

    assert fp32["cells"][:3] == ["2", "85.00 ± 5.00", "1.5000 ± 0.5000"]
    assert fp32["cells"][3:] == [MISSING] * 3
    assert lossy["cells"][3:] == [
        "−2.000 ± 1.000",
        "−14.706 to +10.706",
        "+0.20000 ± 0.10000",
    ]
    assert wild["cells"] == ["1", "90.00", "1.0000", "+0.000", MISSING, "+0.00000"]
    assert [row["decision"] for row in (fp32, lossy, wild)] == [
        "the baseline",
        "undecided to 0.3 points",
        "diverged in 1 of 2 seeds",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (0.0, "within 0.3 points of fp32"),
        (-0.1, "worse than fp32"),
        (0.1, "better than fp32"),
    ],
)
def test_a_decision_is_put_in_words(
    change: float, words: str, outcome: Callable[..., Outcome]
) -> None:
    pairs = [(seed, 0.5 + (seed % 2) / 10_000) for seed in range(6)]
    found = Comparison(
        tuple(
            outcome(name, seed, accuracy + own * change, 1.0 + own, held_out=10_000)
            for seed, accuracy in pairs
            for own, name in enumerate(("fp32", "mine"))
        ),
        "fp32",
        0.003,
    )

    assert decision_words(found, found["mine"]) == words


def test_what_was_trained_is_said(comparison: Comparison, outcome: Callable[..., Outcome]) -> None:
    facts = dict(training_section(comparison)["setting"])

    assert facts["data"] == "two spirals"
    assert (facts["net"], facts["each recipe"], facts["held out"]) == ("2-3-2", "2 seeds", "100")

    settings = comparison.outcomes[0].settings
    other = settings | {"data": {"name": "two spirals", "sha256": "01"}}
    anew = Comparison(
        (outcome("fp32", 0, 1, 1), outcome("fp32", 1, 1, 1, settings=other, held_out=99)),
        "fp32",
        0.003,
    )
    facts = dict(training_section(anew)["setting"])
    assert (facts["data"], facts["held out"]) == ("two spirals, anew for each seed", "99–100")


def test_shares_have_a_row_for_each_tensor_that_is_cast(comparison: Comparison) -> None:
    section = training_section(comparison)

    assert section["casting"] == ["lossy"]
    assert [(row["layer"], row["operand"], row["cells"]) for row in section["shares"]] == [
        ("layer0", ("inputs", "forward"), ["E4M3FN", "25.0%", "0%"]),
        ("layer0", ("gradients", "wgrad"), ["E5M2", MISSING, "100%"]),
    ]


def test_a_share_has_its_error(outcome: Callable[..., Outcome]) -> None:
    """Shares of 1 % and 3 %: a mean of 2, standard error 1."""
    found = Comparison(
        tuple(
            outcome("r", seed, 1.0, 1.0, shares=(Share("a", "w_forward", "E5M2", lost, 0.0),))
            for seed, lost in enumerate((0.01, 0.03))
        ),
        "r",
        0.003,
    )

    assert training_section(found)["shares"][0]["cells"] == ["E5M2", "2.00 ± 1.00%", "0%"]


def test_many_shares_are_cut(outcome: Callable[..., Outcome]) -> None:
    shares = tuple(Share(f"layer{i}", "w_forward", "E5M2", 0.0, 0.0) for i in range(MAX_SHARES + 5))
    found = Comparison((outcome("r", 0, 1.0, 1.0, shares=shares),), "r", 0.003)

    section = training_section(found)

    assert (len(section["shares"]), section["more_shares"]) == (MAX_SHARES, 5)


def test_nothing_finished_is_said_too() -> None:
    found = Comparison((Outcome(recipe="fp32", seed=0, fold=0, diverged="NaN"),), "fp32", 0.003)

    section: dict[str, Any] = training_section(found)

    assert section["setting"] == [("each recipe", "1 seed")]
    assert section["results"][0]["cells"] == ["0", *[MISSING] * 5]
    assert section["shares"] == []
    assert len(rows(curves_to_csv(found))) == 0
    assert math.isnan(float(rows(outcomes_to_csv(found))[0]["loss"]))

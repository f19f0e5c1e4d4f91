"""Losses are drawn at their height, differences around the baseline's line."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from fp8num.nn import Comparison
from fp8num.nn.outcome import Outcome
from fp8num.report.figures import loss_curves
from fp8num.report.figures.curves import POINTS

if TYPE_CHECKING:
    from collections.abc import Callable

SVG = "{http://www.w3.org/2000/svg}"


def paths(image: str, key: str, **wanted: str) -> list[list[tuple[float, float]]]:
    """Return the points of the paths of a class that have some attributes."""
    return [
        [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", at.get("d") or "")]
        for at in ET.XML(image).iter(f"{SVG}path")
        if at.get("class") == key and all(at.get(name) == value for name, value in wanted.items())
    ]


def lines(image: str, key: str) -> list[list[tuple[float, float]]]:
    """Return the curves of a style: not the strokes beside names, which lie to the right."""
    found = paths(image, f"stroke-{key}", fill="none")
    return [points for points in found if points[0][0] < 424]


def heights(image: str) -> dict[str, float]:
    """Return where the labels left of axes are."""
    return {
        element.text or "": float(element.get("y", "")) - 4
        for element in ET.XML(image).iter(f"{SVG}text")
        if element.get("text-anchor") == "end"
    }


@pytest.fixture
def pair(outcome: Callable[..., Outcome]) -> Comparison:
    """Return fp32 with a loss of 1 at the last of four steps, another recipe with twice it."""
    return Comparison((outcome("fp32", 0, 0.9, 1.0), outcome("mine", 0, 0.9, 2.0)), "fp32", 0.003)


def test_losses_are_drawn_at_their_height(pair: Comparison) -> None:
    """Of fp32 4, 3, 2, 1; of the other 8, 6, 4, 2."""
    image = loss_curves(pair)

    y = heights(image)
    own, other = lines(image, "first")[0], lines(image, "second")[0]
    assert len(own) == len(other) == 4
    assert own[3][1] == pytest.approx(y["1"], abs=0.02)
    assert own[2][1] == other[3][1] == pytest.approx(y["2"], abs=0.02)
    third = y["1"] + (y["2"] - y["1"]) * math.log2(3)
    assert own[1][1] == pytest.approx(third, abs=0.05)
    assert own[0][0] < own[1][0] < own[2][0]


def test_differences_are_drawn_by_epoch_from_the_baseline(pair: Comparison) -> None:
    """They are 3.5 and 1.5: means of 4 and 3, and of 2 and 1."""
    image = loss_curves(pair)

    y = heights(image)
    zero, change = lines(image, "first")[1], lines(image, "second")[1]
    assert [place for _, place in zero] == pytest.approx([y["0"]] * 2, abs=0.02)
    unit = y["+1"] - y["0"]
    assert [round((place - y["0"]) / unit, 2) for _, place in change] == [3.5, 1.5]


def test_bands_are_the_intervals_and_of_one_seed_there_are_none(
    pair: Comparison, comparison: Comparison
) -> None:
    """In the last epoch 0.15 and 0.45: a mean of 0.3, and 12.706 standard errors of 0.15."""
    assert paths(loss_curves(pair), "fill-second") == []

    image = loss_curves(comparison)
    y = heights(image)
    _, change = paths(image, "fill-second", **{"fill-opacity": "0.18"})
    unit = (y["+2"] - y["0"]) / 2
    ends = [(place - y["0"]) / unit for _, place in (change[1], change[2])]
    assert ends == pytest.approx([0.3 - 12.706 * 0.15, 0.3 + 12.706 * 0.15], abs=0.002)


def test_lines_are_told_apart_without_colours_and_named(comparison: Comparison) -> None:
    image = loss_curves(comparison)

    dashes = {
        at.get("class"): at.get("stroke-dasharray")
        for at in ET.XML(image).iter(f"{SVG}path")
        if at.get("stroke-dasharray")
    }
    assert len(set(dashes.values())) == len(dashes) == 3
    names = [text.text for text in ET.XML(image).iter(f"{SVG}text")]
    assert all(names.count(name) == 2 for name in ("fp32", "lossy", "wild"))
    assert {"log-loss of a step’s batch, nats", "step of the optimizer", "epoch"} <= set(names)


def test_long_trainings_are_thinned(outcome: Callable[..., Outcome]) -> None:
    losses = tuple(1 / (i + 1) for i in range(5 * POINTS))
    found = Comparison(
        tuple(outcome(name, 0, 1.0, 1.0, losses=losses, per_epoch=1) for name in ("fp32", "b")),
        "fp32",
        0.003,
    )

    assert len(lines(loss_curves(found), "first")[0]) == POINTS


@pytest.mark.parametrize("loss", [0.0, 1e-300, 1e30])
def test_any_loss_can_be_drawn(loss: float, outcome: Callable[..., Outcome]) -> None:
    found = Comparison((outcome("fp32", 0, 1, loss), outcome("b", 0, 1, 0.0)), "fp32", 0.003)

    assert "nan" not in loss_curves(found).lower()


def test_one_recipe_alone_has_no_differences(outcome: Callable[..., Outcome]) -> None:
    image = loss_curves(Comparison((outcome("fp32", 0, 1, 1.0),), "fp32", 0.003))

    assert "less" not in image


def test_where_all_diverged_that_is_said() -> None:
    lost = Outcome(recipe="fp32", seed=0, fold=0, diverged="NaN")

    image = loss_curves(Comparison((lost,), "fp32", 0.003))

    assert "no seed in which neither diverged" in image
    assert "fp32: every seed diverged" in image


def test_it_says_in_words_what_is_drawn(comparison: Comparison) -> None:
    """Of fp32 3.5 and 1.5 times losses of 1 and 2, of lossy times 1.1 and 2.3."""
    image = loss_curves(comparison)

    assert "fp32, 2 seeds: 5.25 nats in the first epoch, 2.25 in the last; " in image
    assert "lossy, 2 seeds: 5.95 nats in the first epoch, 2.55 in the last, +0.3 from" in image


def test_names_are_escaped(outcome: Callable[..., Outcome]) -> None:
    name = "<script>\n"
    found = Comparison((outcome("fp32", 0, 1, 1.0), outcome(name, 0, 1, 2.0)), "fp32", 0.003)

    image = loss_curves(found)

    assert "<script>" not in image
    assert "&lt;script&gt;\\n" in image

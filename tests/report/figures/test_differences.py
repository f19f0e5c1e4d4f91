"""Differences are drawn seed by seed, with their mean, its intervals and the margin."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from fp8num.nn import Comparison
from fp8num.nn.outcome import Outcome
from fp8num.report.figures import paired_differences
from fp8num.report.figures.differences import seed_differences

if TYPE_CHECKING:
    from collections.abc import Callable

SVG = "{http://www.w3.org/2000/svg}"


def axis(image: str, first: str, second: str) -> Callable[[float], float]:
    """Return the map from pixels of the first axis to its units, from two of its labels."""
    at = [
        float(text.get("x", ""))
        for label in (first, second)
        for text in list(ET.XML(image).iter(f"{SVG}text"))
        if text.text == label
    ][:2]
    low, high = (float(label.replace("−", "-")) for label in (first, second))
    return lambda x: low + (x - at[0]) * (high - low) / (at[1] - at[0])


def rectangles(image: str, key: str) -> list[tuple[float, float, float]]:
    """Return left, right and height of the rectangles of a class."""
    return [
        (float(one.get("x", "")), float(one.get("x", "")) + float(one.get("width", "")),
         float(one.get("height", "")))
        for one in ET.XML(image).iter(f"{SVG}rect")
        if one.get("class") == key
    ]  # fmt: skip


def test_differences_are_of_seeds(comparison: Comparison) -> None:
    assert seed_differences(comparison, "accuracy") == {
        "lossy": pytest.approx([-0.01, -0.03]),
        "wild": [0.0],
    }
    assert seed_differences(comparison, "loss")["lossy"] == pytest.approx([0.1, 0.3])


def test_folds_are_averaged_and_a_seed_with_one_that_diverged_is_left_out(
    outcome: Callable[..., Outcome],
) -> None:
    def both(seed: int, fold: int, other: float) -> tuple[Outcome, Outcome]:
        make = [outcome("fp32", seed, 0.5, 1.0), outcome("mine", seed, other, 1.0)]
        kept = [{n: getattr(one, n) for n in ("held_out", "losses", "per_epoch")} for one in make]
        first, second = (
            Outcome(recipe=one.recipe, seed=seed, fold=fold, accuracy=one.accuracy, loss=1.0, **k)
            for one, k in zip(make, kept, strict=True)
        )
        return first, second

    lost = Outcome(recipe="mine", seed=1, fold=1, diverged="NaN")
    found = Comparison(
        (*both(0, 0, 0.75), *both(0, 1, 0.25), *both(1, 0, 1.0), both(1, 1, 1.0)[0], lost),
        "fp32",
        0.003,
    )

    assert seed_differences(found, "accuracy") == {"mine": [0.0]}
    assert found["mine"].accuracy_difference.mean == 0.0


def test_their_mean_is_the_comparison_s(comparison: Comparison) -> None:
    for what in ("accuracy", "loss"):
        values = seed_differences(comparison, what)["lossy"]
        mean = getattr(comparison["lossy"], f"{what}_difference").mean
        assert math.fsum(values) / len(values) == mean


def test_marks_intervals_and_margin_are_at_their_places(comparison: Comparison) -> None:
    """
    In points: -1 and -3, mean -2, standard error 1.

    With one degree of freedom 95 % take 12.706 and 90 % take 6.314 standard errors.
    """
    image = paired_differences(comparison)

    place = axis(image, "−5", "+5")
    dots = next(
        one.get("d") or ""
        for one in ET.XML(image).iter(f"{SVG}path")
        if one.get("class") == "stroke-second" and one.get("stroke-linecap")
    )
    found = [place(float(x)) for x in re.findall(r"M([\d.]+) ", dots)]
    assert found == pytest.approx([-1, -3], abs=0.01)
    thin, thick, mean = (rectangles(image, "fill-second"))[:3]
    assert [place(end) for end in thin[:2]] == pytest.approx([-14.706, 10.706], abs=0.01)
    assert [place(end) for end in thick[:2]] == pytest.approx([-8.314, 4.314], abs=0.01)
    assert place((mean[0] + mean[1]) / 2) == pytest.approx(-2, abs=0.01)
    (band,) = rectangles(image, "bar")
    assert [place(end) for end in band[:2]] == pytest.approx([-0.3, 0.3], abs=0.01)


def test_it_says_in_words_what_is_drawn(comparison: Comparison) -> None:
    (description,) = (
        one.text or "" for one in ET.XML(paired_differences(comparison)).iter(f"{SVG}desc")
    )

    assert (
        "lossy less fp32, 2 seeds: −2 points of accuracy, 95 % from −14.71 to +10.71" in description
    )
    assert "wild less fp32, 1 seed: 0 points of accuracy; 0 nats of log-loss" in description


def test_equal_values_are_piled(outcome: Callable[..., Outcome]) -> None:
    found = Comparison(
        tuple(outcome(name, seed, 0.5, 1.0) for seed in range(400) for name in ("fp32", "b")),
        "fp32",
        0.003,
    )

    image = paired_differences(found)

    dots = next(
        one.get("d") or "" for one in ET.XML(image).iter(f"{SVG}path") if one.get("stroke-linecap")
    )
    heights = [float(y) for y in re.findall(r" ([\d.]+)h0", dots)]
    assert len(set(heights)) > 300
    assert 26 < min(heights) < max(heights) < 26 + 62, "within the row"


def test_where_all_diverged_that_is_said() -> None:
    lost = tuple(Outcome(recipe=name, seed=0, fold=0, diverged="NaN") for name in ("fp32", "b"))

    image = paired_differences(Comparison(lost, "fp32", 0.003))

    assert image.count("no pair") == 2
    assert "no seed in which neither it nor fp32 diverged" in image
    assert "nan" not in re.sub(r"<(title|desc).*?>.*?<", "<", image)


def test_names_are_escaped(outcome: Callable[..., Outcome]) -> None:
    found = Comparison((outcome("fp32", 0, 1, 1), outcome("<b>", 0, 1, 1)), "fp32", 0.003)

    assert "<b>" not in paired_differences(found)

"""Errors are drawn at their height, exact results in a row of their own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from fp8num.analysis import TensorAnalysis, analyze_tensor
from fp8num.inputs import tensor_from_array
from fp8num.report.figures import error_against_magnitude

SVG = "{http://www.w3.org/2000/svg}"


def analysis(
    x: npt.ArrayLike, formats: tuple[str, ...] = ("E2M1FN",), rules: tuple[str, ...] = ("unit",)
) -> TensorAnalysis:
    return analyze_tensor(tensor_from_array("w", np.asarray(x, np.float64)), formats, rules)


def heights(image: str) -> dict[str, float]:
    """Return where the labels left of the first panel are."""
    return {
        element.text or "": float(element.get("y", "")) - 3
        for element in ET.XML(image).iter(f"{SVG}text")
        if element.get("text-anchor") == "end"
    }


def markers(image: str) -> list[tuple[float, float]]:
    """Return the data points of the first rule, that of the legend left out."""
    paths = [
        element.get("d") or ""
        for element in ET.XML(image).iter(f"{SVG}path")
        if element.get("class") == "stroke-first" and element.get("stroke-linecap")
    ]
    points = re.findall(r"M([\d.]+) ([\d.]+)h0", "".join(paths[:-1]))
    return [(float(x), float(y)) for x, y in points]


def test_an_element_that_underflows_has_an_error_of_100_percent() -> None:
    """E2M1FN rounds 0.1 to 0, and 1.0 to itself."""
    image = error_against_magnitude(analysis([0.1, 1.0]))

    y = heights(image)
    assert sorted(height for _, height in markers(image)) == pytest.approx(
        [y["100%"], y["exact"]], abs=0.02
    )


def test_a_known_error_lies_between_its_decades() -> None:
    """E2M1FN rounds 1.2 to 1: an error of a sixth, 0.222 decades above a tenth."""
    image = error_against_magnitude(analysis([1.2]))

    y = heights(image)
    ((_, height),) = markers(image)
    assert height == pytest.approx(y["10%"] + 0.2218 * (y["100%"] - y["10%"]), abs=0.1)


def test_the_axis_goes_down_to_what_the_precision_gives() -> None:
    narrow = heights(error_against_magnitude(analysis([1.2], ("E2M1FN",))))
    wide = heights(error_against_magnitude(analysis([1.2], ("BFLOAT16",))))

    assert "1%" in narrow
    assert "0.1%" not in narrow
    assert "0.01%" in wide


def test_errors_beyond_the_axis_are_drawn_at_its_end() -> None:
    """posit8 never rounds to zero: 2**-60 becomes 2**-24, an error of 10**13 percent."""
    image = error_against_magnitude(analysis([2.0**-60], ("POSIT8",)))

    ((_, height),) = markers(image)
    assert height == pytest.approx(heights(image)["1000%"], abs=0.02)


def test_every_format_has_a_panel_and_every_rule_a_line() -> None:
    found = analysis(
        np.linspace(0.1, 7, 99), ("E2M1FN", "E2M3FN", "E3M2FN", "E5M2"), ("unit", "tensor")
    )

    root = ET.XML(error_against_magnitude(found))

    texts = [element.text for element in root.iter(f"{SVG}text")]
    lines = [e for e in root.iter(f"{SVG}path") if e.get("stroke-dasharray") == "4 2"]
    assert {"E2M1FN", "E2M3FN", "E3M2FN", "E5M2", "no scale", "per-tensor scale"} <= set(texts)
    assert len(lines) == 4 + 1, "one more in the legend"


def test_lines_are_broken_where_there_are_no_elements() -> None:
    image = error_against_magnitude(analysis([1.1, 2.1, 17.3, 35.1], ("E5M2",)))

    line = next(
        element.get("d") or ""
        for element in ET.XML(image).iter(f"{SVG}path")
        if element.get("class") == "stroke-first"
    )
    assert line.count("M") == 2
    assert line.count("L") == 2


def test_markers_do_not_crowd() -> None:
    image = error_against_magnitude(analysis(1.1 * 2.0 ** np.arange(-60, 60), ("E5M2",)))

    places = sorted(x for x, _ in markers(image))
    assert 2 < len(places) < 20
    assert min(b - a for a, b in pairwise(places)) > 10


def test_errors_are_said_in_words() -> None:
    root = ET.XML(error_against_magnitude(analysis([0.1, 1.0], ("E2M1FN", "E5M2"))))

    assert root.find(f"{SVG}desc").text == (  # type: ignore[union-attr]
        "Lowest and highest root mean square relative error of a binade. "
        "E2M1FN, no scale: 0% to 100%; E5M2, no scale: 0% to 6.25%"
    )


@pytest.mark.parametrize("x", [[], [0.0], [np.nan, np.inf], 5e-324, [1.7e308, -5e-324]])
def test_any_tensor_can_be_drawn(x: npt.ArrayLike) -> None:
    ET.XML(error_against_magnitude(analysis(x, ("E4M3FN", "E8M0FNU", "POSIT8"))))

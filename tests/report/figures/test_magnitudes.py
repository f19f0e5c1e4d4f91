"""The exponent histogram has a bar for each binade, and ranges where scales put them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest

import fp8num as fp
from fp8num.analysis import TensorAnalysis, analyze_tensor
from fp8num.inputs import tensor_from_array
from fp8num.report.figures import exponent_histogram

SVG = "{http://www.w3.org/2000/svg}"


def analysis(
    x: npt.ArrayLike, formats: tuple[str, ...] = ("E4M3FN",), rules: tuple[str, ...] = ("unit",)
) -> TensorAnalysis:
    array = np.asarray(x)
    if array.dtype != np.float64:
        array = array.astype(np.float32)
    return analyze_tensor(tensor_from_array("w", array), formats, rules)


def rects(image: str, kind: str) -> list[tuple[float, float, float, float]]:
    """Return left, right, top and bottom of the rectangles of a kind."""
    found = []
    for element in ET.XML(image).iter(f"{SVG}rect"):
        if element.get("class") == kind:
            x, y, w, h = (float(element.get(name, "")) for name in ("x", "y", "width", "height"))
            found.append((x, x + w, y, y + h))
    return found


def test_bars_have_the_heights_of_their_shares() -> None:
    """Three elements in [1, 2), one in [4, 8): 75% and 25%."""
    low, high = rects(exponent_histogram(analysis([1.0, -1.5, 1.25, 5.0])), "bar")

    assert (low[3] - low[2]) / (high[3] - high[2]) == pytest.approx(3, rel=0.02)
    assert high[0] - low[0] == pytest.approx(2 * (high[1] - high[0] + 1), abs=0.1), "a gap of 1"


def test_a_rare_binade_is_at_least_a_pixel_high() -> None:
    x = np.append(np.ones(1_000_000, np.float32), np.float32(2.0**-10))

    assert (
        min(bottom - top for *_, top, bottom in rects(exponent_histogram(analysis(x)), "bar")) == 1
    )


def test_a_range_ends_at_the_largest_value_over_the_scale() -> None:
    """With a scale that takes amax = 1 to E2M1FN's 6, the range ends where the elements do."""
    image = exponent_histogram(analysis([1.0, 0.25], ("E2M1FN",), ("unit", "tensor")))

    bar_of_one = max(right for _, right, *_ in rects(image, "bar"))
    end = max(right for _, right, *_ in rects(image, "fill-second")[:-1])  # the last: legend
    binade = np.diff([left for left, *_ in rects(image, "bar")])[0] / 2
    assert end == pytest.approx(bar_of_one - binade, abs=1.5)  # 1.0 begins its binade


def test_formats_that_were_not_analysed_are_drawn_as_they_are() -> None:
    image = exponent_histogram(analysis([1.0]), [fp.E5M2, fp.POSIT8])

    texts = {element.text for element in ET.XML(image).iter(f"{SVG}text")}
    assert {"E5M2", "POSIT8"} <= texts
    assert "E4M3FN" not in texts


def test_the_figure_says_in_words_what_it_shows() -> None:
    root = ET.XML(exponent_histogram(analysis([1.0, 1.5, 6.0, 0.0])))

    assert root.find(f"{SVG}desc").text == (  # type: ignore[union-attr]
        "Histogram of 3 finite nonzero elements by power of two, from 1 to 6. The fullest binade, "
        "from 2⁰ to 2¹, holds 66.7%. Below, the range of each format."
    )


def test_two_thousand_binades_share_bars() -> None:
    x = 2.0 ** np.arange(-1070, 1023)
    image = exponent_histogram(analysis(x))

    assert len(rects(image, "bar")) <= 110
    assert "per 20 binades" in image


@pytest.mark.parametrize("x", [[], [0.0], [np.nan, np.inf], 5e-324, [1.7e308, -5e-324]])
def test_any_tensor_can_be_drawn(x: npt.ArrayLike) -> None:
    x = np.asarray(x, np.float64)

    image = exponent_histogram(analysis(x, ("E4M3FN", "E8M0FNU", "POSIT8"), ("unit", "tensor")))

    ET.XML(image)
    drawn = bool(np.any(np.isfinite(x) & (x != 0)))
    assert ("no finite nonzero elements" in image) != drawn

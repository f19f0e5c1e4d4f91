"""The number line has a mark for every value, at its logarithm."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

import fp8num as fp
from fp8num.report.figures import number_line
from fp8num.report.figures.values import Window

SVG = "{http://www.w3.org/2000/svg}"


def ticks(image: str, kind: str) -> list[float]:
    """Return where ticks of a kind are."""
    return [
        float(x)
        for element in ET.XML(image).iter(f"{SVG}path")
        if element.get("class") == f"stroke-{kind}"
        for x in re.findall(r"M([\d.]+)", element.get("d") or "")
    ]


def test_every_value_of_e2m1_has_a_tick_at_its_logarithm() -> None:
    """0.5 is subnormal; 1 1.5 2 3 4 6 are normal (OCP MX 1.0, table 5)."""
    image = number_line([fp.E2M1FN])

    (half,), (one, _, two, _, four, six) = ticks(image, "tick-subnormal"), ticks(image, "tick")

    binade = two - one
    assert one - half == pytest.approx(binade, abs=0.5)
    assert four - two == pytest.approx(binade, abs=0.5)
    assert six - four == pytest.approx(binade * 0.58496, abs=0.5)


def test_the_number_of_values_is_said_in_words_and_in_the_figure() -> None:
    root = ET.XML(number_line([fp.E4M3FN, fp.BFLOAT16]))

    assert root.find(f"{SVG}desc").text == (  # type: ignore[union-attr]
        "E4M3FN: 126 values from 2⁻⁹ to 448; BFLOAT16: 32,639 values from 2⁻¹³³ to 3.39e+38"
    )
    assert {"126", "32,639"} <= {element.text for element in root.iter(f"{SVG}text")}


def test_ticks_that_touch_are_a_bar_so_that_a_wide_format_stays_small() -> None:
    assert len(number_line([fp.BINARY16, fp.BFLOAT16])) < 10_000


def test_the_axis_is_that_of_the_narrow_formats() -> None:
    alone, beside = number_line([fp.E4M3FN]), number_line([fp.E4M3FN, fp.BFLOAT16, fp.E8M0FNU])

    assert ticks(alone, "tick") == ticks(beside, "tick")[: len(ticks(alone, "tick"))]


@pytest.mark.parametrize("name", [*fp.FORMATS, "binary16p1se", "binary8p1uf"])
def test_any_format_can_be_drawn(name: str) -> None:
    """P3109's widest reach beyond float64, E8M0FNU has no zero, posit8 no subnormals."""
    fmt = fp.get_format(name)

    ET.XML(number_line([fmt]))


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [
        (fp.E5M2, (-16, -14, 15.80735)),
        (fp.E8M0FNU, (-127, -127, 127)),
        (fp.POSIT8, (-24, -24, 24)),
        (fp.HIFLOAT8, (-22, -15, 15)),
    ],
)
def test_windows(fmt: fp.Format, expected: tuple[float, float, float]) -> None:
    assert Window.of(fmt) == pytest.approx(expected, abs=1e-5)
    assert Window.of(fmt).shifted(8.0) == pytest.approx([end - 3 for end in expected], abs=1e-5)


def test_nothing_to_draw_is_drawn() -> None:
    ET.XML(number_line([]))

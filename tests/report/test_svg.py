"""Drawings are well-formed, described and round in their numbers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis import given

from fp8num.report.svg import Drawing, Scale, steps

if TYPE_CHECKING:
    from collections.abc import Callable

SVG = "{http://www.w3.org/2000/svg}"


def drawing(**changes: str) -> Drawing:
    words = {"key": "k", "title": "a title", "description": "a description"} | changes
    return Drawing(width=100, height=50, **words)


def test_a_drawing_is_an_image_named_by_its_title_and_description() -> None:
    root = ET.XML(drawing().render())

    labels = (root.get("aria-labelledby") or "").split()
    texts = {element.get("id"): element.text for element in root}
    assert root.get("role") == "img"
    assert [texts[label] for label in labels] == ["a title", "a description"]
    assert root.get("viewBox") == "0 0 100 50"


def test_hostile_text_stays_text(hostile: tuple[str, ...]) -> None:
    for name in hostile:
        image = drawing(title=name, description=name, key="k")
        image.text(0, 0, name, class_=name)

        root = ET.XML(image.render())

        assert [element.tag for element in root.iter()] == [
            f"{SVG}{tag}" for tag in ("svg", "title", "desc", "text")
        ]


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda d: d.line(0, 1, 2.5, 3, stroke="red"),
         '<line x1="0" y1="1" x2="2.5" y2="3" stroke="red"/>'),
        (lambda d: d.rect(5, 6, 2, 4, class_="bar"),
         '<rect x="2" y="4" width="3" height="2" class="bar"/>'),
        (lambda d: d.text(1, 2, "a<b", text_anchor="end"),
         '<text x="1" y="2" text-anchor="end">a&lt;b</text>'),
        (lambda d: d.path([("M", 0.126, -0.001), ("L", 1, 2)]), '<path d="M0.13 0L1 2"/>'),
        (lambda d: d.dots([(1, 2), (3, 4)]), '<path d="M1 2h0M3 4h0"/>'),
        (lambda d: d.path([]), ""),
        (lambda d: d.dots([]), ""),
    ],
)  # fmt: skip
def test_elements(draw: Callable[[Drawing], None], expected: str) -> None:
    empty, image = drawing(), drawing()

    draw(image)

    assert image.render() == empty.render().replace("</svg>", f"{expected}</svg>")


def test_a_scale_maps_its_ends_and_clamps_what_is_outside() -> None:
    scale = Scale(-2, 2, 100, 0)

    assert [scale(-2), scale(0), scale(2)] == [100, 50, 0]
    assert [scale.clamp(-9), scale.clamp(1), scale.clamp(9)] == [100, 25, 0]


@given(st.floats(-1100, 1100), st.floats(0, 2200), st.integers(2, 20))
def test_ticks_are_few_round_and_within(low: float, length: float, most: int) -> None:
    ticks = steps(low, low + length, most)

    assert len(ticks) <= most
    assert all(low <= tick <= low + length and tick % ticks.step == 0 for tick in ticks)
    assert str(ticks.step).rstrip("0") in {"1", "2", "5"}

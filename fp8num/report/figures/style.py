"""What the figures have in common: colours, the axis of magnitudes, how rules are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from fp8num.report.labels import power_of_two, rule_name, shorten
from fp8num.report.svg import steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fp8num.formats import Format
    from fp8num.report.svg import Drawing, Scale

__all__ = [
    "BLUE",
    "FAINT",
    "GREY",
    "MAGNITUDE",
    "NAME_WIDTH",
    "Caption",
    "RuleStyle",
    "caption",
    "draw_arrows",
    "draw_grid",
    "draw_legend",
    "draw_line",
    "draw_magnitude_axis",
    "draw_markers",
    "draw_name",
    "draw_range",
    "legend_height",
    "magnitude_ticks",
    "rule_styles",
]

FAINT, GREY, GRID, PAPER, BLUE = "#57606a", "#6e7781", "#d8dee4", "#fff", "#0072b2"

MAGNITUDE = "magnitude |x|, scale of powers of two"
NAME_WIDTH = 104  #: of the names of formats left of an axis
LEGEND_WIDTH, LEGEND_LINE = 600, 16  #: at most, a little of it blank; from line to line


class Caption(TypedDict):
    """Attributes of the small text of axes and legends."""

    fill: str
    class_: str


caption: Caption = {"fill": FAINT, "class_": "faint"}


@dataclass(frozen=True, slots=True)
class RuleStyle:
    """How a rule is drawn: in its colour and, for want of colour, by dash and fill."""

    label: str
    key: str  #: in the names of the style sheet's classes
    colour: str
    dash: str
    solid: bool


# Blue and vermilion of the Okabe-Ito palette stay apart in every kind of colour blindness.
_STYLES = (
    ("first", BLUE, "none", True),
    ("second", "#c04a00", "4 2", False),
    ("third", "#00785a", "1 2", True),
    ("fourth", "#8a4f7d", "6 2 1 2", False),
    ("fifth", "#6d6100", "8 3", True),
    ("sixth", "#b0185c", "1 4 4 4", False),
)


def rule_styles(rules: Iterable[str]) -> dict[str, RuleStyle]:
    """Return how each rule is drawn, in the order of their first occurrence."""
    names = list(dict.fromkeys(rules))
    return {
        rule: RuleStyle(rule_name(rule), *_STYLES[i % len(_STYLES)]) for i, rule in enumerate(names)
    }


def draw_name(drawing: Drawing, fmt: Format, y: float) -> None:
    """Write the name of a format left of its row."""
    name = shorten(fmt.name, 13)
    drawing.text(NAME_WIDTH - 12, y, name, text_anchor="end", font_weight="600")


def draw_grid(
    drawing: Drawing, x: Scale, y: Scale, xs: Iterable[float], ys: Iterable[float]
) -> None:
    """Draw lines across a plot."""
    commands = [
        *(point for at in xs for point in (("M", x(at), y.start), ("L", x(at), y.end))),
        *(point for at in ys for point in (("M", x.start, y(at)), ("L", x.end, y(at)))),
    ]
    drawing.path(commands, stroke=GRID, fill="none", class_="grid")


def draw_magnitude_axis(drawing: Drawing, x: Scale, y: float, ticks: range) -> None:
    """Draw an axis of powers of two, with a label at each tick."""
    drawing.line(x.start, y, x.end, y, stroke=FAINT, class_="axis")
    for exponent in ticks:
        drawing.text(x(exponent), y + 14, power_of_two(exponent), text_anchor="middle", **caption)


def magnitude_ticks(x: Scale, apart: float) -> range:
    """Return exponents at least so many pixels apart."""
    return steps(x.low, x.high, max(int(abs(x.end - x.start) / apart), 2))


def draw_arrows(drawing: Drawing, x: Scale, y: float, low: float, high: float) -> None:
    """Draw an arrow head at each end of an axis beyond which a range goes on."""
    if low < x.low:
        head = [("M", x.start - 7, y), ("L", x.start - 2, y - 3.5), ("L", x.start - 2, y + 3.5)]
        drawing.path(head, fill=FAINT, class_="fill-faint")
    if high > x.high:
        head = [("M", x.end + 7, y), ("L", x.end + 2, y - 3.5), ("L", x.end + 2, y + 3.5)]
        drawing.path(head, fill=FAINT, class_="fill-faint")


def draw_line(
    drawing: Drawing, commands: Sequence[tuple[str, float, float]], style: RuleStyle
) -> None:
    """Draw a rule's line."""
    drawing.path(
        commands, fill="none", stroke=style.colour, stroke_width="1.4",
        stroke_dasharray=style.dash, class_=f"stroke-{style.key}",
    )  # fmt: skip


def draw_markers(drawing: Drawing, points: Sequence[tuple[float, float]], style: RuleStyle) -> None:
    """Draw a rule's data points: discs, or squares that are light inside."""
    cap, width = ("round", "3.6") if style.solid else ("square", "5.6")
    drawing.dots(
        points, stroke=style.colour, stroke_width=width, stroke_linecap=cap,
        class_=f"stroke-{style.key}",
    )  # fmt: skip
    if not style.solid:  # a disc at the same place fits in
        drawing.dots(
            points, stroke=PAPER, stroke_width="3.6", stroke_linecap=cap, class_="stroke-paper"
        )


def draw_range(
    drawing: Drawing, left: float, right: float, y: float, style: RuleStyle, *, height: float = 5
) -> None:
    """Draw a horizontal bar: full, or an outline."""
    inside = {"fill": style.colour, "class_": f"fill-{style.key}"}
    drawing.rect(left, y, right, y + height, **inside)
    if not style.solid and right - left > 2:
        drawing.rect(left + 1, y + 1, right - 1, y + height - 1, fill=PAPER, class_="paper")


def draw_legend(drawing: Drawing, y: float, styles: Iterable[RuleStyle], *, bars: bool) -> None:
    """Show the rules' names beside a sample of their bars, or of their lines."""
    for style, x, line in _places(styles, bars=bars):
        _draw_sample(drawing, x, y + LEGEND_LINE * line, style, bars=bars)


def legend_height(styles: Iterable[RuleStyle], *, bars: bool) -> int:
    """Return the height of a legend's lines after the first."""
    return LEGEND_LINE * max((line for _, _, line in _places(styles, bars=bars)), default=0)


def _places(styles: Iterable[RuleStyle], *, bars: bool) -> Iterator[tuple[RuleStyle, float, int]]:
    """Yield where each rule's sample is: the next line begins where the width is used up."""
    left = float(NAME_WIDTH if bars else 52)
    x, line = left, 0
    for style in styles:
        width = 60 + 6 * len(style.label)
        if x > left and x + width > LEGEND_WIDTH:
            x, line = left, line + 1
        yield style, x, line
        x += width


def _draw_sample(drawing: Drawing, x: float, y: float, style: RuleStyle, *, bars: bool) -> None:
    if bars:
        draw_range(drawing, x, x + 24, y - 6.5, style)
    else:
        draw_line(drawing, [("M", x, y - 4), ("L", x + 24, y - 4)], style)
        draw_markers(drawing, [(x + 12, y - 4)], style)
    drawing.text(x + 31, y, style.label, **caption)

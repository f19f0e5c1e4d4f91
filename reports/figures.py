"""
What the figures of the reports have in common: plots, series, error bars, rows of intervals.

::

    blank --> Drawing --plot--> Panel: axes, series, band, bar      legend(drawing, ...)
    intervals(rows) --> a dot and an interval for each row, panels side by side

Series are told apart by dash and shape as well as by colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fp8num.report.figures.style import BLUE, FAINT, PAPER, caption, draw_grid
from fp8num.report.svg import Drawing, Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "BAND",
    "LEFT",
    "PLOT",
    "TOP",
    "WIDTH",
    "Interval",
    "Panel",
    "Series",
    "blank",
    "intervals",
    "legend",
    "plot",
    "style",
    "ticks_of",
]

WIDTH, LEFT, TOP, PLOT, RIGHT = 570, 66, 30, 200, 12
BAND = "#c9ced4"
Point = tuple[float, float]
#: Each shape as points around a place, in pixels; an outline is filled with white.
SHAPES: dict[str, tuple[Point, ...]] = {
    "square": ((-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)),
    "triangle": ((0, -4.5), (4, 3.5), (-4, 3.5)),
    "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
    "inverted": ((0, 4.5), (4, -3.5), (-4, -3.5)),
}
OUTLINES = {"square", "diamond"}


@dataclass(frozen=True)
class Series:
    """How a series is drawn: in its colour and, for want of colour, by dash and shape."""

    label: str
    colour: str
    dash: str
    shape: str

    def line(self, drawing: Drawing, places: Sequence[Point]) -> None:
        """Draw a line through places of the drawing."""
        drawing.path(
            _closed(places, end=False), fill="none", stroke=self.colour, stroke_width="1.4",
            stroke_dasharray=self.dash,
        )  # fmt: skip

    def marks(self, drawing: Drawing, places: Sequence[Point]) -> None:
        """Draw a mark at each place."""
        if self.shape == "disc":
            drawing.dots(places, stroke=self.colour, stroke_width="5.5", stroke_linecap="round")
            return
        fill = PAPER if self.shape in OUTLINES else self.colour
        for x, y in places:
            corners = [(x + a, y + b) for a, b in SHAPES[self.shape]]
            outline = _closed(corners, end=True)
            drawing.path(outline, fill=fill, stroke=self.colour, stroke_width="1.3")


def _closed(places: Sequence[Point], *, end: bool) -> list[tuple[str, float, float]]:
    """Return a path through places, back to the first if wanted."""
    through = [*places, places[0]] if end else places
    return [("L" if i else "M", *place) for i, place in enumerate(through)]


# Blue, vermilion, green and purple of the Okabe-Ito palette, darkened to be read on white.
_STYLES = (
    (BLUE, "none", "disc"),
    ("#c04a00", "4 2", "square"),
    ("#00785a", "1 2", "triangle"),
    ("#8a4f7d", "6 2 1 2", "diamond"),
    ("#24292f", "8 3", "inverted"),
)


def style(number: int, label: str) -> Series:
    """Return how the series of a number is drawn."""
    return Series(label, *_STYLES[number])


@dataclass(frozen=True)
class Panel:
    """A plot: its scales, and the drawing that it is on."""

    drawing: Drawing
    x: Scale
    y: Scale

    def axes(
        self, xs: Sequence[float], ys: Sequence[float], x_label: Callable[[float], str],
        y_label: Callable[[float], str], names: tuple[str, str],
    ) -> None:  # fmt: skip
        """Draw the grid, ticks' labels, and what the axes are."""
        draw_grid(self.drawing, self.x, self.y, xs, ys)
        self.drawing.line(self.x.start, self.y.start, self.x.end, self.y.start, stroke=FAINT)
        for at in xs:
            place = self.x(at), self.y.start + 15
            self.drawing.text(*place, x_label(at), text_anchor="middle", **caption)
        for at in ys:
            place = self.x.start - 7, self.y(at) + 4
            self.drawing.text(*place, y_label(at), text_anchor="end", **caption)
        middle = (self.x.start + self.x.end) / 2
        self.drawing.text(middle, self.y.start + 31, names[0], text_anchor="middle", **caption)
        self.drawing.text(self.x.start, self.y.end - 9, names[1], **caption)

    def series(self, points: Sequence[Point], how: Series, *, line: bool = True) -> None:
        """Draw points, and a line through them."""
        places = [(self.x(a), self.y(b)) for a, b in points]
        if line:
            how.line(self.drawing, places)
        how.marks(self.drawing, places)

    def band(self, low: Sequence[Point], high: Sequence[Point]) -> None:
        """Fill what lies between two lines."""
        edge = [(self.x(a), self.y(b)) for a, b in (*low, *reversed(high))]
        self.drawing.path(_closed(edge, end=True), fill=BAND, stroke="none")

    def bar(self, at: float, low: float, high: float, how: Series) -> None:
        """Draw an error bar with ends."""
        x, ends = self.x(at), (self.y(low), self.y(high))
        commands = [("M", x, ends[0]), ("L", x, ends[1])]
        commands += [p for y in ends for p in (("M", x - 3.5, y), ("L", x + 3.5, y))]
        self.drawing.path(commands, fill="none", stroke=how.colour, stroke_width="1.2")


def legend(drawing: Drawing, y: float, styles: Sequence[Series], columns: int = 2) -> None:
    """Show each series' name beside a sample."""
    width = (WIDTH - LEFT) / columns
    for i, how in enumerate(styles):
        row, column = divmod(i, columns)
        x, at = LEFT + column * width, y + 17 * row
        how.line(drawing, [(x, at - 4), (x + 24, at - 4)])
        how.marks(drawing, [(x + 12, at - 4)])
        drawing.text(x + 31, at, how.label, **caption)


def blank(key: str, title: str, description: str, rows: int) -> Drawing:
    """Return an empty drawing with room for a plot and rows of a legend."""
    height = TOP + PLOT + 52 + 17 * rows
    return Drawing(width=WIDTH, height=height, key=key, title=title, description=description)


def plot(drawing: Drawing, x: tuple[float, float], y: tuple[float, float], part: Point) -> Panel:
    """Return a plot on a part of the drawing's width, from 0 to 1."""
    room = WIDTH - LEFT - RIGHT
    ends = LEFT + part[0] * room, LEFT + part[1] * room
    return Panel(drawing, Scale(*x, *ends), Scale(*y, TOP + PLOT, TOP + 4))


@dataclass(frozen=True)
class Interval:
    """A mean with the ends of its interval."""

    mean: float
    low: float
    high: float


def ticks_of(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from `low` to `high`, 0 among them if it lies there."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(by for by in (1, 2, 5, 10) if (high - low) / (by * step) <= most)
    return [
        i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def intervals(
    rows: Mapping[str, Mapping[str, Sequence[Interval]]],
    axes: Sequence[tuple[str, tuple[float, float]]],
    *,
    key: str,
    title: str,
    description: str,
    band: float | None = None,
    names: int = 150,
    tick: Callable[[float], str] = "{:.6g}".format,
) -> str:
    """
    Draw a dot and an interval for each row and series, with panels side by side.

    Parameters
    ----------
    rows : mapping of str to mapping of str to sequence of Interval
        Rows from top to bottom; the intervals of each series, one for each panel.
    axes : sequence of (str, (low, high))
        What each panel's axis is, with its unit, and its range.
    key, title, description : str
        Of the drawing.
    band : float, optional
        The first panel's stretch around 0 that does not matter.
    names : int, optional
        Pixels for the names of rows.
    tick : callable, optional
        What a number on an axis is written as.

    Returns
    -------
    str
        The drawing.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    styles = [style(i, name) for i, name in enumerate(series)]
    tall = 8 + 11 * len(series)
    bottom = TOP + tall * len(rows)
    height = bottom + 62 + 17 * (math.ceil(len(series) / 2) + (band is not None))
    drawing = Drawing(width=WIDTH, height=height, key=key, title=title, description=description)
    room = (WIDTH - names - RIGHT - 26 * (len(axes) - 1)) / len(axes)
    for number, (label, (low, high)) in enumerate(axes):
        left = names + number * (room + 26)
        x, y = Scale(low, high, left, left + room), Scale(0, len(rows), TOP, bottom)
        panel = Panel(drawing, x, y)
        if band is not None and number == 0:
            drawing.rect(x.clamp(-band), TOP, x.clamp(band), bottom, fill=BAND)
        _across(panel, ticks_of(low, high, 5), label, tick)
        for i, row in enumerate(rows.values()):
            for j, how in enumerate(styles):
                if how.label in row:
                    at = TOP + i * tall + 4 + 11 * (j + 0.5)
                    _interval(panel, row[how.label][number], at, how)
    for i, name in enumerate(rows):
        drawing.text(names - 10, TOP + (i + 0.5) * tall + 4, name, text_anchor="end", **caption)
        if i:
            drawing.line(4, TOP + i * tall, WIDTH - RIGHT, TOP + i * tall, stroke=BAND)
    legend(drawing, bottom + 58, styles)
    if band is not None:
        at = bottom + 58 + 17 * math.ceil(len(series) / 2)
        drawing.rect(LEFT, at - 9, LEFT + 24, at + 1, fill=BAND)
        drawing.text(LEFT + 31, at, f"differences of up to {band:g} points", **caption)
    return drawing.render()


def _across(panel: Panel, ticks: Sequence[float], label: str, tick: Callable[[float], str]) -> None:
    """Draw the horizontal axis of a panel, and a line at 0."""
    draw_grid(panel.drawing, panel.x, panel.y, ticks, [])
    bottom = panel.y.end
    panel.drawing.line(panel.x.start, bottom, panel.x.end, bottom, stroke=FAINT)
    for at in ticks:
        panel.drawing.text(panel.x(at), bottom + 15, tick(at + 0), text_anchor="middle", **caption)
    middle = (panel.x.start + panel.x.end) / 2
    panel.drawing.text(middle, bottom + 31, label, text_anchor="middle", **caption)
    if panel.x.low < 0 < panel.x.high:
        zero = panel.x(0)
        panel.drawing.line(zero, panel.y.start, zero, bottom, stroke=FAINT, stroke_width="1.2")


def _interval(panel: Panel, one: Interval, y: float, how: Series) -> None:
    """Draw a mean and its interval; where they leave the axis, arrows and the mean as text."""
    if math.isnan(one.mean):
        return
    x = panel.x
    ends = [(end, x.clamp(end)) for end in (one.low, one.high) if not math.isnan(end)]
    commands: list[tuple[str, float, float]] = []
    if len(ends) == 2:
        commands = [("M", ends[0][1], y), ("L", ends[1][1], y)]
    for value, at in ends:
        if x.low <= value <= x.high:
            commands += [("M", at, y - 3), ("L", at, y + 3)]
        else:
            back = 5 if value < x.low else -5
            commands += [("M", at + back, y - 3.5), ("L", at, y), ("L", at + back, y + 3.5)]
    panel.drawing.path(commands, fill="none", stroke=how.colour, stroke_width="1.2")
    if x.low <= one.mean <= x.high:
        how.marks(panel.drawing, [(x(one.mean), y)])
        return
    right = one.mean > x.high
    place = (x.end - 9, y + 4) if right else (x.start + 9, y + 4)
    anchor = "end" if right else "start"
    panel.drawing.text(*place, f"{one.mean:+.3g}", text_anchor=anchor, **caption)

"""Plots of curves and intervals: linear and logarithmic axes, bands, names at the lines' ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fp8num.report.figures.style import FAINT, caption, draw_grid
from fp8num.report.labels import number, shorten
from fp8num.report.svg import Drawing, Scale, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fp8num.report.figures.style import RuleStyle

__all__ = ["Plot", "decade_ticks", "draw_names", "round_ticks", "spread"]

LINE = 13  #: pixels from one line of text to the next
NAME = 16  #: characters of a name beside a line


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """
    Return round numbers within a range.

    Parameters
    ----------
    low, high : float
        The range, not empty.
    most : int
        How many there may be; at least 2.

    Returns
    -------
    list of float
        Multiples of 1, 2 or 5 times a power of ten.

    Examples
    --------
    >>> round_ticks(-0.0004, 0.0011, 5)
    [0.0, 0.0005, 0.001]
    """
    # A unit so small that the range holds enough integers; decimal digits round it back.
    power = math.floor(math.log10(high - low)) - 2
    found = steps(low / 10.0**power, high / 10.0**power, most)
    return [float(f"{at}e{power}") for at in found]


def decade_ticks(low: float, high: float) -> list[float]:
    """
    Return decimal logarithms of round numbers for a logarithmic axis.

    Parameters
    ----------
    low, high : float
        Logarithms of the ends.

    Returns
    -------
    list of float
        Of 1, 2 and 5 times powers of ten, of powers of ten alone if that would be too many.
    """
    powers = steps(math.floor(low), math.ceil(high), 9)
    digits = (1, 2, 5) if high - low < 3.5 else (1,)
    ticks = [power + math.log10(digit) for power in powers for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]


def spread(places: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """
    Move places from each other so that texts there do not overlap.

    Parameters
    ----------
    places : sequence of float
        Where the texts ought to be.
    apart : float
        How far from each other they must be.
    low, high : float
        Where the first and the last may be; texts that do not fit go beyond `high`.

    Returns
    -------
    list of float
        In the order of `places`; places that are the same keep it.

    Examples
    --------
    >>> spread([50, 52, 10], 10, 0, 100)
    [46.0, 56.0, 10.0]
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    # Clusters that touch are merged, each around the mean of where its texts ought to be.
    clusters: list[list[int]] = []
    tops: list[float] = []
    for i in order:
        clusters.append([i])
        tops.append(places[i])
        while True:
            length = (len(clusters[-1]) - 1) * apart
            middle = sum(places[j] for j in clusters[-1]) / len(clusters[-1])
            tops[-1] = max(min(middle - length / 2, high - length), low)
            if len(tops) == 1 or tops[-1] - tops[-2] >= len(clusters[-2]) * apart:
                break
            clusters[-2:] = [clusters[-2] + clusters[-1]]
            tops.pop()
    found = dict.fromkeys(order, 0.0)
    for cluster, top in zip(clusters, tops, strict=True):
        found |= {i: top + k * apart for k, i in enumerate(cluster)}
    return [found[i] for i in range(len(places))]


@dataclass(frozen=True, slots=True)
class Plot:
    """
    A plot on a drawing.

    Parameters
    ----------
    drawing : Drawing
        What it is on.
    x, y : Scale
        Its axes.
    """

    drawing: Drawing
    x: Scale
    y: Scale

    def draw_axes(
        self,
        xs: Iterable[float],
        ys: Iterable[float],
        *,
        write_x: Callable[[float], str] = number,
        write_y: Callable[[float], str] = number,
        below: str = "",
    ) -> None:
        """Draw the grid, the labels of ticks, and what is said below the horizontal axis."""
        drawing, x, y = self.drawing, self.x, self.y
        across, up = list(xs), list(ys)
        draw_grid(drawing, x, y, across, up)
        drawing.line(x.start, y.start, x.end, y.start, stroke=FAINT, class_="axis")
        for at in across:
            drawing.text(x(at), y.start + 14, write_x(at), text_anchor="middle", **caption)
        for at in up:
            drawing.text(x.start - 7, y(at) + 4, write_y(at), text_anchor="end", **caption)
        if below:
            middle = (x.start + x.end) / 2
            drawing.text(middle, y.start + 29, below, text_anchor="middle", **caption)

    def line(self, points: Iterable[tuple[float, float]]) -> list[tuple[str, float, float]]:
        """Return a path through points, of those beyond the vertical axis at its end."""
        return [("L" if i else "M", self.x(x), self.y.clamp(y)) for i, (x, y) in enumerate(points)]

    def draw_band(self, points: Sequence[tuple[float, float, float]], style: RuleStyle) -> None:
        """Fill between a lower and an upper value at each place; nothing if they are unknown."""
        known = [point for point in points if not math.isnan(point[1] + point[2])]
        there = [(x, low) for x, low, _ in known]
        back = [(x, high) for x, _, high in reversed(known)]
        self.drawing.path(
            self.line(there + back),
            fill=style.colour, fill_opacity="0.18", class_=f"fill-{style.key}",
        )  # fmt: skip


def draw_names(plot: Plot, ends: Sequence[tuple[str, float]], styles: Sequence[RuleStyle]) -> None:
    """
    Write names beside the ends of lines, each with a stroke to its own.

    Parameters
    ----------
    plot : Plot
        The plot, to the right of which the names are written.
    ends : sequence of (str, float)
        Names, and heights of their lines' ends in units of the data.
    styles : sequence of RuleStyle
        How each line is drawn.
    """
    x, y = plot.x.end, plot.y
    heights = [y.clamp(end) for _, end in ends]
    places = spread(heights, LINE, y.end + 4, y.start)
    for (name, _), style, height, place in zip(ends, styles, heights, places, strict=True):
        plot.drawing.path(
            [("M", x + 3, height), ("L", x + 11, place), ("L", x + 27, place)],
            fill="none", stroke=style.colour, stroke_width="1.4",
            stroke_dasharray=style.dash, class_=f"stroke-{style.key}",
        )  # fmt: skip
        plot.drawing.text(
            x + 31, place + 4, shorten(name, NAME),
            fill=style.colour, font_weight="600", class_=f"fill-{style.key}",
        )  # fmt: skip

"""The number line: every positive value of some formats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fp8num.report.figures.style import (
    BLUE,
    GREY,
    MAGNITUDE,
    NAME_WIDTH,
    caption,
    draw_arrows,
    draw_grid,
    draw_magnitude_axis,
    draw_name,
    magnitude_ticks,
)
from fp8num.report.labels import count, number, power_of_two
from fp8num.report.svg import Drawing, Scale

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from fp8num.formats import Format

__all__ = ["Window", "logarithms", "number_line"]

ROW = 26
WIDEST = 64  #: binades; formats of scales and of 16 bits may reach further than the axis


class Window(NamedTuple):
    """Where a format's positive values lie, as binary logarithms."""

    smallest: float
    smallest_normal: float
    largest: float

    @classmethod
    def of(cls, fmt: Format) -> Window:
        """Find the window of a format."""
        places = logarithms(fmt)
        return cls(
            float(places[0]), float(places[fmt.first_normal - fmt.has_zero]), float(places[-1])
        )

    def shifted(self, scale: float) -> Window:
        """Return where the elements lie that a scale takes into the window."""
        return Window(*(place - math.log2(scale) for place in self))


def logarithms(fmt: Format) -> npt.NDArray[np.float64]:
    """Return the binary logarithms of the positive values, also of those float64 cannot hold."""
    first = int(fmt.has_zero)
    found = np.log2(fmt.magnitudes.integers[first:]) + fmt.magnitudes.exponents[first:]
    return np.asarray(found, np.float64)


def number_line(formats: Iterable[Format], *, key: str = "number-line") -> str:
    """
    Draw the positive values of formats as ticks on a logarithmic scale.

    Parameters
    ----------
    formats : iterable of Format
        The formats, a row each.
    key : str, optional
        Prefix of the ids, to be unique on a page.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    rows = [(fmt, Window.of(fmt), logarithms(fmt)) for fmt in formats]
    bottom = 10 + ROW * len(rows)
    drawing = Drawing(
        width=1140,
        height=bottom + 36,
        key=key,
        title="Positive values of the formats",
        description="; ".join(
            f"{fmt.name}: {count(len(places))} values from {_bound(window.smallest)} "
            f"to {_bound(window.largest)}"
            for fmt, window, places in rows
        ),
    )
    x = Scale(*_limits([window for _, window, _ in rows]), NAME_WIDTH, 1060)
    ticks = magnitude_ticks(x, 40)
    draw_grid(drawing, x, Scale(0, 1, bottom, 4), ticks, [])
    draw_magnitude_axis(drawing, x, bottom, ticks)
    drawing.text((x.start + x.end) / 2, bottom + 31, MAGNITUDE, text_anchor="middle", **caption)
    drawing.text(1138, bottom + 14, "values", text_anchor="end", **caption)
    for i, (fmt, window, places) in enumerate(rows):
        y = 8 + ROW * i
        draw_name(drawing, fmt, y + 14)
        _draw_values(drawing, x, y, places, fmt.first_normal - fmt.has_zero)
        draw_arrows(drawing, x, y + 10, window.smallest, window.largest)
        drawing.text(1138, y + 14, count(len(places)), text_anchor="end", class_="number")
    return drawing.render()


def _limits(windows: list[Window]) -> tuple[float, float]:
    """Return the ends of the axis: all windows but those that would make dots of the rest."""
    narrow = [one for one in windows if one.largest - one.smallest < WIDEST] or windows
    low = min((window.smallest for window in narrow), default=0.0)
    high = max((window.largest for window in narrow), default=1.0)
    return math.floor(low) - 1, math.ceil(high) + 1


def _bound(log2: float) -> str:
    """Write a number given by its logarithm, exactly if it is a power of two."""
    if log2 == math.floor(log2):
        return power_of_two(int(log2))
    return number(2.0**log2) if abs(log2) < 1000 else f"about {power_of_two(round(log2))}"


def _draw_values(
    drawing: Drawing, x: Scale, y: float, places: npt.NDArray[np.float64], first_normal: int
) -> None:
    """Draw a tick for each value, short for subnormals, and a bar where ticks touch."""
    groups = (
        ("tick-subnormal", GREY, 7, places[:first_normal]),
        ("tick", BLUE, 2, places[first_normal:]),
    )
    for class_, colour, top, group in groups:
        inside = group[(group >= x.low) & (group <= x.high)]
        spots = np.unique(np.round(2 * (x.start + (inside - x.low) * x.unit)) / 2)
        ticks: list[tuple[str, float, float]] = []
        for run in np.split(spots, np.flatnonzero(np.diff(spots) > 1) + 1):
            if len(run) > 2:
                bar = (run[0] - 0.5, y + top, run[-1] + 0.5, y + 17)
                drawing.rect(*bar, fill=colour, class_=f"fill-{class_}")
            else:
                ticks += [p for at in run.tolist() for p in (("M", at, y + top), ("L", at, y + 17))]
        drawing.path(ticks, stroke=colour, fill="none", class_=f"stroke-{class_}")

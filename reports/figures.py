"""
What the figures of the reports have in common: their size, one legend, and SVG that stays.

::

    panels(...) --> Figure, Axes  --fp8num.plot, matplotlib-->  finished(...) --> SVG
    intervals(rows) --> a dot and an interval for each row, panels side by side

A drawing says its numbers in its description too: `same` compares those where drawings were made
with different versions of matplotlib, whose bytes differ.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fp8num import plot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

__all__ = ["BAND", "NOTE", "Interval", "finished", "intervals", "panels", "same"]

WIDTH = 7.2  #: inches
BAND = {"color": "#d5d9de", "linewidth": 0, "zorder": 0}  #: how what does not matter is drawn
NOTE = {"color": "#57606a", "fontsize": 8.5}  #: small text in a plot


class Interval(NamedTuple):
    """A mean with the ends of its interval."""

    mean: float
    low: float
    high: float


def panels(count: int = 1, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """Return a figure and its plots, side by side."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, [figure.add_subplot(1, count, i + 1) for i in range(count)]


def finished(figure: Figure, title: str, description: str) -> str:
    """Return a figure as SVG, with one legend of all panels above them."""
    handles = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
        if (legend := ax.get_legend()) is not None:
            legend.remove()
    if handles:
        columns = max(min(100 // (max(map(len, handles)) + 8), len(handles)), 1)
        figure.legend(
            list(handles.values()), list(handles), loc="outside upper left", ncols=columns,
            frameon=False, fontsize="small", handlelength=3,
        )  # fmt: skip
    return plot.to_svg(figure, title=title, description=description)


def intervals(
    rows: Mapping[str, Mapping[str, Sequence[Interval]]],
    axes: Sequence[tuple[str, tuple[float, float]]],
    *,
    title: str,
    description: str,
    band: float | None = None,
    tick: Callable[[float], str] | None = None,
) -> str:
    """
    Draw a dot and an interval for each row and series, with panels side by side.

    Parameters
    ----------
    rows : mapping of str to mapping of str to sequence of Interval
        Rows from top to bottom; the intervals of each series, one for each panel.
    axes : sequence of (str, (low, high))
        What each panel's axis is, with its unit, and its range.
    title, description : str
        Of the drawing.
    band : float, optional
        The first panel's stretch around 0 that does not matter, in points.
    tick : callable, optional
        What a number on an axis is written as.

    Returns
    -------
    str
        The drawing.
    """
    series = {name for row in rows.values() for name in row}
    height = 1.1 + (0.12 + 0.14 * len(series)) * len(rows)
    figure, plots = panels(len(axes), height)
    for i, (ax, (label, limits)) in enumerate(zip(plots, axes, strict=True)):
        some = {name: {one: row[one][i] for one in row} for name, row in rows.items()}
        plot.differences(some, ax, margin=None if i else band, limits=limits)
        ax.set_xlabel(label)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        if tick is not None:
            ax.xaxis.set_major_formatter(lambda place, _: tick(place))
        if i:
            ax.tick_params(labelleft=False)
    if band is not None:
        plots[0].axvspan(0, 0, label=f"differences of up to {band:g} points", **BAND)
    return finished(figure, title, description)


def same(old: str | None, new: str) -> bool:
    """Say whether a file is what it should be; if another matplotlib drew it, by what it says."""
    if old is None or old == new:
        return old == new
    versions = [re.findall(r"<dc:title>(Matplotlib v[^<]*)", text) for text in (old, new)]
    return [] not in versions and versions[0] != versions[1] and _said(old) == _said(new)


def _said(drawing: str) -> list[tuple[str, str]]:
    """Return the title and the description of a drawing."""
    words = r"<title>(.*?)</title>|<dc:description>(.*?)</dc:description>"
    return re.findall(words, drawing, re.DOTALL)

"""Relative error against magnitude, a panel for each format."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fp8num.report.figures.style import (
    FAINT,
    caption,
    draw_grid,
    draw_legend,
    draw_line,
    draw_magnitude_axis,
    draw_markers,
    legend_height,
    magnitude_ticks,
    rule_styles,
)
from fp8num.report.labels import percent, rule_name, shorten
from fp8num.report.svg import Drawing, Scale

if TYPE_CHECKING:
    from fp8num.analysis import FormatResult, TensorAnalysis
    from fp8num.formats import Format
    from fp8num.report.figures.style import RuleStyle

__all__ = ["error_against_magnitude"]

LEFT, TOP, COLUMNS = 52, 26, 3
PANEL, PLOT, NONE = 130, 84, 14  #: heights of a panel, of its plot, of the row for no error
POINTS = 110  #: more binades than these are drawn two, three ... to a point
APART = 14  #: pixels between the markers of a line


def error_against_magnitude(analysis: TensorAnalysis, *, key: str = "errors") -> str:
    """
    Draw the relative error of each format against the magnitude of the elements.

    Parameters
    ----------
    analysis : TensorAnalysis
        What was found about a tensor.
    key : str, optional
        Prefix of the ids, to be unique on a page.

    Returns
    -------
    str
        An ``<svg>`` element: a panel for each format, a line for each rule.
    """
    formats = list(dict.fromkeys(result.format for result in analysis.results))
    styles = rule_styles(result.rule for result in analysis.results)
    rows = -(-len(formats) // COLUMNS)
    bottom = TOP + rows * PANEL
    drawing = Drawing(
        width=570,
        height=bottom + 46 + legend_height(styles.values(), bars=False),
        key=key,
        title=f"Relative error of {shorten(analysis.name)} against magnitude",
        description=_describe(analysis),
    )
    heading = "relative error |q − x| / |x|, root mean square in each binade"
    drawing.text(LEFT, 12, heading, **caption)
    exponents = analysis.distribution.exponents or range(1)
    decades = _decades(analysis, formats)
    width = (570 - LEFT) / COLUMNS
    for i, fmt in enumerate(formats):
        row, column = divmod(i, COLUMNS)
        left, top = LEFT + column * width, TOP + row * PANEL + 22
        x = Scale(exponents[0] - 1, exponents[-1] + 2, left, left + width - 12)
        y = Scale(decades[0], decades[-1], top + PLOT, top)
        drawing.text(left, top - 7, shorten(fmt.name, 20), font_weight="600")
        _draw_axes(drawing, x, y, first=column == 0, last=i + COLUMNS >= len(formats))
        for result in reversed(analysis.results):  # the first rule on top
            if result.format == fmt:
                _draw_errors(drawing, x, y, result, styles[result.rule])
    middle = LEFT + (570 - LEFT) / 2
    drawing.text(middle, bottom + 20, "magnitude |x|", text_anchor="middle", **caption)
    draw_legend(drawing, bottom + 38, styles.values(), bars=False)
    return drawing.render()


def _decades(analysis: TensorAnalysis, formats: list[Format]) -> range:
    """Return the powers of ten on the axis of errors, from what the formats' precision gives."""
    precision = max((fmt.precision or 5 for fmt in formats), default=5)
    low = math.floor(math.log10(2.0 ** -(precision + 2)))
    largest = max(
        (float(result.metrics.binades.rms.max(initial=0.0)) for result in analysis.results),
        default=0.0,
    )
    # More than 100% is rare: where neighbouring values lie a factor of 16 apart, as in posits.
    high = min(math.ceil(math.log10(max(largest, 1.0))), 1)
    return range(low, high + 1)


def _describe(analysis: TensorAnalysis) -> str:
    def spread(result: FormatResult) -> str:
        rms = result.metrics.binades.rms
        if not rms.any():
            return "no error"
        low, high = float(rms[result.metrics.binades.count > 0].min()), float(rms.max())
        return f"{_error(low)} to {_error(high)}"

    parts = (
        f"{result.format.name}, {rule_name(result.rule)}: {spread(result)}"
        for result in analysis.results
    )
    return "Lowest and highest root mean square relative error of a binade. " + "; ".join(parts)


def _error(ratio: float) -> str:
    return percent(ratio) if ratio <= 1 else f"{min(100 * ratio, 1e300):.3g}%"


def _draw_axes(drawing: Drawing, x: Scale, y: Scale, *, first: bool, last: bool) -> None:
    """Draw a panel's axes, with labels at the sides of the whole figure only."""
    decades = range(round(y.low), round(y.high) + 1)
    ticks = magnitude_ticks(x, 36)
    bottom = y.start + NONE
    draw_grid(drawing, x, Scale(0, 1, bottom, y.end), ticks, [])
    draw_grid(drawing, x, y, [], decades)
    if first:
        for decade in decades:
            label = f"{10.0 ** (decade + 2):.10g}%"
            drawing.text(x.start - 7, y(decade) + 3, label, text_anchor="end", **caption)
        drawing.text(x.start - 7, bottom + 3, "exact", text_anchor="end", **caption)
    if last:
        draw_magnitude_axis(drawing, x, bottom, ticks)
    else:
        drawing.line(x.start, bottom, x.end, bottom, stroke=FAINT, class_="axis")


def _draw_errors(
    drawing: Drawing, x: Scale, y: Scale, result: FormatResult, style: RuleStyle
) -> None:
    """Draw lines through the errors of a format and rule, broken where there are none."""
    exact: list[tuple[float, float]] = []
    runs: list[list[tuple[float, float]]] = [[]]
    for point in _points(result):
        if point.elements and point.error:
            runs[-1].append((x(point.place), y.clamp(math.log10(point.error))))
            continue
        runs.append([])
        if point.elements:
            exact.append((x(point.place), y.start + NONE))
    commands = [("L" if i else "M", *at) for run in runs for i, at in enumerate(run)]
    draw_line(drawing, commands, style)
    every = max(round(APART / x.unit), 1)
    draw_markers(drawing, [*exact, *(at for run in runs for at in run[::every])], style)


class _Point(NamedTuple):
    """Some neighbouring binades: the middle, how many elements, their error."""

    place: float
    elements: int
    error: float


def _points(result: FormatResult) -> list[_Point]:
    binades = result.metrics.binades
    if not len(binades.count):
        return []
    group = -(-len(binades.count) // POINTS)
    starts = np.arange(0, len(binades.count), group)
    counts = np.add.reduceat(binades.count, starts)
    squares = np.minimum(binades.rms, 1e6) ** 2 * binades.count  # far above the axis anyway
    errors = np.sqrt(np.add.reduceat(squares, starts) / np.maximum(counts, 1))
    places = binades.start + starts + group / 2
    columns = places.tolist(), counts.tolist(), errors.tolist()
    return [_Point(*values) for values in zip(*columns, strict=True)]

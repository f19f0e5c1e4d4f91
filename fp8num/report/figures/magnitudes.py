"""The exponent histogram, and the formats' ranges under it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fp8num.analysis import LOWEST_EXPONENT
from fp8num.report.figures.style import (
    GREY,
    MAGNITUDE,
    NAME_WIDTH,
    caption,
    draw_arrows,
    draw_grid,
    draw_legend,
    draw_magnitude_axis,
    draw_name,
    draw_range,
    legend_height,
    magnitude_ticks,
    rule_styles,
)
from fp8num.report.figures.values import Window
from fp8num.report.labels import count, number, percent, power_of_two, shorten
from fp8num.report.svg import Drawing, Scale

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fp8num.analysis import TensorAnalysis
    from fp8num.formats import Format
    from fp8num.report.figures.style import RuleStyle

__all__ = ["exponent_histogram"]

PLOT_TOP, PLOT_BOTTOM, ROWS_TOP, RIGHT = 26, 150, 190, 552
BARS = 110  #: more binades than these are drawn two, three ... to a bar
REACH = 10  #: binades beyond the elements where the end of a range is still drawn


def exponent_histogram(
    analysis: TensorAnalysis,
    formats: Iterable[Format] | None = None,
    *,
    key: str = "magnitudes",
) -> str:
    """
    Draw the share of elements in each binade, and formats' ranges under it.

    Parameters
    ----------
    analysis : TensorAnalysis
        What was found about a tensor.
    formats : iterable of Format, optional
        The formats to draw: as each rule's scale moves them if they are among the
        results, else as they are.  The default is those of the results.  Rules with
        several scales have no range and are not drawn.
    key : str, optional
        Prefix of the ids, to be unique on a page.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    if formats is None:
        formats = dict.fromkeys(result.format for result in analysis.results)
    # Where blocks have scales of their own, no range is that of the tensor.
    one = {result.rule for result in analysis.results if math.isfinite(result.scale)}
    every = rule_styles([result.rule for result in analysis.results])
    styles = {rule: style for rule, style in every.items() if rule in one} or rule_styles(["unit"])
    windows = {fmt: _windows(analysis, fmt, next(iter(styles))) for fmt in formats}
    row = 8 * len(styles) + 8
    bottom = ROWS_TOP + row * len(windows)
    drawing = Drawing(
        width=570,
        height=bottom + 28 + legend_height(styles.values(), bars=True),
        key=key,
        title=f"Magnitudes of {shorten(analysis.name)}",
        description=_describe(analysis),
    )
    x = Scale(*_limits(analysis, windows.values()), NAME_WIDTH, RIGHT)
    _draw_histogram(drawing, x, analysis)
    middle = (x.start + x.end) / 2
    drawing.text(middle, PLOT_BOTTOM + 29, MAGNITUDE, text_anchor="middle", **caption)
    draw_grid(drawing, x, Scale(0, len(windows), ROWS_TOP, bottom), [], range(len(windows) + 1))
    for i, (fmt, by_rule) in enumerate(windows.items()):
        y = ROWS_TOP + row * i
        draw_name(drawing, fmt, y + row / 2 + 4)
        for j, (rule, window) in enumerate(by_rule.items()):
            _draw_window(drawing, x, y + 5.5 + 8 * j, window, styles[rule])
    draw_legend(drawing, bottom + 20, styles.values(), bars=True)
    return drawing.render()


def _windows(analysis: TensorAnalysis, fmt: Format, unscaled: str) -> dict[str, Window]:
    """Return where a format's range lies under each rule."""
    window = Window.of(fmt)
    scales = {
        result.rule: result.scale
        for result in analysis.results
        if result.format == fmt and 0 < result.scale < math.inf
    }
    return {rule: window.shifted(s) for rule, s in scales.items()} or {unscaled: window}


def _limits(analysis: TensorAnalysis, windows: Iterable[dict[str, Window]]) -> tuple[int, int]:
    """Return the ends of the axis: the elements', and those of ranges that are near."""
    exponents = analysis.distribution.exponents or range(1)
    low, high = exponents[0] - 1, exponents[-1] + 2
    ends = [end for by_rule in windows for window in by_rule.values() for end in window]
    return (
        math.floor(min([low, *(end - 0.5 for end in ends if low - REACH <= end)])),
        math.ceil(max([high, *(end + 0.5 for end in ends if end <= high + REACH)])),
    )


def _describe(analysis: TensorAnalysis) -> str:
    found = analysis.distribution
    if not found.nonzero:
        return "The tensor has no finite nonzero elements. Below, the range of each format."
    fullest = int(np.argmax(found.binades))
    share = float(found.binades[fullest] / found.nonzero)
    exponent = fullest + LOWEST_EXPONENT
    return (
        f"Histogram of {count(found.nonzero)} finite nonzero elements by power of two, from "
        f"{number(found.amin)} to {number(found.amax)}. The fullest binade, from "
        f"{power_of_two(exponent)} to {power_of_two(exponent + 1)}, holds {percent(share)}. "
        "Below, the range of each format."
    )


def _draw_histogram(drawing: Drawing, x: Scale, analysis: TensorAnalysis) -> None:
    exponents = analysis.distribution.exponents
    lowest = LOWEST_EXPONENT if not exponents else exponents[0]
    counts = analysis.distribution.binades[lowest - LOWEST_EXPONENT :][: len(exponents) or 1]
    group = -(-len(counts) // BARS)
    starts = np.arange(0, len(counts), group)
    shares = np.add.reduceat(counts, starts) / max(int(counts.sum()), 1)
    unit = "binade" if group == 1 else f"{group} binades"
    drawing.text(x.start, 12, f"share of the nonzero elements, per {unit}", **caption)

    step = _tick_distance(float(shares.max()))
    ticks = max(math.ceil(float(shares.max()) / step), 1)
    y = Scale(0, ticks * step, PLOT_BOTTOM, PLOT_TOP)
    powers = magnitude_ticks(x, 40)
    draw_grid(drawing, x, y, powers, [i * step for i in range(1, ticks + 1)])
    for i in range(ticks + 1):
        label = f"{100 * i * step:.10g}%"
        drawing.text(x.start - 8, y(i * step) + 4, label, text_anchor="end", **caption)
    if counts.any():
        _draw_bars(drawing, x, y, dict(zip((exponents[0] + starts).tolist(), shares, strict=True)))
    else:
        drawing.text((x.start + x.end) / 2, 92, "no finite nonzero elements", text_anchor="middle")
    draw_magnitude_axis(drawing, x, PLOT_BOTTOM, powers)


def _tick_distance(largest: float) -> float:
    """Return the distance of ticks on an axis of shares: at most five of them."""
    return next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25) if largest <= 4 * step)


def _draw_bars(drawing: Drawing, x: Scale, y: Scale, shares: dict[int, float]) -> None:
    """Draw bars from each exponent, at least a pixel high so that rare elements can be seen."""
    starts = list(shares)
    width = starts[1] - starts[0] if len(starts) > 1 else 1
    gap = 0.5 if len(starts) < 60 else 0.1
    for start, share in shares.items():
        if share:
            left, right = x(start) + gap, x.clamp(start + width) - gap
            drawing.rect(left, min(y(share), y.start - 1), right, y.start, fill=GREY, class_="bar")


def _draw_window(drawing: Drawing, x: Scale, y: float, window: Window, style: RuleStyle) -> None:
    """Draw a range: thin where it is subnormal, thick where normal, a stroke at its end."""
    left, middle, right = (x.clamp(end) for end in window)
    full = {"fill": style.colour, "class_": f"fill-{style.key}"}
    if left < middle:
        drawing.rect(left, y + 1.7, middle, y + 3.3, **full)
    if middle < right:
        draw_range(drawing, middle, right, y, style)
    if x.low <= window.largest <= x.high:
        drawing.rect(right - 2, y - 1, right, y + 6, **full)
    draw_arrows(drawing, x, y + 2.5, window.smallest, window.largest)

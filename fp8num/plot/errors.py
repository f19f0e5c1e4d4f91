"""How far formats are from what they are given: relative errors, and signal to noise."""

from __future__ import annotations

import math
from itertools import cycle
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from fp8num._arguments import refuse
from fp8num.analysis import FormatResult, TensorAnalysis, analyze
from fp8num.codec import quantize
from fp8num.formats import Format, TabulatedFormat
from fp8num.plot.style import (
    add_legend,
    chosen_formats,
    every,
    limits_of,
    logarithms,
    make_axes,
    plain,
    powers_of_two,
    require_columns,
    show,
    styles_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from typing_extensions import TypeIs

    from fp8num.plot.style import Formats

__all__ = ["error", "sqnr"]


def error(
    x: TensorAnalysis | Formats,
    ax: Axes | None = None,
    *,
    formats: Formats | None = None,
    rules: Iterable[str] | str | None = None,
) -> Axes:
    r"""
    Draw relative errors against magnitude: the largest possible ones, and measured ones.

    Parameters
    ----------
    x : TensorAnalysis, or Format, str or several of them
        What `fp8num.analysis.analyze_tensor` found about a tensor; or formats, of which the
        errors of numbers spread evenly over each binade are measured.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.
    formats : Format, str or several of them, optional
        Those of an analysis that are drawn; by default all.
    rules : str or several, optional
        The rules of an analysis that are drawn; by default all.

    Returns
    -------
    matplotlib Axes
        x is the binary logarithm of a magnitude, y that of the error.  For each format and rule
        a line of steps, the largest error of any number of the binade, and a marker in the
        middle of each binade, the root mean square of the measured ones; none where all are
        exact.

    Raises
    ------
    TypeError, ValueError
        If something is not one of those, is unknown, or float64 cannot hold a format; if there
        are more than seven lines.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    Rounding is to nearest and saturates.  The largest error is found where the result changes:
    just beside each threshold of rounding, and at the ends of the binade.  It is
    :math:`u / (1 + u)` where a format is normal.  A scale s moves the steps by its logarithm.

    Examples
    --------
    >>> ax = error("E4M3FN")
    >>> largest, edges, _ = ax.patches[0].get_data()
    >>> from_one = largest[edges[:-1] == 0]
    >>> (2**from_one).round(9).tolist()  # u / (1 + u) = 1 / 17
    [0.058823529]
    """
    if isinstance(x, TensorAnalysis):
        held = x.distribution.exponents or range(1)
        low, high = held[0] - 1, held[-1] + 2
        lines = [
            (f"{result.format.name}, {result.rule}", result.format, math.log2(result.scale),
             result.metrics.binades.exponents, result.metrics.binades.rms)
            for result in _results(x, formats, rules)
        ]  # fmt: skip
    else:
        if formats is not None or rules is not None:
            msg = "formats and rules choose from a TensorAnalysis; name formats as x alone"
            raise TypeError(msg)
        chosen = chosen_formats(x)
        for fmt in chosen:
            fmt.require_float64()
        low, high = limits_of([logarithms(fmt)[[0, -1]].tolist() for fmt in chosen], 2)
        low, high = max(low, -1073), min(high, 1023)
        at = np.arange(low, high)
        lines = [(fmt.name, fmt, 0.0, at, _evenly_spread(fmt, at)) for fmt in chosen]
    styles = styles_of([name for name, *_ in lines])
    bounds = [_largest_errors(fmt, low + by, high + by) for _, fmt, by, *_ in lines]
    ax = make_axes(ax)
    for (name, _, shift, exponents, rms), (edges, largest) in zip(lines, bounds, strict=True):
        style = styles[name]
        ax.stairs(
            np.log2(largest), edges - shift, baseline=None, color=style["color"],
            linestyle=style["linestyle"], linewidth=1.3,
        )  # fmt: skip
        used = rms > 0
        ax.plot(
            exponents[used] + 0.5, np.log2(rms[used]), markersize=4, label=plain(name),
            **dict(style) | {"linestyle": "none"},
        )  # fmt: skip
    lowest = min(float(np.log2(largest[largest > 0]).min()) for _, largest in bounds)
    measured = [np.log2(rms[rms > 0]) for *_, rms in lines]
    smallest = min((float(found.min()) for found in measured if len(found)), default=lowest)
    ax.set_ylim(max(min(lowest, smallest), lowest - 4) - 0.6, 1.2)
    ax.set_xlim(low, high)
    means = "relative error |q − x| / |x|\n(steps: largest possible, marks: root mean square)"
    show(ax, "magnitude |x|", means, grid="both")
    powers_of_two(ax.xaxis)
    powers_of_two(ax.yaxis)
    add_legend(ax, styles)
    return ax


def _largest_errors(
    fmt: Format, low: float, high: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the edges of the binades of a range, as exponents, and the largest error in each."""
    exponents = np.arange(max(math.floor(low), -1073), min(math.ceil(high), 1023) + 1)
    if isinstance(fmt, TabulatedFormat):
        turns = np.array([math.ldexp(middle, power) for middle, power, _ in fmt.nearest])
    else:  # halfway to the next value
        values = np.ldexp(fmt.magnitudes.integers.astype(float), fmt.magnitudes.exponents)
        turns = values[:-1] / 2 + values[1:] / 2
    edges = np.ldexp(1.0, exponents)
    beside = [np.nextafter(turns, 0), turns, np.nextafter(turns, np.inf)]
    x = np.concatenate([*beside, edges[:-1], np.nextafter(edges, 0)])
    x = x[(x >= edges[0]) & (x < edges[-1])]
    largest = np.zeros(len(edges) - 1)
    np.maximum.at(largest, np.frexp(x)[1] - 1 - exponents[0], _relative_errors(x, fmt))
    return exponents.astype(float), largest


def _evenly_spread(fmt: Format, exponents: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return the root mean square error of numbers spread over each binade."""
    parts = 1 + (np.arange(509) + 0.5) / 509  # a prime: no number is a value or a tie
    errors = _relative_errors(np.ldexp(parts, exponents[:, None]), fmt)
    return np.asarray(np.sqrt((errors**2).mean(axis=1)))


def _relative_errors(x: npt.NDArray[np.float64], fmt: Format) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore"):  # scales, for which nothing is small
        return np.minimum(np.abs(quantize(x, fmt) - x) / x, 2.0**1023)


def sqnr(
    x: TensorAnalysis | pd.DataFrame | Formats,
    ax: Axes | None = None,
    *,
    data: npt.ArrayLike | None = None,
    exponents: Iterable[int] | None = None,
) -> Axes:
    """
    Draw signal to quantisation noise: bars by format and rule, or lines by amplitude.

    Parameters
    ----------
    x : TensorAnalysis, DataFrame, or Format, str or several of them
        What was found about a tensor, also as the table that `fp8num.analyze` returns: a bar
        for each format and rule.  Or formats: a line for each, without a scale.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.
    data : array_like, optional
        With formats, the numbers whose amplitude is changed; by default 4,095 quantiles of the
        standard normal distribution.
    exponents : iterable of int, optional
        With formats, of the powers of two that `data` are multiplied by; by default those
        where the formats have values.

    Returns
    -------
    matplotlib Axes
        Ratios in decibels.

    Raises
    ------
    TypeError, ValueError
        If something is not one of those, or has no columns ``format``, ``rule`` and
        ``sqnr_db``; if `data` comes with an analysis; if there are more than seven series.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from fp8num import analyze
    >>> ax = sqnr(analyze([0.3, -1.7, 2.6], ["E4M3FN", "E5M2"]))
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['E4M3FN', 'E5M2']
    """
    frame = x.to_frame() if isinstance(x, TensorAnalysis) else x
    if not _is_table(frame):
        return _sqnr_by_amplitude(chosen_formats(frame), ax, data, exponents)
    if data is not None or exponents is not None:
        msg = "data and exponents go with formats as x, not with what was found about a tensor"
        raise TypeError(msg)
    require_columns(frame, ("format", "rule", "sqnr_db"))
    rows = list(dict.fromkeys(frame["format"]))
    styles = styles_of(list(dict.fromkeys(frame["rule"])))
    ax = make_axes(ax)
    height = 0.8 / len(styles)
    hatches = cycle(("", "////", "....", "xxxx", "----", "++++", "\\\\\\\\"))
    for i, ((rule, style), hatch) in enumerate(zip(styles.items(), hatches, strict=False)):
        some = frame[frame["rule"] == rule]
        y = np.array([rows.index(name) for name in some["format"]]) - 0.4 + height * (i + 0.5)
        ratios = some["sqnr_db"].to_numpy(float)
        bars = ax.barh(
            y, np.where(np.isfinite(ratios), ratios, 0.0), 0.9 * height, label=plain(rule),
            color="white" if hatch else style["color"], edgecolor=style["color"], hatch=hatch,
        )  # fmt: skip
        says = ["exact" if one == math.inf else f"{one:.1f}" for one in ratios]
        ax.bar_label(bars, [text.replace("nan", "–") for text in says], padding=3, fontsize=8)
    ax.set_yticks(range(len(rows)), [plain(name) for name in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.margins(x=0.12)
    show(ax, "SQNR / dB", "", grid="x")
    add_legend(ax)
    return ax


def _sqnr_by_amplitude(
    formats: Sequence[Format],
    ax: Axes | None,
    data: npt.ArrayLike | None,
    exponents: Iterable[int] | None,
) -> Axes:
    styles = styles_of([fmt.name for fmt in formats])
    what = "data" if data is not None else "standard normal data"
    normal = NormalDist()
    x = np.asarray([normal.inv_cdf(i / 4096) for i in range(1, 4096)] if data is None else data)
    if exponents is None:
        ends = [logarithms(fmt)[[0, -1]].tolist() for fmt in formats]
        low, high = limits_of(ends, 4)
        exponents = range(low, min(high, 1020) + 1)
    at = list(exponents)
    if not at:
        msg = "exponents must hold at least one, got none; leave it out for the default"
        raise ValueError(msg)
    found = [analyze(np.ldexp(x, k), formats, "unit")["sqnr_db"] for k in at]
    ax = make_axes(ax)
    for i, (name, style) in enumerate(styles.items()):
        ratios = [float(one.iloc[i]) for one in found]
        ax.plot(at, ratios, label=plain(name), markersize=4, markevery=every(len(at)), **style)
    show(ax, f"factor of the {what}", "SQNR / dB", grid="both")
    powers_of_two(ax.xaxis)
    add_legend(ax)
    return ax


def _is_table(x: object) -> TypeIs[pd.DataFrame]:
    return hasattr(x, "columns")


def _results(
    analysis: TensorAnalysis, formats: Formats | None, rules: Iterable[str] | str | None
) -> list[FormatResult]:
    """Return the results of an analysis for some formats and rules."""
    there = list(dict.fromkeys(result.format for result in analysis.results))
    wanted = there if formats is None else chosen_formats(formats)
    known = list(dict.fromkeys(result.rule for result in analysis.results))
    asked = known if rules is None else [rules] if isinstance(rules, str) else list(rules)
    for argument, some, of in (
        ("formats", [fmt.name for fmt in wanted], [fmt.name for fmt in there]),
        ("rules", asked, known),
    ):
        for name in some:
            if name not in of:
                refuse(argument, f"some of those analysed, {', '.join(of)}", name)
    return [one for one in analysis.results if one.format in wanted and one.rule in asked]

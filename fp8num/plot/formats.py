"""Where the values of formats lie, and the elements of a tensor above them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fp8num.analysis import DEFAULT_FORMATS, LOWEST_EXPONENT, Distribution, TensorAnalysis
from fp8num.plot.style import (
    GREY,
    STYLES,
    add_legend,
    chosen_formats,
    limits_of,
    logarithms,
    make_axes,
    mark_ends,
    plain,
    powers_of_two,
    show,
    styles_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from fp8num.analysis import FormatResult
    from fp8num.formats import Format
    from fp8num.plot.style import Formats

__all__ = ["number_line", "windows"]

DENSE = 1024  #: more values than these are drawn as a bar
REACH = 10  #: binades beyond the elements where the end of a range is still drawn


def number_line(formats: Formats, ax: Axes | None = None) -> Axes:
    """
    Draw the positive values of formats as ticks, short ones for subnormals.

    Parameters
    ----------
    formats : Format, str or several of them
        The formats, a row each.  Of a single one, codes are written over powers of two.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        x is the binary logarithm of a value, y the number of the row.  Formats that reach much
        further than the others run off it, with an arrow head.

    Raises
    ------
    TypeError, ValueError
        If there is no format, one is unknown, or `ax` is no Axes.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> ax = number_line("E2M1FN")
    >>> [text.get_text() for text in ax.texts]
    ['0x1', '0x2', '0x4', '0x6']
    """
    chosen = chosen_formats(formats)
    ax = make_axes(ax)
    places = [logarithms(fmt) for fmt in chosen]
    low, high = limits_of([(row[0], row[-1]) for row in places])
    for y, (fmt, row) in enumerate(zip(chosen, places, strict=True)):
        first = fmt.first_normal - fmt.has_zero
        groups = ((row[first:], 0.32, 0, "normal"), (row[:first], 0.17, 1, "subnormal (short)"))
        for group, height, style, label in groups:
            colour = STYLES[style]["color"]
            named = "" if _labelled(ax, label) else label
            if len(group) > DENSE:
                ax.barh(y, group[-1] - group[0], 2 * height, group[0], color=colour, label=named)
            elif len(group):
                ends = np.tile([y - height, y + height, np.nan], len(group))
                ax.plot(np.repeat(group, 3), ends, color=colour, linewidth=0.9, label=named)
        mark_ends(ax, (row[0], row[-1]), (low, high), y, GREY)
    ax.set_xlim(low, high)
    ax.set_ylim(len(chosen) - 0.5, -0.5)
    if len(chosen) == 1:
        _write_codes(ax, chosen[0], places[0])
    ax.set_yticks(range(len(chosen)), [plain(fmt.name) for fmt in chosen])
    ax.tick_params(axis="y", length=0)
    powers_of_two(ax.xaxis)
    ax.set_xlabel("positive values")
    add_legend(ax)
    return ax


def _labelled(ax: Axes, label: str) -> bool:
    return label in ax.get_legend_handles_labels()[1]


def _write_codes(ax: Axes, fmt: Format, places: npt.NDArray[np.float64]) -> None:
    """Write codes over powers of two, not more than have room."""
    powers = np.flatnonzero(places == np.floor(places))
    codes = fmt.magnitudes.codes[int(fmt.has_zero) :]
    for i in powers[:: -(-len(powers) // 24)].tolist():
        ax.text(
            places[i], -0.4, f"0x{codes[i]:0{-(-fmt.bits // 4)}X}", rotation=90, ha="center",
            va="bottom", fontsize=8, color=GREY,
        )  # fmt: skip
    ax.set_ylim(0.5, -1.0)


def windows(
    x: TensorAnalysis | Distribution | npt.ArrayLike,
    formats: Formats | None = None,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw how many elements each binade holds, over what formats hold.

    Parameters
    ----------
    x : TensorAnalysis, Distribution or array_like
        What was found about a tensor, or its elements.
    formats : Format, str or several of them, optional
        Whose ranges are drawn, as each rule's scale moves them if they are among the results of
        an analysis, else as they are.  The default is those of the results, or
        ``fp8num.analysis.DEFAULT_FORMATS``.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        x is the binary logarithm of a magnitude.  Above zero, y is the share of the finite
        nonzero elements; below, formats have a row each: a bar from the smallest normal value to
        the largest, a thin one for subnormals.

    Raises
    ------
    TypeError, ValueError
        If something is not one of those, or a format is unknown.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> ax = windows([1.0, 1.5, 3.0, 0.25], "E2M1FN")
    >>> shares, edges, _ = ax.patches[0].get_data()
    >>> shares.tolist(), edges.tolist()
    ([0.25, 0.0, 0.5, 0.25], [-2, -1, 0, 1, 2])
    """
    results: tuple[FormatResult, ...] = ()
    if isinstance(x, TensorAnalysis):
        held, results = x.distribution, x.results
    else:
        held = x if isinstance(x, Distribution) else Distribution.of(x)
    default = [result.format for result in results] or DEFAULT_FORMATS
    chosen = chosen_formats(default if formats is None else formats)
    rules = list(dict.fromkeys(result.rule for result in results))
    scales = {(result.format, result.rule): result.scale for result in results}
    styles_of(rules)
    rows = [_moved(fmt, scales) for fmt in chosen]
    ax = make_axes(ax)
    exponents = held.exponents or range(1)
    counts = held.binades[exponents[0] - LOWEST_EXPONENT :][: len(exponents)]
    shares = counts / max(held.nonzero, 1)
    ax.stairs(shares, [*exponents, exponents[-1] + 1], fill=True, color=GREY)
    if not held.nonzero:
        ax.text(0.5, 0.7, "no finite nonzero elements", ha="center", transform=ax.transAxes)
    low, high = exponents[0] - 1, exponents[-1] + 2
    near = [end for row in rows for ends in row.values() for end in ends]
    low = math.floor(min([low, *(end - 0.5 for end in near if end >= low - REACH)]))
    high = math.ceil(max([high, *(end + 0.5 for end in near if end <= high + REACH)]))
    ax.set_xlim(low, high)
    top = float(shares.max()) or 1.0
    step = top / 6
    places = [-(i + 0.9) * step for i in range(len(chosen))]
    for y, row in zip(places, rows, strict=True):
        _draw_windows(ax, row, y, 0.66 * step, rules)
    ax.axhline(0, color="black", linewidth=0.8)
    bottom = -(len(chosen) + 0.4) * step
    ax.set_ylim(bottom, 1.08 * top)
    tick = next(one for one in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25) if top <= 4 * one)
    ticks = [i * tick for i in range(math.floor(top / tick) + 1)]
    labels = [*(f"{100 * one:g} %" for one in ticks), *(plain(fmt.name) for fmt in chosen)]
    ax.set_yticks([*ticks, *places], labels)
    means = "magnitude |x| (bars: what formats hold, thin where subnormal)"
    show(ax, means, "share of the elements", grid="x")
    ax.yaxis.label.set_y(1 - 0.54 * top / (1.08 * top - bottom))  # beside the bars
    powers_of_two(ax.xaxis)
    if rules:
        add_legend(ax)
    return ax


def _moved(fmt: Format, scales: Mapping[tuple[Format, str], float]) -> dict[str, list[float]]:
    """Return by rule the exponents of the smallest, smallest normal and largest element held."""
    places = logarithms(fmt)
    ends = places[[0, fmt.first_normal - fmt.has_zero, -1]]
    found = {rule: (ends - math.log2(s)).tolist() for (of, rule), s in scales.items() if of == fmt}
    return found or {"": ends.tolist()}


def _draw_windows(
    ax: Axes, row: Mapping[str, list[float]], y: float, height: float, rules: list[str]
) -> None:
    """Draw what a format holds under each rule: thin where it is subnormal."""
    low, high = ax.get_xlim()
    tall = height / max(len(rules), 1)
    for i, (rule, ends) in enumerate(row.items()):
        number = rules.index(rule) if rule else 0
        at = y - tall * (i - (len(row) - 1) / 2)
        colour = STYLES[number]["color"]
        label = "" if _labelled(ax, plain(rule)) else plain(rule)
        first, normal, last = np.clip(ends, low, high).tolist()
        ax.barh(
            at, last - normal, 0.8 * tall, normal, facecolor="white" if number % 2 else colour,
            edgecolor=colour, linewidth=1.2, label=label,
        )  # fmt: skip
        if first < normal:
            ax.barh(at, normal - first, 0.2 * tall, first, color=colour)
        mark_ends(ax, (ends[0], ends[2]), (low, high), at, colour)

"""Trainings side by side, and other series of numbers with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from fp8num._arguments import choice, refuse_kind
from fp8num.plot.style import (
    BAND,
    GREY,
    GRID,
    add_legend,
    every,
    make_axes,
    mark_ends,
    plain,
    require_columns,
    show,
    styles_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from typing_extensions import TypeIs

    from fp8num.nn import Comparison

__all__ = ["curves", "differences"]

Intervals: TypeAlias = "Mapping[str, Mapping[str, Sequence[float]]]"


def curves(
    data: Comparison | pd.DataFrame,
    ax: Axes | None = None,
    *,
    what: str = "loss",
    by: str = "epoch",
    series: str = "recipe",
    names: Mapping[str, str] | None = None,
    interval: Literal["band", "bars", "none"] = "band",
) -> Axes:
    """
    Draw lines with their intervals, such as the losses of trainings.

    Parameters
    ----------
    data : Comparison or DataFrame
        What recipes did in the same trainings, or a row for each point: ``what`` against
        ``by``, and where there are columns ``what_low`` and ``what_high`` the ends of its
        interval.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.
    what : str, optional
        Of a comparison ``"loss"``, or ``"difference"`` from the baseline.
    by : str, optional
        Of a comparison ``"epoch"`` or ``"step"``, which count from 0.
    series : str, optional
        The column whose entries have a line each.
    names : mapping of str to str, optional
        Which entries are drawn, in this order, and what they are called.
    interval : {"band", "bars", "none"}, optional
        How intervals are drawn.

    Returns
    -------
    matplotlib Axes
        A line for each series.

    Raises
    ------
    TypeError, ValueError
        If `data` is something else, has no such column, or has more than seven series.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"recipe": ["a", "a", "b", "b"], "epoch": [0, 1, 0, 1],
    ...                       "loss": [2.0, 1.0, 2.1, 1.2]})
    >>> [line.get_ydata().tolist() for line in curves(frame).lines]
    [[2.0, 1.0], [2.1, 1.2]]
    """
    choice("interval", interval, ("band", "bars", "none"))
    frame, label = _losses(data, what, by) if _is_comparison(data) else (data, what)
    require_columns(frame, (series, by, what))
    names = {name: str(name) for name in dict.fromkeys(frame[series])} if names is None else names
    styles = styles_of(list(names))
    ax = make_axes(ax)
    from matplotlib.ticker import MaxNLocator

    ends = f"{what}_low", f"{what}_high"
    known = interval != "none" and set(ends) <= set(frame.columns)
    for name, style in styles.items():
        some = frame[frame[series] == name]
        x, y = some[by].to_numpy(float), some[what].to_numpy(float)
        if known:
            low, high = (some[end].to_numpy(float) for end in ends)
            if interval == "band":
                ax.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
            else:
                ends_of_bars = np.column_stack([low, high, np.full(len(x), np.nan)]).ravel()
                ax.plot(np.repeat(x, 3), ends_of_bars, color=style["color"], linewidth=1.2)
        ax.plot(
            x, y, label=plain(names[name]), markersize=4.5, markevery=every(len(x)), linewidth=1.4,
            **style,
        )  # fmt: skip
    if what == "difference":
        ax.axhline(0, color=GREY, linewidth=1, zorder=1)
    if (frame[by] % 1 == 0).all():
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    show(ax, by, label, grid="both")
    add_legend(ax)
    return ax


def _losses(data: Comparison, what: str, by: str) -> tuple[pd.DataFrame, str]:
    """Return the curves of a comparison, and what they are."""
    choice("what", what, ("loss", "difference"))
    frame = data.curves(by)
    if what == "loss":
        return frame, "log-loss of the training batches / nat"
    return frame[
        frame["recipe"] != data.baseline
    ], f"log-loss less that of {plain(data.baseline)} / nat"


def differences(
    data: Comparison | Intervals,
    ax: Axes | None = None,
    *,
    what: Literal["accuracy", "loss"] = "accuracy",
    margin: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """
    Draw means with their intervals, row by row, such as paired differences.

    Parameters
    ----------
    data : Comparison, or mapping of str to mapping of str to (mean, low, high)
        What recipes did in the same trainings: a row for each recipe but the baseline.  Or for
        each row, from top to bottom, the intervals of each series.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.
    what : {"accuracy", "loss"}, optional
        Of a comparison: differences of accuracy in points, or of log-loss in nat, with Student's
        95 % intervals.
    margin : float, optional
        Differences up to this do not matter: a band.  By default that of a comparison, for
        accuracies.
    limits : (float, float), optional
        Ends of the axis.  What lies beyond ends in an arrow head, a mean that does is written
        there.

    Returns
    -------
    matplotlib Axes
        Rows are at y = 0, 1, ... from top to bottom.

    Raises
    ------
    TypeError, ValueError
        If `data` is something else or has no rows, or there are more than seven series.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> ax = differences({"E4M3FN": {"digits": (0.1, -0.2, 0.4)}}, margin=0.3)
    >>> [line.get_xdata().tolist() for line in ax.lines[1:]]
    [[-0.2, 0.4, nan], [0.1]]
    """
    rows, label, margin = _rows(data, what, margin)
    styles = styles_of(list(dict.fromkeys(name for row in rows.values() for name in row)))
    ax = make_axes(ax)
    if margin is not None:
        ax.axvspan(-margin, margin, color=BAND, linewidth=0, zorder=0)
    ax.axvline(0, color=GREY, linewidth=1, zorder=1)
    for j, (name, style) in enumerate(styles.items()):
        shift = 0.8 * ((j + 0.5) / len(styles) - 0.5)
        some = [(i + shift, *row[name]) for i, row in enumerate(rows.values()) if name in row]
        y, means, low, high = np.array(some, float).T
        through = np.column_stack([low, high, np.full(len(y), np.nan)]).ravel()
        ax.plot(through, np.repeat(y, 3), color=style["color"], marker="|", linewidth=1.2)
        ax.plot(
            means, y, markersize=5, label=plain(name), **dict(style) | {"linestyle": "none"}
        )  # fmt: skip
        if limits is not None:
            _mark_beyond(ax, some, limits, style["color"])
    if limits is not None:
        ax.set_xlim(limits)
    ax.set_yticks(range(len(rows)), [plain(name) for name in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for i in range(1, len(rows)):
        ax.axhline(i - 0.5, color=GRID, linewidth=0.8, zorder=0)
    show(ax, label, "", grid="x")
    ax.tick_params(axis="y", length=0)
    if any(styles):
        add_legend(ax)
    return ax


def _rows(
    data: Comparison | Intervals, what: str, margin: float | None
) -> tuple[Intervals, str, float | None]:
    """Return rows of intervals, what they are, and the margin."""
    choice("what", what, ("accuracy", "loss"))
    if isinstance(data, Mapping):
        if not any(data.values()):
            msg = "data must have a row with an interval, got none"
            raise ValueError(msg)
        return data, "", margin
    if not _is_comparison(data):
        refuse_kind("data", "a Comparison or a mapping of rows", data)
    points = what == "accuracy"
    unit = 100 if points else 1
    found = {
        one.recipe: one.accuracy_difference if points else one.loss_difference
        for one in data.results
        if one.recipe != data.baseline
    }
    rows = {
        name: {"": (unit * one.mean, unit * one.low, unit * one.high)}
        for name, one in found.items()
    }
    if not points:
        return rows, f"log-loss less that of {plain(data.baseline)} / nat", margin
    margin = unit * data.margin if margin is None else margin
    return rows, f"accuracy less that of {plain(data.baseline)} / points", margin


def _mark_beyond(
    ax: Axes, rows: Sequence[Sequence[float]], limits: tuple[float, float], colour: str
) -> None:
    """Draw arrow heads where intervals leave the axis, and write the means that do."""
    for y, mean, low, high in rows:
        mark_ends(ax, (min(low, mean), max(high, mean)), limits, y, colour)
        if not limits[0] <= mean <= limits[1]:
            side = int(mean > limits[1])
            ax.annotate(
                f"{mean:+.3g}", (limits[side], y), ((6, -6)[side], 0), ha=("left", "right")[side],
                va="center", textcoords="offset points", fontsize=8,
            )  # fmt: skip


def _is_comparison(data: object) -> TypeIs[Comparison]:
    """Say whether something is a comparison, without training's modules where it is a table."""
    if isinstance(data, Mapping) or hasattr(data, "columns"):
        return False
    from fp8num.nn import Comparison

    return isinstance(data, Comparison)

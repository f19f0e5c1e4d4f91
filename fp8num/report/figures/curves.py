"""
Losses of recipes as trainings go on, and their paired differences under them.

::

    loss   |`-.____        every step: mean over the seeds, in its 95 % interval
           |____________
    less   |  .-.-.-.       every epoch: less the baseline's, pair by pair
    base   |------------
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from fp8num.report.figures.plots import Plot, decade_ticks, draw_names, round_ticks
from fp8num.report.figures.style import caption, draw_line, draw_markers, rule_styles
from fp8num.report.labels import count, number, plural, shorten
from fp8num.report.svg import Drawing, Scale

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from fp8num.nn import Comparison
    from fp8num.report.figures.style import RuleStyle

__all__ = ["loss_curves"]

WIDTH, LEFT, RIGHT, TOP, MIDDLE = 570, 58, 424, 26, 216
SECOND, BOTTOM, HEIGHT = 284, 396, 432
POINTS = 500  #: of more steps or epochs, only some are drawn
MARKS = 12  #: pixels between the markers of a line, about
FLOOR = 1e-12  #: a loss below is drawn there: it has no logarithm

Curve: TypeAlias = "list[tuple[float, float, float, float]]"  # place, mean, low, high


def loss_curves(comparison: Comparison, *, key: str = "curves") -> str:
    """
    Draw the losses of recipes by step, and their differences from the baseline by epoch.

    Parameters
    ----------
    comparison : Comparison
        What was compared.
    key : str, optional
        Prefix of the ids, to be unique on a page.

    Returns
    -------
    str
        An ``<svg>`` element: bands are Student's 95 % intervals of means over seeds.
    """
    by_step, by_epoch = comparison.curves("step"), comparison.curves("epoch")
    losses = _curves(by_step, "step", "loss")
    changes = _curves(by_epoch, "epoch", "difference")
    changes.pop(comparison.baseline, None)
    styles = rule_styles(comparison.recipes)
    drawing = Drawing(
        width=WIDTH,
        height=HEIGHT if changes else MIDDLE + 36,
        key=key,
        title="Losses in training",
        description=_describe(comparison, by_epoch),
    )
    last = max((curve[-1][0] for curve in losses.values()), default=0.0)
    per_epoch = max((one.per_epoch for one in comparison.outcomes), default=1)
    drawing.text(LEFT, 12, "log-loss of a step’s batch, nats", **caption)
    if not losses:
        drawing.text(LEFT, 60, "no seed in which neither diverged")
        return drawing.render()
    end = max(last + 1, 2.0)
    _draw_losses(drawing, Scale(0, end, LEFT, RIGHT), losses, styles)
    if changes:
        base = shorten(comparison.baseline, 24)
        drawing.text(LEFT, SECOND - 12, f"an epoch’s log-loss less {base}’s, nats", **caption)
        zero = {comparison.baseline: [(0.0, 0.0, 0.0, 0.0), (end / per_epoch, 0.0, 0.0, 0.0)]}
        _draw_changes(drawing, Scale(0, end / per_epoch, LEFT, RIGHT), zero | changes, styles)
    return drawing.render()


def _curves(frame: pd.DataFrame, by: str, what: str) -> dict[str, Curve]:
    """Return each recipe's curve, of many points only some."""
    every = -(-int(frame[by].nunique()) // POINTS)
    found: dict[str, Curve] = {}
    columns = ["recipe", by, what, f"{what}_low", f"{what}_high"]
    for name, at, *values in frame[columns].itertuples(index=False, name=None):
        if at % every == 0 and not math.isnan(values[0]):
            found.setdefault(name, []).append((at, *values))
    return found


def _draw_losses(
    drawing: Drawing, x: Scale, curves: dict[str, Curve], styles: dict[str, RuleStyle]
) -> None:
    """Draw the losses on a logarithmic axis: dashes over full lines show both."""
    logs = {
        name: [(at, *(_log(value) for value in values)) for at, *values in curve]
        for name, curve in curves.items()
    }
    means = [mean for curve in logs.values() for _, mean, *_ in curve]
    y = Scale(min(means) - 0.1, max(means) + 0.05, MIDDLE, TOP)
    plot = Plot(drawing, x, y)
    plot.draw_axes(
        round_ticks(x.low, x.high, 7),
        decade_ticks(y.low, y.high),
        write_x=lambda at: count(round(at)),
        write_y=lambda at: number(10.0**at, 2),
        below="step of the optimizer",
    )
    for name, curve in logs.items():
        plot.draw_band([(at, low, high) for at, _, low, high in curve], styles[name])
    for name, curve in logs.items():
        draw_line(drawing, plot.line((at, mean) for at, mean, *_ in curve), styles[name])
    draw_names(plot, [(name, curve[-1][1]) for name, curve in logs.items()], _of(styles, logs))


def _draw_changes(
    drawing: Drawing, x: Scale, curves: dict[str, Curve], styles: dict[str, RuleStyle]
) -> None:
    """Draw the differences, an epoch's at its middle, and the baseline's line, the first."""
    known = [value for curve in curves.values() for _, *values in curve for value in values]
    ends = [value for value in known if not math.isnan(value)]
    room = (max(ends) - min(ends)) / 20 or 1e-6  # the same trainings differ by nothing
    plot = Plot(drawing, x, Scale(min(ends) - room, max(ends) + room, BOTTOM, SECOND))
    plot.draw_axes(
        round_ticks(x.low, x.high, 7),
        round_ticks(plot.y.low, plot.y.high, 5),
        write_y=_signed,
        below="epoch",
    )
    baseline, *others = curves
    draw_line(drawing, plot.line((at, mean) for at, mean, *_ in curves[baseline]), styles[baseline])
    for name in others:
        band = [(at + 0.5, low, high) for at, _, low, high in curves[name]]
        plot.draw_band(band, styles[name])
    for name in others:
        commands = plot.line((at + 0.5, mean) for at, mean, *_ in curves[name])
        draw_line(drawing, commands, styles[name])
        every = max(round(MARKS / (x.unit * _distance(curves[name]))), 1)
        draw_markers(drawing, [(px, py) for _, px, py in commands[::every]], styles[name])
    named = [(name, curve[-1][1]) for name, curve in curves.items()]
    draw_names(plot, named, _of(styles, curves))


def _distance(curve: Curve) -> float:
    """Return how far one point lies from the next, of a single one that of any."""
    return curve[1][0] - curve[0][0] if len(curve) > 1 else 1


def _of(styles: dict[str, RuleStyle], names: Iterable[str]) -> list[RuleStyle]:
    return [styles[name] for name in names]


def _log(value: float) -> float:
    return math.log10(max(value, FLOOR)) if not math.isnan(value) else value


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 else number(value)


def _describe(comparison: Comparison, frame: pd.DataFrame) -> str:
    """Say what the curves show."""
    rows: dict[str, list[dict[Any, Any]]] = {}
    for row in frame.to_dict("records"):
        rows.setdefault(row["recipe"], []).append(row)
    parts = []
    for name in comparison.recipes:
        if name not in rows:
            parts.append(f"{shorten(name)}: every seed diverged")
            continue
        first, last = rows[name][0], rows[name][-1]
        text = (
            f"{shorten(name)}, {plural(last['n'], 'seed')}: {number(first['loss'])} nats in "
            f"the first epoch, {number(last['loss'])} in the last"
        )
        if name != comparison.baseline:
            text += f", {_signed(last['difference'])} from {shorten(comparison.baseline)}"
        parts.append(text)
    return "Mean log-loss of the training batches over seeds. " + "; ".join(parts) + "."

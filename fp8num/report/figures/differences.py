"""
What recipes did to data held out, seed by seed: less the baseline in the same training.

::

               -margin     0     margin
    accuracy  |   :    . ..|:. .    :   |   a dot for each seed
              |   :      --===--    :   |   mean, 90 % and 95 % intervals
    log-loss  |          . |..: .       |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from fp8num.report.figures.plots import Plot, round_ticks
from fp8num.report.figures.style import BLUE, FAINT, GREY, caption, draw_markers, rule_styles
from fp8num.report.labels import number, plural, shorten
from fp8num.report.svg import Drawing, Scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fp8num.nn import Comparison
    from fp8num.nn.paired import Estimate
    from fp8num.report.figures.style import RuleStyle

__all__ = ["paired_differences", "seed_differences"]

WIDTH, LEFT, RIGHT, TOP = 570, 116, 556, 26
ROW, GAP = 62, 64  #: heights of a recipe's row, and between panels
DOTS = 34  #: height that the dots of a row have
DOT = 5.0  #: pixels from one dot to the next
MOST = 12  #: recipes that are drawn

Row: TypeAlias = "tuple[str, list[float], Estimate]"


def seed_differences(comparison: Comparison, what: str) -> dict[str, list[float]]:
    """
    Return what each seed contributes to the mean differences of a comparison.

    Parameters
    ----------
    comparison : Comparison
        What was compared.
    what : {"accuracy", "loss"}
        On the data held out.

    Returns
    -------
    dict of str to list of float
        For each recipe but the baseline its own less the baseline's, of each seed in which
        neither diverged, folds averaged.
    """
    values: dict[str, dict[int, list[float]]] = {}
    for one in comparison.outcomes:
        value = math.nan if one.diverged else getattr(one, what)
        values.setdefault(one.recipe, {}).setdefault(one.seed, []).append(value)
    means = {
        name: {seed: math.fsum(folds) / len(folds) for seed, folds in seeds.items()}
        for name, seeds in values.items()
    }
    base = means.pop(comparison.baseline)
    changes = {
        name: [value - base[seed] for seed, value in seeds.items()] for name, seeds in means.items()
    }
    return {name: [x for x in found if not math.isnan(x)] for name, found in changes.items()}


def paired_differences(comparison: Comparison, *, key: str = "differences") -> str:
    """
    Draw how recipes differ from the baseline in accuracy and log-loss, seed by seed.

    Parameters
    ----------
    comparison : Comparison
        What was compared.
    key : str, optional
        Prefix of the ids, to be unique on a page.

    Returns
    -------
    str
        An ``<svg>`` element: two panels, with a row for each recipe.
    """
    styles = rule_styles(comparison.recipes)
    named = [one for one in comparison.results if one.recipe != comparison.baseline][:MOST]
    accuracy, loss = (seed_differences(comparison, what) for what in ("accuracy", "loss"))
    points = [
        (
            one.recipe,
            [100 * value for value in accuracy[one.recipe]],
            _scaled(one.accuracy_difference, 100),
        )
        for one in named
    ]
    losses = [(one.recipe, loss[one.recipe], one.loss_difference) for one in named]
    height = ROW * max(len(named), 1)
    drawing = Drawing(
        width=WIDTH,
        height=TOP + 2 * height + GAP + 60,
        key=key,
        title="Differences on the data held out, pair by pair",
        description=_describe(comparison, points, losses),
    )
    base = shorten(comparison.baseline, 24)
    margin = 100 * comparison.margin
    heading = f"accuracy less {base}’s, points"
    panel = _Panel(drawing, TOP, styles)
    panel.draw(heading, points, margin)
    panel = _Panel(drawing, TOP + height + GAP, styles)
    panel.draw(f"log-loss less {base}’s, nats", losses, None)
    _draw_legend(drawing, TOP + 2 * height + GAP + 50)
    return drawing.render()


@dataclass(frozen=True, slots=True)
class _Panel:
    """A panel whose upper edge is at a height, with a row for each recipe."""

    drawing: Drawing
    top: float
    styles: dict[str, RuleStyle]

    def draw(self, heading: str, rows: Sequence[Row], margin: float | None) -> None:
        """Draw the axes, the margin that does not matter, and the rows."""
        drawing, top = self.drawing, self.top
        drawing.text(LEFT, top - 14, heading, **caption)
        bottom = top + ROW * max(len(rows), 1)
        x = _axis(rows, margin)
        if margin is not None:
            left, right = x(-margin), x(margin)
            drawing.rect(left, top, right, bottom, fill=GREY, fill_opacity="0.16", class_="bar")
            text = f"grey: up to ±{number(margin)}, which does not matter"
            drawing.text(RIGHT, top - 14, text, text_anchor="end", **caption)
        plot = Plot(drawing, x, Scale(0, 1, bottom, top))
        plot.draw_axes(round_ticks(x.low, x.high, 9), (), write_x=_signed)
        drawing.line(x(0), bottom, x(0), top, stroke=FAINT, stroke_width="1.4", class_="axis")
        for i, (name, values, found) in enumerate(rows):
            style, y = self.styles[name], top + ROW * i
            drawing.text(
                LEFT - 12, y + 40, shorten(name, 15), text_anchor="end",
                fill=style.colour, font_weight="600", class_=f"fill-{style.key}",
            )  # fmt: skip
            _draw_dots(drawing, [x(value) for value in values], y + 6, style)
            _draw_interval(drawing, x, found, y + 50, style)
            if not values:
                drawing.text((LEFT + RIGHT) / 2, y + 36, "no pair", text_anchor="middle")


def _scaled(one: Estimate, factor: float) -> Estimate:
    ends = (factor * value for value in (one.mean, one.error, one.low, one.high))
    return type(one)(one.n, *ends)


def _axis(rows: Sequence[Row], margin: float | None) -> Scale:
    """Return an axis that holds the values, the intervals and the margin."""
    found = [0.0, margin or 0.0, -(margin or 0.0)]
    for _, values, one in rows:
        found += [*values, one.low, one.high]
    known = [value for value in found if not math.isnan(value)]
    room = (max(known) - min(known)) / 16 or 1e-6  # the same trainings differ by nothing
    return Scale(min(known) - room, max(known) + room, LEFT, RIGHT)


def _draw_dots(drawing: Drawing, places: Sequence[float], top: float, style: RuleStyle) -> None:
    """Draw a dot at each place, those that would cover each other in a pile."""
    piles: dict[int, list[float]] = {}
    for place in places:
        piles.setdefault(round(place / DOT), []).append(place)
    highest = max((len(pile) for pile in piles.values()), default=1)
    apart = min(DOT, DOTS / highest)
    points = [(x, top + DOTS - apart * i) for pile in piles.values() for i, x in enumerate(pile)]
    draw_markers(drawing, points, style)


def _draw_interval(drawing: Drawing, x: Scale, one: Estimate, y: float, style: RuleStyle) -> None:
    """Draw a mean as an upright stroke, 90 % around it thick, 95 % thin."""
    if math.isnan(one.mean):
        return
    full = {"fill": style.colour, "class_": f"fill-{style.key}"}
    if not math.isnan(one.error):
        from fp8num.nn.paired import student_quantile

        reach = student_quantile(0.95, one.n - 1) * one.error
        drawing.rect(x(one.low), y - 0.75, x(one.high), y + 0.75, **full)
        drawing.rect(x(one.mean - reach), y - 2.5, x(one.mean + reach), y + 2.5, **full)
    drawing.rect(x(one.mean) - 1.25, y - 7, x(one.mean) + 1.25, y + 7, **full)


def _draw_legend(drawing: Drawing, y: float) -> None:
    """Say what the marks are, on one of them in blue."""
    full = {"fill": BLUE, "class_": "fill-first"}
    drawing.rect(LEFT, y - 4.75, LEFT + 40, y - 3.25, **full)
    drawing.rect(LEFT + 4, y - 6.5, LEFT + 36, y - 1.5, **full)
    drawing.rect(LEFT + 18.75, y - 11, LEFT + 21.25, y + 3, **full)
    drawing.text(
        LEFT + 48, y, "mean, 90 % (thick) and 95 % (thin) intervals; small marks: seeds", **caption
    )


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 else number(value)


def _describe(comparison: Comparison, points: Sequence[Row], losses: Sequence[Row]) -> str:
    """Say what is drawn."""
    base = shorten(comparison.baseline)
    parts = []
    for (name, _, accuracy), (_, _, loss) in zip(points, losses, strict=True):
        if not accuracy.n:
            parts.append(f"{shorten(name)}: no seed in which neither it nor {base} diverged")
            continue
        text = f"{shorten(name)} less {base}, {plural(accuracy.n, 'seed')}: "
        for unit, one in (("points of accuracy", accuracy), ("nats of log-loss", loss)):
            ends = f", 95 % from {_signed(one.low)} to {_signed(one.high)}" if one.n > 1 else ""
            text += f"{_signed(one.mean)} {unit}{ends}; "
        parts.append(text.removesuffix("; "))
    return ". ".join(parts) + "."

"""
The figures of the audit, each from a table that lies beside it.

::

    spacing.svg     step between neighbours against magnitude
    curves.svg      printed losses over the spread of the runs
    parts.svg       mean losses of the variants
    gradients.svg   norms of gradients, layer by layer, with a row for zero
    costs.svg       paired differences to float32, with twice their standard errors

Lines are told apart by dash and marker as well as by colour.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).resolve().parents[1]))

from figures import BAND, LEFT, PLOT, TOP, blank, legend, plot, style

from fp8num.report.figures.style import FAINT, caption
from fp8num.report.labels import power_of_two

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["costs_figure", "curves_figure", "gradients_figure", "parts_figure", "spacing_figure"]


def spacing_figure(table: pd.DataFrame) -> str:
    """Draw the step between neighbouring values against magnitude."""
    names = list(dict.fromkeys(table["grid"]))
    drawing = blank(
        "spacing",
        "Step between neighbouring values against magnitude",
        "FP8 formats: the step doubles with every binade, so that the relative step stays the "
        "same. The tutorial's quantisers: one step for all magnitudes, 1/1024 and 1/128.",
        2,
    )
    panel = plot(drawing, (-18, 16), (-18, 14), (0, 1))
    ticks = range(-16, 17, 4)
    panel.axes(
        ticks, range(-16, 13, 4), lambda e: power_of_two(int(e)), lambda e: power_of_two(int(e)),
        ("magnitude of the value", "step to the next value"),
    )  # fmt: skip
    styles = [style(i, name) for i, name in enumerate(names)]
    for how in styles:
        rows = table[table["grid"] == how.label]
        panel.series(list(zip(rows["log2 magnitude"], rows["log2 step"], strict=True)), how)
    legend(drawing, TOP + PLOT + 52, styles)
    return drawing.render()


def curves_figure(table: pd.DataFrame) -> str:
    """Draw printed losses over mean and spread of the runs."""
    epochs = table[table["what"] != "first minus last"]
    n = int(epochs["n"].iloc[0])
    drawing = blank(
        "curves",
        "Printed losses, and the losses of its code",
        "; ".join(
            f"{row.curve} epoch {i % 5 + 1}: runs {row.mean:.4f}, printed {row.printed:.4f}"
            for i, row in enumerate(epochs.itertuples())
        ),
        2,
    )
    printed, mean = style(1, "printed in the tutorial"), style(0, f"its code: mean of {n} seeds")
    for number, (curve, rows) in enumerate(epochs.groupby("curve", sort=False)):
        panel = plot(drawing, (0.8, 5.2), (2.1, 2.55), (0.53 * number, 0.53 * number + 0.47))
        at = range(1, 6)
        ys = [2.1, 2.2, 2.3, 2.4, 2.5]
        names = ("epoch", f"{curve}: mean loss / nat")
        panel.axes(at, ys, lambda e: f"{e:.0f}", lambda v: f"{v:.1f}", names)
        losses, sd = rows["mean"].to_numpy(), 2 * rows["standard deviation"].to_numpy()
        low, high = (list(zip(at, losses + sign * sd, strict=True)) for sign in (-1, 1))
        panel.band(low, high)
        panel.series(list(zip(at, losses, strict=True)), mean)
        panel.series(list(zip(at, rows["printed"], strict=True)), printed)
    legend(drawing, TOP + PLOT + 52, [mean, printed])
    row = TOP + PLOT + 69
    drawing.rect(LEFT, row - 9, LEFT + 24, row + 1, fill=BAND)
    drawing.text(LEFT + 31, row, "its code: ± 2 standard deviations of a run", **caption)
    return drawing.render()


LABELS = {
    "fp32": "FP32, nn.Linear's initial weights",
    "randn": "FP32, initial weights 0.1 randn",
    "through": "rounded to 1/1024, gradients passed on",
    "frozen": "not rounded, only the last bias trains",
    "printed": 'the tutorial\'s "FP8"',
}


def parts_figure(table: pd.DataFrame) -> str:
    """Draw mean losses of the variants."""
    drawing = blank(
        "parts",
        'What the tutorial\'s "FP8" loss is made of',
        "; ".join(
            f"{LABELS[row.variant]}, epoch {row.epoch}: {row.mean:.4f}"
            for row in table.itertuples()
        ),
        5,
    )
    panel = plot(drawing, (0.8, 5.2), (2.1, 2.5), (0, 1))
    panel.axes(
        range(1, 6), [2.1, 2.2, 2.3, 2.4, 2.5], lambda e: f"{e:.0f}", lambda v: f"{v:.1f}",
        ("epoch", "mean loss / nat (error bars: 2 standard errors)"),
    )  # fmt: skip
    styles = []
    for i, (variant, label) in enumerate(LABELS.items()):
        how = style(i, label)
        styles.append(how)
        rows = table[table["variant"] == variant]
        # A little to the side, so that of equal ones both are seen.
        at = rows["epoch"] + 0.06 * (i - 2)
        for x, row in zip(at, rows.itertuples(), strict=True):
            panel.bar(x, row.mean - 2 * row.error, row.mean + 2 * row.error, how)
        panel.series(list(zip(at, rows["mean"], strict=True)), how)
    legend(drawing, TOP + PLOT + 52, styles, 1)
    return drawing.render()


def gradients_figure(table: pd.DataFrame) -> str:
    """Draw the mean norms of gradients for each parameter."""
    parameters = list(dict.fromkeys(table["parameter"]))
    drawing = blank(
        "gradients",
        "Norms of gradients, layer by layer",
        "; ".join(
            f"{LABELS[row['variant']]}, {title(row['parameter'])}: {row['mean norm']:g}"
            for row in table.to_dict("records")
        ),
        3,
    )
    # Below the decades, a row for what is exactly 0.
    zero = -2.5
    panel = plot(drawing, (-0.5, len(parameters) - 0.5), (zero - 0.2, 0.3), (0, 1))
    panel.axes(
        range(len(parameters)), [zero, -2, -1, 0], lambda i: title(parameters[int(i)]),
        lambda e: "exactly 0" if e == zero else f"{10.0**e:g}",
        ("parameters", "norm of the gradient, mean of all steps and runs / nat"),
    )  # fmt: skip
    styles = []
    for i, variant in enumerate(("fp32", "through", "printed")):
        how = style(i, LABELS[variant])
        styles.append(how)
        norms = table[table["variant"] == variant]["mean norm"]
        points = [
            (j + 0.12 * (i - 1), math.log10(norm) if norm else zero) for j, norm in enumerate(norms)
        ]
        panel.series(points, how, line=False)
    legend(drawing, TOP + PLOT + 52, styles, 1)
    return drawing.render()


def title(parameter: str) -> str:
    """Return a parameter's name in words."""
    layer, _, kind = parameter.partition(".")
    return f"{'first' if layer == '0' else 'second'} layer, {kind}"


def costs_figure(table: pd.DataFrame) -> str:
    """Draw paired differences to float32, epoch by epoch."""
    rows = table[table["at"].str.startswith("epoch")]
    recipes = list(dict.fromkeys(rows["what"]))
    reach = max(abs(row["mean"]) + 2 * row["standard error"] for row in rows.to_dict("records"))
    step = 10 ** math.floor(math.log10(reach))
    step = step if reach / step >= 3 else step / 2 if reach / step >= 1.5 else step / 5
    marks = math.ceil(reach / step)
    drawing = blank(
        "costs",
        "What FP8 costs: loss minus that of float32",
        "; ".join(
            f"{row['what']}, {row['at']}: {row['mean']:.2g}, standard error "
            f"{row['standard error']:.1g}"
            for row in rows.to_dict("records")
        ),
        2,
    )
    panel = plot(drawing, (0.6, 5.4), (-marks * step, marks * step), (0, 1))
    ticks = [i * step for i in range(-marks, marks + 1)]
    panel.axes(
        range(1, 6), ticks, lambda e: f"{e:.0f}", lambda v: f"{v:.6g}",
        ("epoch", "paired difference of the mean loss / nat (error bars: 2 standard errors)"),
    )  # fmt: skip
    styles = []
    for i, recipe in enumerate(recipes):
        how = style(i, recipe)
        styles.append(how)
        points = []
        for row in rows[rows["what"] == recipe].to_dict("records"):
            at = int(row["at"].split()[1]) + 0.1 * (i - (len(recipes) - 1) / 2)
            error = 2 * row["standard error"]
            panel.bar(at, row["mean"] - error, row["mean"] + error, how)
            points.append((at, row["mean"]))
        panel.series(points, how, line=False)
    zero = panel.y(0)
    drawing.line(panel.x.start, zero, panel.x.end, zero, stroke=FAINT, stroke_width="1.2")
    legend(drawing, TOP + PLOT + 52, styles)
    return drawing.render()

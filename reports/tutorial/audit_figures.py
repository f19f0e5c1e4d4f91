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

from figures import BAND, finished, panels

from fp8num import plot

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["costs_figure", "curves_figure", "gradients_figure", "parts_figure", "spacing_figure"]


def spacing_figure(table: pd.DataFrame) -> str:
    """Draw the step between neighbouring values against magnitude."""
    figure, (ax,) = panels()
    plot.curves(table, ax, what="log2 step", by="log2 magnitude", series="grid")
    ax.set(xlabel="magnitude of the value", ylabel="step to the next value")
    plot.powers_of_two(ax.xaxis)
    plot.powers_of_two(ax.yaxis)
    steps = "; ".join(
        f"{grid}: 2^{rows['log2 step'].min():g} to 2^{rows['log2 step'].max():g}"
        for grid, rows in table.groupby("grid", sort=False)
    )
    return finished(
        figure,
        "Step between neighbouring values against magnitude",
        "FP8 formats: the step doubles with every binade, so that the relative step stays the "
        "same. The tutorial's quantisers: one step for all magnitudes, 1/1024 and 1/128. " + steps,
    )


def curves_figure(table: pd.DataFrame) -> str:
    """Draw printed losses over mean and spread of the runs."""
    epochs = table[table["what"] != "first minus last"]
    n = int(epochs["n"].iloc[0])
    figure, plots = panels(2)
    printed, mean = "printed in the tutorial", f"its code: mean of {n} seeds"
    for ax, (curve, rows) in zip(plots, epochs.groupby("curve", sort=False), strict=True):
        at, losses = range(1, 6), rows["mean"].to_numpy()
        reach = 2 * rows["standard deviation"].to_numpy()
        text = "its code: ± 2 standard deviations of a run"
        ax.fill_between(at, losses - reach, losses + reach, **BAND, label=text)
        ax.plot(at, losses, **plot.STYLES[0], label=mean)
        ax.plot(at, rows["printed"], **plot.STYLES[1], label=printed)
        ax.set(xlim=(0.8, 5.2), ylim=(2.1, 2.55), xticks=at, xlabel="epoch")
        ax.set_ylabel(f"{curve}: mean loss / nat")
        ax.grid(color="#e4e7eb")
        ax.set_axisbelow(True)
    return finished(
        figure,
        "Printed losses, and the losses of its code",
        "; ".join(
            f"{row.curve} epoch {i % 5 + 1}: runs {row.mean:.4f}, printed {row.printed:.4f}"
            for i, row in enumerate(epochs.itertuples())
        ),
    )


LABELS = {
    "fp32": "FP32, nn.Linear's initial weights",
    "randn": "FP32, initial weights 0.1 randn",
    "through": "rounded to 1/1024, gradients passed on",
    "frozen": "not rounded, only the last bias trains",
    "printed": 'the tutorial\'s "FP8"',
}


def parts_figure(table: pd.DataFrame) -> str:
    """Draw mean losses of the variants."""
    figure, (ax,) = panels(height=4.2)
    # A little to the side, so that of equal ones both are seen.
    aside = {variant: 0.06 * (i - 2) for i, variant in enumerate(LABELS)}
    rows = table.assign(
        epoch=table["epoch"] + table["variant"].map(aside),
        mean_low=table["mean"] - 2 * table["error"],
        mean_high=table["mean"] + 2 * table["error"],
    )
    plot.curves(rows, ax, what="mean", series="variant", names=LABELS, interval="bars")
    ax.set(ylim=(2.1, 2.5), xticks=range(1, 6), xlabel="epoch")
    ax.set_ylabel("mean loss / nat\n(bars: 2 standard errors)")
    return finished(
        figure,
        'What the tutorial\'s "FP8" loss is made of',
        "; ".join(
            f"{LABELS[row.variant]}, epoch {row.epoch}: {row.mean:.4f}"
            for row in table.itertuples()
        ),
    )


def gradients_figure(table: pd.DataFrame) -> str:
    """Draw the mean norms of gradients for each parameter."""
    parameters = list(dict.fromkeys(table["parameter"]))
    figure, (ax,) = panels()
    zero = -2.5  # below the decades, a row for what is exactly 0
    for i, variant in enumerate(("fp32", "through", "printed")):
        norms = table[table["variant"] == variant]["mean norm"]
        at = [j + 0.12 * (i - 1) for j in range(len(norms))]
        places = [math.log10(norm) if norm else zero for norm in norms]
        ax.plot(at, places, label=LABELS[variant], **dict(plot.STYLES[i]) | {"linestyle": "none"})
    ax.set_xticks(range(len(parameters)), [title(name) for name in parameters])
    ax.set_yticks([zero, -2, -1, 0], ["exactly 0", "0.01", "0.1", "1"])
    ax.set(ylim=(zero - 0.2, 0.3), ylabel="norm of the gradient / nat\n(mean of steps and runs)")
    ax.grid(color="#e4e7eb")
    return finished(
        figure,
        "Norms of gradients, layer by layer",
        "; ".join(
            f"{LABELS[row['variant']]}, {title(row['parameter'])}: {row['mean norm']:g}"
            for row in table.to_dict("records")
        ),
    )


def title(parameter: str) -> str:
    """Return a parameter's name in words."""
    layer, _, kind = parameter.partition(".")
    return f"{'first' if layer == '0' else 'second'} layer, {kind}"


def costs_figure(table: pd.DataFrame) -> str:
    """Draw paired differences to float32, epoch by epoch."""
    rows = table[table["at"].str.startswith("epoch")]
    recipes = list(dict.fromkeys(rows["what"]))
    figure, (ax,) = panels()
    ax.axhline(0, color="#57606a", linewidth=1)
    for i, recipe in enumerate(recipes):
        some = rows[rows["what"] == recipe]
        at = some["at"].str.split().str[1].astype(int) + 0.1 * (i - (len(recipes) - 1) / 2)
        style = dict(plot.STYLES[i]) | {"linestyle": "none"}
        ax.errorbar(at, some["mean"], yerr=2 * some["standard error"], label=recipe, **style)
    ax.set(xticks=range(1, 6), xlabel="epoch")
    ax.set_ylabel("difference of the mean loss / nat\n(pairs; bars: 2 standard errors)")
    ax.grid(color="#e4e7eb")
    ax.set_axisbelow(True)
    return finished(
        figure,
        "What FP8 costs: loss minus that of float32",
        "; ".join(
            f"{row['what']}, {row['at']}: {row['mean']:.2g}, standard error "
            f"{row['standard error']:.1g}"
            for row in rows.to_dict("records")
        ),
    )

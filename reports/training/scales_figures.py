"""The figures of scales: what casts differ in, and how long errors last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from common import TASKS
from drawings import axis, interval
from figures import Interval, finished, intervals, panels
from words import ACCURACY, LOSS

from fp8num import plot
from fp8num.nn.paired import student_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["casts_figure", "pairs_figure", "persistence_figure"]


def pairs_figure(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Draw the differences of pairs, a row for each and in it a task each."""
    found = {
        name: {
            task: (interval(row, ACCURACY, 100), interval(row, LOSS, 1000))
            for task, row in tasks.items()
        }
        for name, tasks in rows.items()
    }
    panels = [[one[i] for row in found.values() for one in row.values()] for i in (0, 1)]
    return intervals(
        found,
        [
            ("accuracy / points", axis(panels[0], 0.4)),
            ("log-loss / 0.001 nat", axis(panels[1])),
        ],
        title="Trainings with powers of two minus those with float32 scales, and float32 twice",
        description="; ".join(
            f"{name}, {task}: {one[0].mean:+.2f} points, {one[1].mean / 1000:+.4f} nat"
            for name, row in found.items()
            for task, one in row.items()
        )
        + ". Means of pairs, with 95 % intervals.",
        band=0.3,
    )


def casts_figure(frame: pd.DataFrame) -> str:
    """Draw what powers of two change in the errors of casts, tensor by tensor."""
    rows: dict[str, dict[str, list[Interval]]] = {}
    for (layer, tensor, data), group in frame.groupby(["layer", "tensor", "data"], sort=False):
        by_measure = {row["measure"]: row for row in group.to_dict("records")}
        error, magnitude = by_measure["error"], by_measure["magnitude"]
        found = [_interval(error, 100 / error["float32"]), _interval(magnitude, 100)]
        rows.setdefault(f"{tensor} of {layer}", {})[TASKS[str(data)].label] = found
    rows = dict(sorted(rows.items(), key=lambda row: row[0].rsplit(" ", 1)[::-1]))
    # The pixels, which differ by all of their error, are beyond.
    return intervals(
        rows,
        [
            ("error: difference / % of it", (-4.5, 15.0)),
            ("sum of |x|: difference / %", (-0.55, 0.15)),
        ],
        title="Casts with a power of two minus casts with a float32 scale, of the same tensors",
        description="; ".join(
            f"{name}, {data}: error {one[0].mean:+.2f} %, sum of magnitudes {one[1].mean:+.3f} %"
            for name, row in rows.items()
            for data, one in row.items()
        )
        + ". Means over seeds with 95 % intervals.",
    )


def _interval(row: dict[str, float], unit: float) -> Interval:
    reach = student_quantile(0.975, max(int(row["n"]) - 1, 1)) * row["difference_error"]
    mean = row["difference"]
    return Interval(*(unit * one for one in (mean, mean - reach, mean + reach)))


def persistence_figure(frame: pd.DataFrame) -> str:
    """Draw how alike the errors of weights are some steps apart."""
    weights = frame[(frame["what"] == "weights") & (frame["lag"] > 0)]
    lags = sorted(set(weights["lag"]))
    kinds = {
        ("alike", "digits", "float32"): "digits, float32",
        ("alike", "digits", "power of two"): "digits, power of two",
        ("alike", "teacher", "float32"): "teacher, float32",
        ("alike", "teacher", "power of two"): "teacher, power of two",
        ("held", "teacher", "float32"): "teacher, float32, weights held still",
    }
    rows = [
        {
            "kind": name,
            "phase": row["phase"],
            "lag": lags.index(row["lag"]),
            "alike": row[column],
            "alike_low": row[column] - 2 * row[f"{column}_error"],
            "alike_high": row[column] + 2 * row[f"{column}_error"],
        }
        for (column, data, scale), name in kinds.items()
        for row in weights.to_dict("records")
        if (row["data"], row["scale"]) == (data, scale)
    ]
    table = pd.DataFrame(rows)
    figure, plots = panels(2)
    for ax, phase in zip(plots, ("first", "last"), strict=True):
        some = table[table["phase"] == phase]
        plot.curves(some, ax, what="alike", by="lag", series="kind", interval="bars")
        ax.set_xticks(range(len(lags)), [f"{lag:g}" for lag in lags])
        ax.set(ylim=(-0.3, 1.05), xlabel="steps apart", ylabel="correlation of the errors")
        ax.set_title(f"{phase} quarter of the steps", fontsize="medium")
    return finished(
        figure,
        "How alike the rounding errors of the weights are, some steps apart",
        "; ".join(
            f"{TASKS[row['data']].label}, {row['phase']} quarter, {row['scale']}, {row['lag']} "
            f"steps: {row['alike']:.2f}"
            for row in weights.to_dict("records")
        ),
    )

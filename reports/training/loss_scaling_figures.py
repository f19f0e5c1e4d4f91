"""The figures of loss scaling: the window, what is flushed, losses by epoch, scales by step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from common import TASKS
from figures import BAND, LEFT, PLOT, TOP, Panel, Series, blank, legend, plot, style
from loss_scaling_window import LOSS_MARGIN, SHARE, Window

from fp8num.report.figures.style import FAINT, caption
from fp8num.report.labels import power_of_two

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from fp8num.report.svg import Drawing

__all__ = ["curves_figure", "flushed_figure", "scaler_figure", "window_figure"]

Point = tuple[float, float]
SCALE = "loss scale, powers of two"
LEGEND = TOP + PLOT + 52
HALVES = (0.0, 0.455), (0.545, 1.0)


def _two(k: float) -> str:
    return power_of_two(int(k))


def _inside(panel: Panel, x: float, y: float) -> bool:
    return panel.x.low <= x <= panel.x.high and panel.y.low <= y <= panel.y.high


def _pieces(panel: Panel, points: Iterable[Point]) -> list[list[Point]]:
    """Return runs of neighbouring points that lie inside a panel."""
    found: list[list[Point]] = [[]]
    for x, y in points:
        if _inside(panel, x, y):
            found[-1].append((x, y))
        elif found[-1]:
            found.append([])
    return [piece for piece in found if piece]


def _draw(panel: Panel, points: Sequence[Point], how: Series, errors: Sequence[float] = ()) -> None:
    """Draw what lies inside a panel, with bars of two standard errors."""
    for (x, y), error in zip(points, errors, strict=False):
        if _inside(panel, x, y) and error > 0:
            ends = (
                min(max(end, panel.y.low), panel.y.high) for end in (y - 2 * error, y + 2 * error)
            )
            panel.bar(x, *ends, how)
    for piece in _pieces(panel, points):
        panel.series(piece, how)


def window_figure(frame: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """Draw differences of accuracy and log-loss from float32 against the scale."""
    drawing = blank(
        "loss_scaling",
        "FP8 without scales of its own, against float32, by the loss scale",
        "; ".join(
            f"{labels[row['data']]}, {row['recipe']}: {100 * row['accuracy_difference']:.2f} points"
            for row in frame.to_dict("records")
            if row["decision"] != "baseline" and not row["diverged"]
        ),
        3,
    )
    panels = []
    ticks: tuple[tuple[list[float], str, tuple[float, float], float], ...] = (
        ([-80, -60, -40, -20, 0], "accuracy minus float32's / points", (-90, 6), 0.5),
        (
            [-10, 0, 10, 20, 30, 40],
            "log-loss minus float32's / % of it",
            (-10, 45),
            100 * LOSS_MARGIN,
        ),
    )
    for (ys, name, ends, margin), part in zip(ticks, HALVES, strict=True):
        panel = plot(drawing, (-9, 27), ends, part)
        panel.band([(-9, -margin), (27, -margin)], [(-9, margin), (27, margin)])
        panel.axes(range(-8, 27, 4), ys, _two, "{:g}".format, (SCALE, name))
        panels.append(panel)
    styles = [style(i, label) for i, label in enumerate(labels.values())]
    for data, how in zip(labels, styles, strict=True):
        rows = frame[frame["data"] == data].to_dict("records")
        (base,) = (row["loss"] for row in rows if row["decision"] == "baseline")
        rows = [row for row in rows if row["decision"] != "baseline" and not row["diverged"]]
        for panel, what, unit in zip(panels, ("accuracy", "loss"), (100, 100 / base), strict=True):
            points = [(row["log2_scale"], unit * row[f"{what}_difference"]) for row in rows]
            _draw(panel, points, how, [unit * row[f"{what}_difference_error"] for row in rows])
    legend(drawing, LEGEND, styles)
    _note(drawing, LEGEND + 34, f"margins: 0.5 points, {LOSS_MARGIN:.0%} of the log-loss")
    return drawing.render()


def flushed_figure(frame: pd.DataFrame, smallest: Mapping[str, int | None]) -> str:
    """Draw the shares of elements and of magnitude that a scale flushes, layer by layer."""
    kept = {"digits": TASKS["digits"].label, "teacher": TASKS["teacher"].label}
    groups = [
        (f"{kept[str(data)]}, {layer}", data, rows)
        for (data, layer), rows in frame[frame["data"].isin(kept)].groupby(["data", "layer"])
    ]
    drawing = blank(
        "loss_scaling_flushed",
        "What E4M3FN flushes of the gradients of a float32 training, by the loss scale",
        "; ".join(
            f"{name}, 2^{k:g}: {share:.1%} of the elements, {part:.1%} of their sum"
            for name, _, rows in groups
            for k, share, part in zip(
                rows["log2_scale"], rows["flushed"], rows["magnitude"], strict=True
            )
            if k in (0, 4, 8, 12, 16)
        ),
        3,
    )
    styles = [style(i, name) for i, (name, _, _) in enumerate(groups)]
    names = ("elements flushed / %", "their share of the sum of |g| / %")
    for what, name, part in zip(("flushed", "magnitude"), names, HALVES, strict=True):
        panel = plot(drawing, (-0.5, 16.5), (0, 100), part)
        panel.axes(range(0, 17, 2), range(0, 101, 20), _two, "{:g}".format, (SCALE, name))
        if what == "magnitude":
            at = panel.y(100 * SHARE)
            drawing.line(panel.x.start, at, panel.x.end, at, stroke=FAINT, stroke_width="1.2")
            drawing.text(panel.x.end, at - 5, f"{SHARE:.0%}", text_anchor="end", **caption)
        for i, (data, k) in enumerate(smallest.items()):
            if data in kept and k is not None:
                x, top = panel.x(k), panel.y.end + 12 + 14 * i
                drawing.line(x, panel.y.start, x, top - 8, stroke=FAINT, stroke_dasharray="2 3")
                drawing.text(x + 3, top, f"smallest sufficient, {kept[data]}", **caption)
        for (_, _, rows), how in zip(groups, styles, strict=True):
            points = [(k, 100 * y) for k, y in zip(rows["log2_scale"], rows[what], strict=True)]
            _draw(panel, points, how, [100 * error for error in rows[f"{what}_error"]])
    legend(drawing, LEGEND, styles)
    return drawing.render()


def curves_figure(frame: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Draw the mean loss of the epochs' batches, with 95 % intervals."""
    drawing = blank(
        "loss_scaling_curves",
        "Losses of trainings with different loss scales",
        "; ".join(
            f"{names[name]}, last epoch: {rows['loss'].iloc[-1]:.3g} nat"
            for name, rows in frame.groupby("recipe", sort=False)
        ),
        4,
    )
    top = int(frame["epoch"].max()) + 1
    panel = plot(drawing, (0.5, top + 0.5), (-1.4, 0.7), (0, 1))
    marks = [0.05, 0.1, 0.2, 0.5, 1, 2, 4]
    panel.axes(
        range(2, top + 1, 2), [math.log10(one) for one in marks], "{:.0f}".format,
        lambda y: f"{10**y:.2g}", ("epoch", "mean loss of the batches / nat"),
    )  # fmt: skip
    groups = [(name, rows.to_dict("records")) for name, rows in frame.groupby("recipe", sort=False)]
    for _, rows in groups:
        ends: list[list[Point]] = [
            [
                (row["epoch"] + 1, min(max(math.log10(max(row[end], 1e-9)), -1.4), 0.7))
                for row in rows
            ]
            for end in ("loss_low", "loss_high")
        ]
        panel.band(*ends)
    styles = [style(i, names[name]) for i, (name, _) in enumerate(groups)]
    for (_, rows), how in zip(groups, styles, strict=True):
        _draw(panel, [(row["epoch"] + 1, math.log10(row["loss"])) for row in rows], how)
    legend(drawing, LEGEND, styles)
    _note(drawing, LEGEND + 51, "95 % interval of the mean")
    return drawing.render()


def scaler_figure(frame: pd.DataFrame, names: Mapping[str, str], found: Window) -> str:
    """Draw the mean scale of scalers that adapt, by step."""
    drawing = blank(
        "loss_scaling_scaler",
        "Where scales that adapt go",
        "; ".join(
            f"{label}: 2^{frame[frame['scaler'] == name]['log2_scale'].iloc[-1]:.1f} at the end"
            for name, label in names.items()
        ),
        7,
    )
    steps = int(frame["step"].max()) + 1
    panel = plot(drawing, (-1, steps), (-1, 37), (0, 1))
    if found.smallest is not None and found.largest is not None:
        low, high = float(found.smallest), float(found.largest)
        panel.band([(-1, low), (steps, low)], [(-1, high), (steps, high)])
    panel.axes(
        range(0, steps + 1, 20), range(0, 37, 4), "{:.0f}".format, _two,
        ("step", "loss scale (mean of the exponents)"),
    )  # fmt: skip
    styles = [style(i, label) for i, label in enumerate(names.values())]
    for i, (name, how) in enumerate(zip(names, styles, strict=True)):
        rows = frame[frame["scaler"] == name]
        points = [
            (panel.x(a), panel.y(min(b, 37)))
            for a, b in zip(rows["step"], rows["log2_scale"], strict=True)
        ]
        how.line(drawing, points)
        how.marks(drawing, points[2 * i :: 10])
    legend(drawing, LEGEND, styles, 1)
    _note(drawing, LEGEND + 17 * len(styles), "scales that equal float32 if they are kept")
    return drawing.render()


def _note(drawing: Drawing, y: float, text: str) -> None:
    """Say what the band is."""
    drawing.rect(LEFT, y - 9, LEFT + 24, y + 1, fill=BAND)
    drawing.text(LEFT + 31, y, text, **caption)

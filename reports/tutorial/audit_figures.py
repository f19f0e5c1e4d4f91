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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fp8num.report.figures.style import BLUE, FAINT, PAPER, caption, draw_grid
from fp8num.report.labels import power_of_two
from fp8num.report.svg import Drawing, Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

__all__ = ["costs_figure", "curves_figure", "gradients_figure", "parts_figure", "spacing_figure"]

WIDTH, LEFT, TOP, PLOT, RIGHT = 570, 66, 30, 200, 12
BAND = "#c9ced4"
Point = tuple[float, float]
#: Each shape as points around a place, in pixels; an outline is filled with white.
SHAPES: dict[str, tuple[Point, ...]] = {
    "square": ((-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)),
    "triangle": ((0, -4.5), (4, 3.5), (-4, 3.5)),
    "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
    "inverted": ((0, 4.5), (4, -3.5), (-4, -3.5)),
}
OUTLINES = {"square", "diamond"}


@dataclass(frozen=True)
class Series:
    """How a series is drawn: in its colour and, for want of colour, by dash and shape."""

    label: str
    colour: str
    dash: str
    shape: str

    def line(self, drawing: Drawing, places: Sequence[Point]) -> None:
        """Draw a line through places of the drawing."""
        drawing.path(
            _closed(places, end=False), fill="none", stroke=self.colour, stroke_width="1.4",
            stroke_dasharray=self.dash,
        )  # fmt: skip

    def marks(self, drawing: Drawing, places: Sequence[Point]) -> None:
        """Draw a mark at each place."""
        if self.shape == "disc":
            drawing.dots(places, stroke=self.colour, stroke_width="5.5", stroke_linecap="round")
            return
        fill = PAPER if self.shape in OUTLINES else self.colour
        for x, y in places:
            corners = [(x + a, y + b) for a, b in SHAPES[self.shape]]
            outline = _closed(corners, end=True)
            drawing.path(outline, fill=fill, stroke=self.colour, stroke_width="1.3")


def _closed(places: Sequence[Point], *, end: bool) -> list[tuple[str, float, float]]:
    """Return a path through places, back to the first if wanted."""
    through = [*places, places[0]] if end else places
    return [("L" if i else "M", *place) for i, place in enumerate(through)]


# Blue, vermilion, green and purple of the Okabe-Ito palette, darkened to be read on white.
_STYLES = (
    (BLUE, "none", "disc"),
    ("#c04a00", "4 2", "square"),
    ("#00785a", "1 2", "triangle"),
    ("#8a4f7d", "6 2 1 2", "diamond"),
    ("#24292f", "8 3", "inverted"),
)


def style(number: int, label: str) -> Series:
    """Return how the series of a number is drawn."""
    return Series(label, *_STYLES[number])


@dataclass(frozen=True)
class Panel:
    """A plot: its scales, and the drawing that it is on."""

    drawing: Drawing
    x: Scale
    y: Scale

    def axes(
        self, xs: Sequence[float], ys: Sequence[float], x_label: Callable[[float], str],
        y_label: Callable[[float], str], names: tuple[str, str],
    ) -> None:  # fmt: skip
        """Draw the grid, ticks' labels, and what the axes are."""
        draw_grid(self.drawing, self.x, self.y, xs, ys)
        self.drawing.line(self.x.start, self.y.start, self.x.end, self.y.start, stroke=FAINT)
        for at in xs:
            place = self.x(at), self.y.start + 15
            self.drawing.text(*place, x_label(at), text_anchor="middle", **caption)
        for at in ys:
            place = self.x.start - 7, self.y(at) + 4
            self.drawing.text(*place, y_label(at), text_anchor="end", **caption)
        middle = (self.x.start + self.x.end) / 2
        self.drawing.text(middle, self.y.start + 31, names[0], text_anchor="middle", **caption)
        self.drawing.text(self.x.start, self.y.end - 9, names[1], **caption)

    def series(self, points: Sequence[Point], how: Series, *, line: bool = True) -> None:
        """Draw points, and a line through them."""
        places = [(self.x(a), self.y(b)) for a, b in points]
        if line:
            how.line(self.drawing, places)
        how.marks(self.drawing, places)

    def band(self, low: Sequence[Point], high: Sequence[Point]) -> None:
        """Fill what lies between two lines."""
        edge = [(self.x(a), self.y(b)) for a, b in (*low, *reversed(high))]
        self.drawing.path(_closed(edge, end=True), fill=BAND, stroke="none")

    def bar(self, at: float, low: float, high: float, how: Series) -> None:
        """Draw an error bar with ends."""
        x, ends = self.x(at), (self.y(low), self.y(high))
        commands = [("M", x, ends[0]), ("L", x, ends[1])]
        commands += [p for y in ends for p in (("M", x - 3.5, y), ("L", x + 3.5, y))]
        self.drawing.path(commands, fill="none", stroke=how.colour, stroke_width="1.2")


def legend(drawing: Drawing, y: float, styles: Sequence[Series], columns: int = 2) -> None:
    """Show each series' name beside a sample."""
    width = (WIDTH - LEFT) / columns
    for i, how in enumerate(styles):
        row, column = divmod(i, columns)
        x, at = LEFT + column * width, y + 17 * row
        how.line(drawing, [(x, at - 4), (x + 24, at - 4)])
        how.marks(drawing, [(x + 12, at - 4)])
        drawing.text(x + 31, at, how.label, **caption)


def blank(key: str, title: str, description: str, rows: int) -> Drawing:
    """Return an empty drawing with room for a plot and rows of a legend."""
    height = TOP + PLOT + 52 + 17 * rows
    return Drawing(width=WIDTH, height=height, key=key, title=title, description=description)


def plot(drawing: Drawing, x: tuple[float, float], y: tuple[float, float], part: Point) -> Panel:
    """Return a plot on a part of the drawing's width, from 0 to 1."""
    room = WIDTH - LEFT - RIGHT
    ends = LEFT + part[0] * room, LEFT + part[1] * room
    return Panel(drawing, Scale(*x, *ends), Scale(*y, TOP + PLOT, TOP + 4))


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

"""Curves and differences are the comparison's, or those of a table, point by point."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fp8num import plot
from fp8num.nn import Comparison
from fp8num.nn.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSSES = {"fp32": [[2.0, 1.0], [2.2, 1.4], [2.1, 0.9]], "te": [[2.1, 1.2], [2.2, 1.5], [2.4, 1.2]]}
ACCURACY = {"fp32": [0.90, 0.92, 0.95], "te": [0.89, 0.92, 0.93]}


def outcome(name: str, seed: int, losses: list[float], accuracy: float) -> Outcome:
    return Outcome(
        recipe=name,
        seed=seed,
        fold=0,
        held_out=1000,
        accuracy=accuracy,
        loss=losses[-1],
        losses=tuple(losses),
    )


def compared(other: str = "te") -> Comparison:
    """Three seeds of two recipes; two steps, which are an epoch each."""
    outcomes = [
        outcome(other if name == "te" else name, seed, losses, ACCURACY[name][seed])
        for name, runs in LOSSES.items()
        for seed, losses in enumerate(runs)
    ]
    return Comparison(tuple(outcomes), "fp32", 0.003)


def student(values: list[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval, by SciPy."""
    found = stats.t(len(values) - 1, np.mean(values), stats.sem(values)).interval(0.95)
    return float(np.mean(values)), float(found[0]), float(found[1])


def test_curves_are_means_over_seeds_in_their_intervals(ax: Axes) -> None:
    """A line for each recipe by epoch, in a band."""
    plot.curves(compared(), ax)

    assert [line.get_label() for line in ax.lines] == ["fp32", "te"]
    for line, band, runs in zip(ax.lines, ax.collections, LOSSES.values(), strict=True):
        exact = [student(list(values)) for values in zip(*runs, strict=True)]
        assert list(line.get_xdata()) == [0, 1]
        np.testing.assert_allclose(line.get_ydata(), [mean for mean, *_ in exact])
        edge = {tuple(point) for point in np.round(band.get_paths()[0].vertices, 9)}
        assert {(i, round(end, 9)) for i, (_, *ends) in enumerate(exact) for end in ends} <= edge
    assert ax.get_ylabel().endswith("/ nat")
    assert ax.get_xlabel() == "epoch"


def test_differences_of_curves_are_pair_by_pair(ax: Axes) -> None:
    """The baseline has none of its own but a line at zero."""
    plot.curves(compared(), ax, what="difference", by="step")

    line, zero = ax.lines
    pairs = zip(LOSSES["te"], LOSSES["fp32"], strict=True)
    changes = [[a - b for a, b in zip(*pair, strict=True)] for pair in pairs]
    np.testing.assert_allclose(line.get_ydata(), np.mean(changes, axis=0))
    assert list(zero.get_ydata()) == [0, 0]
    assert "fp32" in ax.get_ylabel()


def test_a_table_s_curves_are_its_columns(ax: Axes) -> None:
    """Any columns, in the order and under the names that were asked for; bars from low to high."""
    frame = pd.DataFrame(
        {"k": [0, 1, 0, 1], "s": ["a", "a", "b", "b"], "y": [1.0, 2.0, 3.0, 4.0],
         "y_low": [0.5, 1.0, 2.0, 3.0], "y_high": [1.5, 2.5, 3.5, math.nan]}
    )  # fmt: skip

    names = {"b": "second", "a": "first"}
    plot.curves(frame, ax, what="y", by="k", series="s", names=names, interval="bars")

    lines = {line.get_label(): line for line in ax.lines}
    assert [name for name in lines if not name.startswith("_")] == ["second", "first"]
    assert list(lines["first"].get_ydata()) == [1, 2]
    bars = ax.lines[2]
    np.testing.assert_array_equal(bars.get_xdata(), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(bars.get_ydata(), [0.5, 1.5, math.nan, 1, 2.5, math.nan])


def test_a_table_without_intervals_has_lines_alone(ax: Axes) -> None:
    frame = pd.DataFrame({"recipe": ["a"] * 3, "epoch": [0, 1, 2], "loss": [3.0, 2.0, math.nan]})

    plot.curves(frame, ax)

    assert len(ax.lines) == 1
    assert not ax.collections


def test_rows_are_paired_differences(ax: Axes) -> None:
    """Of accuracy in points with the margin as a band, of log-loss in nat."""
    plot.differences(compared(), ax)

    zero, bar, mean = ax.lines[:3]
    pairs = zip(ACCURACY["te"], ACCURACY["fp32"], strict=True)
    exact = student([100 * (a - b) for a, b in pairs])
    assert list(zero.get_xdata()) == [0, 0]
    assert list(mean.get_xdata()) == pytest.approx([exact[0]])
    assert list(bar.get_xdata())[:2] == pytest.approx(exact[1:])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["te"]
    assert ax.get_xlabel() == "accuracy less that of fp32 / points"
    (band,) = ax.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.3, 0.6))  # type: ignore[attr-defined]


def test_rows_of_log_loss_have_no_margin(ax: Axes) -> None:
    plot.differences(compared(), ax, what="loss")

    assert not ax.patches
    assert ax.lines[2].get_xdata() == pytest.approx([(0.2 + 0.1 + 0.3) / 3])


def test_rows_hold_the_series_they_have(ax: Axes) -> None:
    """Series are apart within a row; one without an interval is a mean alone."""
    rows = {
        "first": {"a": (1.0, 0.5, 1.5), "b": (2.0, math.nan, math.nan)},
        "second": {"b": (-1.0, -2.0, 0.0)},
    }

    plot.differences(rows, ax)

    found = {line.get_label(): line for line in ax.lines}
    assert list(found["a"].get_xdata()) == [1]
    assert list(found["b"].get_xdata()) == [2, -1]
    assert [round(y) for y in found["b"].get_ydata()] == [0, 1]
    assert found["a"].get_ydata()[0] < found["b"].get_ydata()[0]
    assert found["a"].get_marker() != found["b"].get_marker()


def test_what_is_beyond_the_limits_is_marked_and_written(ax: Axes) -> None:
    """An arrow head at the end, and the mean that nobody could see."""
    plot.differences(
        {"far": {"a": (30.0, 29.0, 31.0)}, "near": {"a": (0.1, -0.2, 0.3)},
         "wide": {"a": (0.0, -9.0, 0.2)}}, ax, limits=(-0.5, 0.5),
    )  # fmt: skip

    heads = [(line.get_marker(), line.get_xdata()[0]) for line in ax.lines[3:5]]
    assert heads == [(">", 0.5), ("<", -0.5)]
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("+30", (0.5, 0))]  # type: ignore[attr-defined]
    assert ax.get_xlim() == (-0.5, 0.5)


@pytest.mark.parametrize("name", ["$\\frac$", "_hidden", "two\nlines\x1b[31m", "a" * 200])
def test_names_are_shown_as_they_are(ax: Axes, name: str) -> None:
    """No mathematics, nothing left out, no glyph that a font lacks."""
    plot.curves(compared(name), ax)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    legend = ax.get_legend()
    assert legend is not None
    shown = legend.get_texts()[1].get_text().strip()
    ax.clear()
    plot.differences(compared(name), ax)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]

    assert ax.get_yticklabels()[0].get_text().strip() == shown
    expected = name.replace("\n", "\\n").replace("\x1b", "\\x1b")
    assert shown.replace("\\$", "$") == (expected if len(name) < 200 else 24 * "a" + "…" + 23 * "a")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda ax: plot.curves([1], ax), TypeError, "Comparison or a DataFrame, got list"),
        (lambda ax: plot.curves(pd.DataFrame({"recipe": ["a"], "epoch": [0], "los": [1.0]}), ax),
         ValueError, "must have a column 'loss', got recipe, epoch, los; did you mean 'los'?"),
        (lambda ax: plot.curves(compared(), ax, what="accuracy"), ValueError,
         "what must be 'loss' or 'difference', got 'accuracy'"),
        (lambda ax: plot.curves(compared(), ax, by="day"), ValueError, "by must be 'epoch'"),
        (lambda ax: plot.curves(compared(), ax, interval="box"), ValueError, "interval must be"),
        (lambda ax: plot.differences({}, ax), ValueError, "must have a row with an interval"),
        (lambda ax: plot.differences({"a": {}}, ax), ValueError, "must have a row with an inter"),
        (lambda ax: plot.differences([1], ax), TypeError, "mapping of rows, got list"),
        (lambda ax: plot.differences(compared(), ax, what="speed"), ValueError, "got 'speed'"),
        (lambda ax: plot.differences({"a": {str(i): (0, 0, 0) for i in range(8)}}, ax), ValueError,
         "at most 7 to be told apart, got 8"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_before_anything_is(
    ax: Axes, call: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message.replace("?", r"\?")):
        call(ax)

    assert not ax.has_data()

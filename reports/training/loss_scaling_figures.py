"""The figures of loss scaling: the window, what is flushed, losses by epoch, scales by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import TASKS
from figures import BAND, NOTE, finished, panels
from loss_scaling_window import LOSS_MARGIN, SHARE, Window
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from fp8num import plot

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["curves_figure", "flushed_figure", "scaler_figure", "window_figure"]

SCALE = "loss scale"


def window_figure(frame: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """Draw differences of accuracy and log-loss from float32 against the scale."""
    compared = frame[(frame["decision"] != "baseline") & (frame["diverged"] == 0)]
    bases = frame[frame["decision"] == "baseline"].set_index("data")["loss"]
    figure, plots = panels(2, 3.8)
    for ax, what, unit, margin, name, limits in zip(
        plots,
        ("accuracy_difference", "loss_difference"),
        (100, 100 / compared["data"].map(bases)),
        (0.5, 100 * LOSS_MARGIN),
        ("accuracy minus float32's / points", "log-loss minus float32's / % of it"),
        ((-90, 6), (-10, 45)),
        strict=True,
    ):
        rows = _with_bars(compared, what, unit)
        ax.axhspan(
            -margin, margin, **BAND, label=f"margins: 0.5 points, {LOSS_MARGIN:.0%} of the log-loss"
        )
        plot.curves(
            rows, ax, what=what, by="log2_scale", series="data", names=labels, interval="bars"
        )
        ax.set(xlim=(-9, 27), ylim=limits, xlabel=SCALE, ylabel=name)
        plot.powers_of_two(ax.xaxis)
    return finished(
        figure,
        "FP8 without scales of its own, against float32, by the loss scale",
        "; ".join(
            f"{labels[row['data']]}, {row['recipe']}: {100 * row['accuracy_difference']:.2f} points"
            for row in compared.to_dict("records")
        ),
    )


def _with_bars(frame: pd.DataFrame, what: str, unit: float | pd.Series[float]) -> pd.DataFrame:
    """Return a column in a unit, with ends two standard errors off it."""
    mean, reach = frame[what] * unit, 2 * frame[f"{what}_error"] * unit
    return frame.assign(**{what: mean, f"{what}_low": mean - reach, f"{what}_high": mean + reach})


def flushed_figure(frame: pd.DataFrame, smallest: Mapping[str, int | None]) -> str:
    """Draw the shares of elements and of magnitude that a scale flushes, layer by layer."""
    kept = {"digits": TASKS["digits"].label, "teacher": TASKS["teacher"].label}
    frame = frame[frame["data"].isin(list(kept))]
    frame = frame.assign(layer=frame["data"].map(kept) + ", " + frame["layer"])
    frame = frame.sort_values(["layer", "log2_scale"], kind="stable")
    figure, plots = panels(2)
    names = ("elements flushed / %", "their share of the sum of |g| / %")
    for ax, what, name in zip(plots, ("flushed", "magnitude"), names, strict=True):
        rows = _with_bars(frame, what, 100)
        plot.curves(rows, ax, what=what, by="log2_scale", series="layer", interval="bars")
        if what == "magnitude":
            ax.axhline(100 * SHARE, color=NOTE["color"], linewidth=1)
            ax.text(16.3, 100 * SHARE + 1.5, f"{SHARE:.0%}", ha="right", **NOTE)
        for i, (data, k) in enumerate(smallest.items()):
            if data in kept and k is not None:
                ax.axvline(k, ymax=0.93 - 0.07 * i, color=NOTE["color"], linestyle=":")
                text = f"smallest sufficient, {kept[data]}"
                ax.text(k - 0.3, 101 - 7 * i, text, va="top", **NOTE)
        ax.set(xlim=(-0.5, 16.5), ylim=(0, 102), xlabel=SCALE, ylabel=name)
        plot.powers_of_two(ax.xaxis)
    return finished(
        figure,
        "What E4M3FN flushes of the gradients of a float32 training, by the loss scale",
        "; ".join(
            f"{row['layer']}, 2^{row['log2_scale']:g}: {row['flushed']:.1%} of the elements, "
            f"{row['magnitude']:.1%} of their sum"
            for row in frame.to_dict("records")
            if row["log2_scale"] in (0, 4, 8, 12, 16)
        ),
    )


def curves_figure(frame: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Draw the mean loss of the epochs' batches, with 95 % intervals."""
    figure, (ax,) = panels()
    plot.curves(frame.assign(epoch=frame["epoch"] + 1), ax, names=names)
    marks = [0.05, 0.1, 0.2, 0.5, 1, 2, 4]
    ax.set(yscale="log", ylim=(0.04, 5), xlabel="epoch")
    ax.set_ylabel("mean loss of the batches / nat\n(bands: 95 % intervals of the mean)")
    ax.yaxis.set_major_locator(FixedLocator(marks))
    ax.yaxis.set_major_formatter(FixedFormatter([f"{one:g}" for one in marks]))
    ax.yaxis.set_minor_locator(NullLocator())
    return finished(
        figure,
        "Losses of trainings with different loss scales",
        "; ".join(
            f"{names[str(name)]}, last epoch: {rows['loss'].iloc[-1]:.3g} nat"
            for name, rows in frame.groupby("recipe", sort=False)
        ),
    )


def scaler_figure(frame: pd.DataFrame, names: Mapping[str, str], found: Window) -> str:
    """Draw the mean scale of scalers that adapt, by step."""
    figure, (ax,) = panels(height=4.2)
    if found.smallest is not None and found.largest is not None:
        text = "scales that equal float32 if they are kept"
        ax.axhspan(found.smallest, found.largest, **BAND, label=text)
    plot.curves(frame, ax, what="log2_scale", by="step", series="scaler", names=names)
    ax.set(ylim=(-1, 37), xlabel="step", ylabel="loss scale (mean of the exponents)")
    plot.powers_of_two(ax.yaxis)
    return finished(
        figure,
        "Where scales that adapt go",
        "; ".join(
            f"{label}: 2^{frame[frame['scaler'] == name]['log2_scale'].iloc[-1]:.1f} at the end"
            for name, label in names.items()
        ),
    )

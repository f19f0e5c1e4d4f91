"""
From which loss scale on, and up to which, FP8 equals float32; and what gradients foretell.

::

    shown outside | undecided | within ... within | undecided | shown outside
         2^1          2^2        2^3 ...  2^17                     2^18
                               smallest  largest

All of it follows from the tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fp8num import get_format
from fp8num.analysis import overflow_threshold
from fp8num.nn.paired import student_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["LOSS_MARGIN", "SHARE", "Window", "foretold", "state", "window"]

#: Margin of the log-loss, as a share of float32's.
LOSS_MARGIN = 0.05
#: Share of the gradients' magnitude that may be flushed, for a scale to be foretold sufficient.
SHARE = 0.1


@dataclass(frozen=True)
class Window:
    """Exponents of scales; None where no scale that was tried shows it."""

    smallest: int | None  #: from here to the middle all are within both margins
    below: int | None  #: the largest one under it that is shown to be outside
    largest: int | None  #: up to here
    above: int | None  #: the smallest one over it that is shown to be outside


def _ends(row: Mapping[str, Any], name: str) -> tuple[float, float]:
    """Return the 90 % interval, whose ends are those of two one-sided tests at 5 %."""
    if row["n"] < 2:
        return math.nan, math.nan
    reach = student_quantile(0.95, int(row["n"]) - 1) * row[f"{name}_error"]
    return row[name] - reach, row[name] + reach


def state(row: Mapping[str, Any], base: float) -> str:
    """
    Say whether results equal float32's.

    Parameters
    ----------
    row : mapping
        A row of results.
    base : float
        Log-loss of float32.

    Returns
    -------
    str
        ``"within"`` both margins, shown to be ``"outside"`` of one, or ``"undecided"``.
    """
    if row["diverged"]:
        return "outside"
    loss, accuracy = _ends(row, "loss_difference"), _ends(row, "accuracy_difference")
    margin = LOSS_MARGIN * base
    if row["decision"] == "within" and -margin < loss[0] and loss[1] < margin:
        return "within"
    if accuracy[1] < -row["margin"] or loss[0] > margin:
        return "outside"
    return "undecided"


def window(frame: pd.DataFrame, data: str, middle: int) -> Window:
    """
    Find the scales that equal float32 around a middle one.

    Parameters
    ----------
    frame : DataFrame
        The results.
    data : str
        Of which setting.
    middle : int
        An exponent that was tried.

    Returns
    -------
    Window
        From what was tried alone.
    """
    rows = frame[frame["data"] == data].to_dict("records")
    (base,) = (row["loss"] for row in rows if row["decision"] == "baseline")
    states = {
        int(row["log2_scale"]): state(row, base) for row in rows if row["decision"] != "baseline"
    }
    down = [k for k in sorted(states, reverse=True) if k <= middle]
    up = [k for k in sorted(states) if k >= middle]
    smallest, largest = _run(states, down), _run(states, up)
    return Window(
        smallest,
        next((k for k in down if states[k] == "outside"), None),
        largest,
        next((k for k in up if states[k] == "outside"), None),
    )


def _run(states: Mapping[int, str], order: list[int]) -> int | None:
    """Return the last exponent before the first that is not within."""
    last = None
    for k in order:
        if states[k] != "within":
            break
        last = k
    return last


def foretold(flushed: pd.DataFrame, data: str) -> tuple[int, int]:
    """
    Foretell the window from gradients of trainings in float32.

    Parameters
    ----------
    flushed : DataFrame
        What each scale would flush.
    data : str
        Of which setting.

    Returns
    -------
    tuple of int
        The smallest exponent with which in every layer at most `SHARE` of the magnitude is
        flushed, and the largest with which no gradient that was seen saturates.
    """
    rows = flushed[flushed["data"] == data]
    worst = rows.groupby("log2_scale")["magnitude"].max()
    shares = zip(worst.index.tolist(), worst.tolist(), strict=True)
    smallest = int(min(k for k, share in shares if share <= SHARE))
    limit = overflow_threshold(get_format(rows["format"].iloc[0]))
    return smallest, math.floor(math.log2(limit / rows["amax"].max()))

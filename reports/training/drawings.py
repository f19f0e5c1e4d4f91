"""
Figures of differences: a dot and an interval for each of them, accuracy beside log-loss.

::

    label -> (rows, recipe)  -->  panel in points, panel in nat; both tasks in each row
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from common import TASKS
from figures import Interval, intervals
from words import ACCURACY, LOSS, find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = ["axis", "differences", "interval"]


def differences(
    sources: Mapping[str, tuple[pd.DataFrame, str]], *, title: str, of: str = "difference of"
) -> str:
    """
    Draw differences of accuracy and of log-loss.

    Parameters
    ----------
    sources : mapping of str to (DataFrame, str)
        For each row, from top to bottom, rows of results and which recipe of them.
    title : str
        Of the drawing.
    of : str, optional
        How the axes begin.

    Returns
    -------
    str
        The drawing.
    """
    rows = {
        label: {
            TASKS[task].label: (
                interval(find(frame, task, recipe), ACCURACY, 100),
                interval(find(frame, task, recipe), LOSS),
            )
            for task in TASKS
        }
        for label, (frame, recipe) in sources.items()
    }
    panels = [[one[i] for row in rows.values() for one in row.values()] for i in (0, 1)]
    return intervals(
        rows,
        [
            (f"{of} accuracy / points", axis(panels[0], 0.4)),
            (f"{of} log-loss / nat", axis(panels[1])),
        ],
        title=title,
        description="; ".join(
            f"{label}, {data}: {one[0].mean:+.2f} points, {one[1].mean:+.4f} nat"
            for label, row in rows.items()
            for data, one in row.items()
        )
        + ". Means of pairs, with 95 % intervals.",
        band=0.3,
    )


def interval(row: Mapping[str, Any], name: str, unit: float = 1) -> Interval:
    """Return a difference and its interval for a figure."""
    return Interval(*(unit * row[f"{name}{end}"] for end in ("", "_low", "_high")))


def axis(intervals: Sequence[Interval], least: float = 0.0) -> tuple[float, float]:
    """Return a range that holds all but what is far beyond the others, and 0."""
    sizes = sorted(
        max(abs(end) for end in (one.low, one.high, one.mean) if not math.isnan(end))
        for one in intervals
        if not math.isnan(one.mean)
    )
    reach = sizes[-1]
    for small, large in pairwise(sizes):
        if small > 0 and large > 4 * small and small >= sizes[len(sizes) // 2]:
            reach = 1.6 * small
            break
    reach = 1.05 * max(reach, least, 1e-12)
    below = -reach if any(one.low < -0.15 * reach for one in intervals) else -0.3 * reach
    above = reach if any(one.high > 0.15 * reach for one in intervals) else 0.3 * reach
    return below, above

"""
A comparison in words: a table, and a sentence for each recipe.

::

    Result of each recipe, the baseline first --> describe --> table, verdict
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fp8num.nn.pairs import Result

__all__ = ["describe", "verdict"]


def describe(results: Sequence[Result], margin: float, *, seeds: int, folds: int) -> str:
    """Return a table and the verdict; the first result is the baseline's."""
    head = ("recipe", "n", "accuracy %", "error", "log-loss", "error", "difference", "error")
    rows = [head]
    for one in results:
        accuracy, change = one.accuracy, one.accuracy_difference
        figures = (
            _figure(100 * accuracy.mean, ".2f"),
            _figure(100 * accuracy.error, ".2f"),
            _figure(one.loss.mean, ".4f"),
            _figure(one.loss.error, ".4f"),
            _figure(100 * change.mean, "+.3f"),
            _figure(100 * change.error, ".3f"),
        )
        rows.append((one.recipe, str(one.n), *figures))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join([name.ljust(widths[0]), *map(str.rjust, others, widths[1:])])
        for name, *others in rows
    ]
    base, size = results[0].recipe, _size(seeds, folds)
    what = f"{size}, held out; differences from {base} in points, in pairs"
    words = verdict(results, margin, seeds=seeds, folds=folds)
    return "\n".join([what, "", *table, "", words]).rstrip()


def verdict(results: Sequence[Result], margin: float, *, seeds: int, folds: int) -> str:
    """Return a line for each recipe but the baseline, which is the first."""
    baseline, *others = results
    return "\n".join(
        f"{one.recipe}: {_sentence(one, baseline, margin, seeds=seeds, folds=folds)}"
        for one in others
    )


def _sentence(one: Result, baseline: Result, margin: float, *, seeds: int, folds: int) -> str:
    if one.decision == "diverged":
        return f"diverged in {one.diverged} of {_seeds(seeds)}"
    if baseline.diverged:
        return f"undecided, {baseline.recipe} diverged in {baseline.diverged} of {_seeds(seeds)}"
    change, loss = one.accuracy_difference, one.loss_difference
    if one.n == 1:
        figure = f"{100 * change.mean:+.3f} points from {baseline.recipe}"
        return f"{figure} in one seed, from which nothing follows; take more"
    points = f"{100 * margin:g} points"
    said = {
        "within": f"within {points} of {baseline.recipe}",
        "worse": f"worse than {baseline.recipe}",
        "better": f"better than {baseline.recipe}",
    }.get(one.decision, f"undecided, more seeds are needed to tell {points}")
    figures = (
        f"{100 * change.mean:+.3f} points, standard error {100 * change.error:.3f}, 95 % "
        f"from {100 * change.low:+.3f} to {100 * change.high:+.3f}, {_size(seeds, folds)}"
    )
    same = ", the same trainings" if change.error == 0 else ""
    return f"{said} ({figures}{same}; log-loss {loss.mean:+.5f}, standard error {loss.error:.5f})"


def _figure(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _size(seeds: int, folds: int) -> str:
    return f"{_seeds(seeds)} of {folds} folds" if folds > 1 else _seeds(seeds)

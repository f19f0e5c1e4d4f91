"""
What recipes did in the same trainings: figures with error bars, curves, and words.

::

    Outcome of each recipe, seed and fold --> Result of each recipe
        --> to_frame(), curves(), tensors(), to_dict(), str
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fp8num._arguments import choice
from fp8num._records import plain
from fp8num._text import brief
from fp8num.nn.outcome import Outcome, Share, mean_of_known, mean_shares
from fp8num.nn.paired import Estimate, estimate
from fp8num.nn.pairs import BySeed, Result, finished, pairs, result_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from fp8num.nn.pairs import Result

__all__ = ["Comparison"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison:
    """
    Recipes in the same trainings.

    Parameters
    ----------
    outcomes : tuple of Outcome
        Of every recipe, seed and fold.
    baseline : str
        The recipe that others are measured against.
    margin : float
        Difference of accuracies that does not matter.

    Attributes
    ----------
    results : tuple of Result
        One for each recipe, the baseline first.

    Notes
    -----
    The sample is of seeds: folds of a seed share most of what they train on, so their mean is
    one value.  Intervals are Student's, of differences that are about normal.  Each statement
    may be wrong with the probability that it says; of twenty, one.
    """

    outcomes: tuple[Outcome, ...]
    baseline: str
    margin: float
    results: tuple[Result, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Compute the results."""
        results = (
            result_of(self.outcomes, name, self.baseline, self.margin) for name in self.recipes
        )
        object.__setattr__(self, "results", tuple(results))

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names, the baseline first."""
        return tuple(dict.fromkeys([self.baseline, *(one.recipe for one in self.outcomes)]))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed, whether trainings diverged or not."""
        return tuple(dict.fromkeys(one.seed for one in self.outcomes))

    @property
    def folds(self) -> int:
        """Trainings of each seed and recipe."""
        return len({one.fold for one in self.outcomes})

    @property
    def verdict(self) -> str:
        """What the comparison shows, a line for each recipe but the baseline."""
        return _verdict(self.results, self.margin, seeds=len(self.seeds), folds=self.folds)

    def __getitem__(self, recipe: str) -> Result:
        """Return the result of a recipe by its name."""
        for result in self.results:
            if result.recipe == recipe:
                return result
        msg = f"recipe must be one of {', '.join(self.recipes)}, got {brief(recipe)}"
        raise KeyError(msg)

    def __repr__(self) -> str:
        how = f"{len(self.seeds)} seeds, {self.folds} folds"
        return f"<Comparison: {', '.join(self.recipes[1:])} with {self.baseline}, {how}>"

    def __str__(self) -> str:
        """Return a table and the verdict."""
        return _describe(self.results, self.margin, seeds=len(self.seeds), folds=self.folds)

    def to_frame(self) -> pd.DataFrame:
        """
        Return the results as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each recipe; for each of ``accuracy``, ``loss``, ``accuracy_difference``
            and ``loss_difference`` a mean, an ``_error``, and 95 % limits ``_low``, ``_high``.
        """
        import pandas as pd

        rows = [
            {
                "recipe": one.recipe,
                "n": one.n,
                **_cells("accuracy", one.accuracy),
                **_cells("loss", one.loss),
                **_cells("accuracy_difference", one.accuracy_difference),
                **_cells("loss_difference", one.loss_difference),
                "decision": one.decision,
                "diverged": one.diverged,
                "skipped": one.skipped,
            }
            for one in self.results
        ]
        return pd.DataFrame(rows)

    def curves(self, by: str = "epoch") -> pd.DataFrame:
        """
        Return the losses on what was trained on, as the trainings went on.

        Parameters
        ----------
        by : str, optional
            ``"epoch"``, each the mean of its steps, or ``"step"``.

        Returns
        -------
        pandas.DataFrame
            A row for each recipe and epoch or step: n, and with errors and 95 % limits the
            ``loss`` and its ``difference`` from the baseline.  Of the seeds in which neither
            diverged.

        Raises
        ------
        ValueError
            If `by` is something else.
        """
        import pandas as pd

        choice("by", by, ("epoch", "step"))
        rows: list[dict[str, Any]] = []
        for name in self.recipes:
            own, other = (
                [_curve(folds, by) for folds in runs.values()] for runs in self._pairs(name)
            )
            for i, (losses, base) in enumerate(
                zip(zip(*own, strict=True), zip(*other, strict=True), strict=True)
            ):
                change = estimate([a - b for a, b in zip(losses, base, strict=True)])
                cells = _cells("loss", estimate(losses)) | _cells("difference", change)
                rows.append({"recipe": name, by: i, "n": len(losses), **cells})
        columns = ["recipe", by, "n", *_cells("loss", _NONE), *_cells("difference", _NONE)]
        return pd.DataFrame(rows, columns=columns)

    def tensors(self) -> pd.DataFrame:
        """
        Return how much of each tensor the casts lost.

        Returns
        -------
        pandas.DataFrame
            A row for each recipe, layer and role: its format, n, and the shares ``flushed`` to
            zero and ``saturated``, means over steps, folds and seeds, with errors and limits.
            Of the seeds in which neither the recipe nor the baseline diverged; NaN where no
            element could be lost.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name in self.recipes:
            found: dict[tuple[str, str, str], list[Share]] = {}
            for folds in self._pairs(name)[0].values():
                for share in mean_shares(share for one in folds for share in one.shares):
                    found.setdefault((share.layer, share.role, share.format), []).append(share)
            for key, shares in found.items():
                row: dict[str, Any] = {"recipe": name}
                row |= dict(zip(("layer", "role", "format"), key, strict=True))
                row |= {"n": len(shares)}
                row |= _cells("flushed", _known([share.flushed for share in shares]))
                row |= _cells("saturated", _known([share.saturated for share in shares]))
                rows.append(row)
        columns = ["recipe", "layer", "role", "format", "n"]
        columns += [*_cells("flushed", _NONE), *_cells("saturated", _NONE)]
        return pd.DataFrame(rows, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """
        Return everything but the losses of single steps, as JSON can hold it.

        Returns
        -------
        dict
            Numbers that are none are None.
        """
        runs = [
            {key: value for key, value in plain(one).items() if key not in {"losses", "shares"}}
            for one in self.outcomes
        ]
        record = {
            "baseline": self.baseline,
            "margin": self.margin,
            "seeds": self.seeds,
            "folds": self.folds,
            "results": self.results,
            "verdict": self.verdict,
            "curves": self.curves().to_dict("records"),
            "tensors": self.tensors().to_dict("records"),
            "runs": runs,
        }
        found: dict[str, Any] = plain(record)
        return found

    def _pairs(self, name: str) -> tuple[BySeed, BySeed]:
        return pairs(self.outcomes, name, finished(self.outcomes, self.baseline))


_NONE = estimate([])


def _known(values: Sequence[float]) -> Estimate:
    return estimate([value for value in values if not math.isnan(value)])


def _curve(folds: Sequence[Outcome], by: str) -> list[float]:
    """Return the mean of the folds' losses by epoch or step."""
    found = []
    for one in folds:
        size = one.per_epoch if by == "epoch" else 1
        starts = range(0, len(one.losses), size)
        found.append([mean_of_known(one.losses[start : start + size]) for start in starts])
    return [mean_of_known(values) for values in zip(*found, strict=True)]


def _cells(name: str, one: Estimate) -> dict[str, float]:
    """Return an estimate by column."""
    ends = {f"{name}_error": one.error, f"{name}_low": one.low, f"{name}_high": one.high}
    return {name: one.mean, **ends}


def _describe(results: Sequence[Result], margin: float, *, seeds: int, folds: int) -> str:
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
    words = _verdict(results, margin, seeds=seeds, folds=folds)
    return "\n".join([what, "", *table, "", words]).rstrip()


def _verdict(results: Sequence[Result], margin: float, *, seeds: int, folds: int) -> str:
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

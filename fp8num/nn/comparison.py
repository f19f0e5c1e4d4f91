"""
What recipes did in the same trainings: figures with error bars, curves, and words.

::

    Outcome of each recipe, seed and fold --> folds' mean, a value for each seed
        --> Result of each recipe: mean, paired difference from the baseline, decision
        --> to_frame(), curves(), tensors(), to_dict(), str
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from fp8num.nn.outcome import Outcome, Share, mean_of_known, mean_shares
from fp8num.nn.paired import Decision, Estimate, decide, estimate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Result"]

#: The folds of each seed.
BySeed: TypeAlias = "dict[int, list[Outcome]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What a recipe did, beside the baseline.

    Attributes
    ----------
    recipe : str
        What it is called.
    n : int
        Seeds in which neither it nor the baseline diverged: all figures are of these.
    diverged : int
        Seeds in which it did.
    skipped : int
        Steps that the optimizer did not make, in all.
    accuracy, loss : Estimate
        On the data held out, with 95 % intervals.
    accuracy_difference, loss_difference : Estimate
        Its own less the baseline's, pair by pair.  Unless all trainings were the same, the
        accuracy's spread is at least what the number of inputs held out can show; see
        `estimate`.
    decision : str
        ``"within"`` the margin of the baseline's accuracy, ``"worse"``, ``"better"``,
        ``"undecided"``, ``"diverged"``, or ``"baseline"``.
    """

    recipe: str
    n: int
    diverged: int
    skipped: int
    accuracy: Estimate
    loss: Estimate
    accuracy_difference: Estimate
    loss_difference: Estimate
    decision: Decision


@dataclass(frozen=True, slots=True, eq=False)
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
        first = self._finished(self.baseline)
        results = tuple(self._result(name, first) for name in self.recipes)
        object.__setattr__(self, "results", results)

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
        return "\n".join(self._words(one) for one in self.results if one.recipe != self.baseline)

    def __getitem__(self, recipe: str) -> Result:
        """Return the result of a recipe by its name."""
        for result in self.results:
            if result.recipe == recipe:
                return result
        msg = f"recipe must be one of {', '.join(self.recipes)}, got {recipe!r:.60}"
        raise KeyError(msg)

    def __str__(self) -> str:
        """Return a table and the verdict."""
        head = ("recipe", "n", "accuracy %", "error", "log-loss", "error", "difference", "error")
        rows = [head]
        for one in self.results:
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
        what = f"{self._size()}, held out; differences from {self.baseline} in points, in pairs"
        return "\n".join([what, "", *table, "", self.verdict]).rstrip()

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

        if by not in {"epoch", "step"}:
            msg = f"by must be 'epoch' or 'step', got {by!r:.60}"
            raise ValueError(msg)
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
            {key: value for key, value in asdict(one).items() if key not in {"losses", "shares"}}
            for one in self.outcomes
        ]
        record = {
            "baseline": self.baseline,
            "margin": self.margin,
            "seeds": list(self.seeds),
            "folds": self.folds,
            "results": [asdict(one) for one in self.results],
            "verdict": self.verdict,
            "curves": self.curves().to_dict("records"),
            "tensors": self.tensors().to_dict("records"),
            "runs": runs,
        }
        found: dict[str, Any] = _plain(record)
        return found

    def _finished(self, name: str) -> BySeed:
        """Return the folds of each seed in which a recipe came to an end in all of them."""
        found: BySeed = {}
        for one in self.outcomes:
            if one.recipe == name:
                found.setdefault(one.seed, []).append(one)
        return {
            seed: folds for seed, folds in found.items() if not any(one.diverged for one in folds)
        }

    def _pairs(self, name: str, first: BySeed | None = None) -> tuple[BySeed, BySeed]:
        """Return a recipe's outcomes and the baseline's, of the seeds that both have."""
        first = self._finished(self.baseline) if first is None else first
        own = {seed: folds for seed, folds in self._finished(name).items() if seed in first}
        return own, {seed: first[seed] for seed in own}

    def _result(self, name: str, first: BySeed) -> Result:
        own, other = self._pairs(name, first)
        accuracy, loss = _means(own, _accuracy), _means(own, _loss)
        changes = _less(accuracy, _means(other, _accuracy))
        step = _resolution(own, other)
        diverged = len({one.seed for one in self.outcomes if one.recipe == name and one.diverged})
        decision: Decision = "undecided"
        if name == self.baseline:
            decision = "baseline"
        elif diverged:
            decision = "diverged"
        elif len(own) == len(self.seeds):
            decision = decide(changes, self.margin, resolution=step)
        return Result(
            recipe=name,
            n=len(own),
            diverged=diverged,
            skipped=sum(one.skipped for one in self.outcomes if one.recipe == name),
            accuracy=estimate(accuracy),
            loss=estimate(loss),
            accuracy_difference=estimate(changes, resolution=step),
            loss_difference=estimate(_less(loss, _means(other, _loss))),
            decision=decision,
        )

    def _words(self, one: Result) -> str:
        """Return a sentence on a recipe."""
        lost = self[self.baseline].diverged
        if one.decision == "diverged":
            return f"{one.recipe}: diverged in {one.diverged} of {_seeds(len(self.seeds))}"
        if lost:
            where = f"{self.baseline} diverged in {lost} of {_seeds(len(self.seeds))}"
            return f"{one.recipe}: undecided, {where}"
        change = one.accuracy_difference
        if one.n == 1:
            figure = f"{100 * change.mean:+.3f} points from {self.baseline}"
            return f"{one.recipe}: {figure} in one seed, from which nothing follows; take more"
        points = f"{100 * self.margin:g} points"
        said = {
            "within": f"within {points} of {self.baseline}",
            "worse": f"worse than {self.baseline}",
            "better": f"better than {self.baseline}",
        }.get(one.decision, f"undecided, more seeds are needed to tell {points}")
        figures = (
            f"{100 * change.mean:+.3f} points, standard error {100 * change.error:.3f}, 95 % "
            f"from {100 * change.low:+.3f} to {100 * change.high:+.3f}, {self._size()}"
        )
        same = ", the same trainings" if change.error == 0 else ""
        loss = one.loss_difference
        return (
            f"{one.recipe}: {said} ({figures}{same}; "
            f"log-loss {loss.mean:+.5f}, standard error {loss.error:.5f})"
        )

    def _size(self) -> str:
        of = f" of {self.folds} folds" if self.folds > 1 else ""
        return f"{_seeds(len(self.seeds))}{of}"


_NONE = estimate([])


def _accuracy(one: Outcome) -> float:
    return one.accuracy


def _loss(one: Outcome) -> float:
    return one.loss


def _means(runs: BySeed, figure: Callable[[Outcome], float]) -> list[float]:
    """Return a value for each seed."""
    return [mean_of_known([figure(one) for one in folds]) for folds in runs.values()]


def _known(values: Sequence[float]) -> Estimate:
    return estimate([value for value in values if not math.isnan(value)])


def _less(own: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(own, other, strict=True)]


def _resolution(own: BySeed, other: BySeed) -> float:
    """Return what one input held out is worth; 0 if the trainings were the same to the bit."""
    if all(
        (one.loss, one.losses) == (base.loss, base.losses)
        for seed, folds in own.items()
        for one, base in zip(folds, other[seed], strict=True)
    ):
        return 0.0
    counts = [sum(one.held_out for one in folds) for folds in own.values()]
    return max((1 / count for count in counts if count), default=0.0)


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


def _figure(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a copy with None for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

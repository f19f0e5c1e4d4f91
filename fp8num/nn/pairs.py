"""
Pairs of trainings: a recipe's outcomes beside the baseline's, and what they show.

::

    Outcome of each recipe, seed and fold --> folds' mean, a value for each seed
        --> Result of each recipe: mean, paired difference from the baseline, decision
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from fp8num.nn.outcome import Outcome, mean_of_known
from fp8num.nn.paired import Decision, Estimate, decide, estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["BySeed", "Result", "finished", "pairs", "result_of"]

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


def finished(outcomes: Iterable[Outcome], recipe: str) -> BySeed:
    """Return the folds of each seed in which a recipe came to an end in all of them."""
    found: BySeed = {}
    for one in outcomes:
        if one.recipe == recipe:
            found.setdefault(one.seed, []).append(one)
    return {seed: folds for seed, folds in found.items() if not any(one.diverged for one in folds)}


def pairs(outcomes: Sequence[Outcome], recipe: str, baseline: BySeed) -> tuple[BySeed, BySeed]:
    """Return a recipe's outcomes and the baseline's, of the seeds that both have."""
    found = finished(outcomes, recipe)
    own = {seed: folds for seed, folds in found.items() if seed in baseline}
    return own, {seed: baseline[seed] for seed in own}


def result_of(outcomes: Sequence[Outcome], recipe: str, baseline: str, margin: float) -> Result:
    """Return what a recipe did."""
    own, other = pairs(outcomes, recipe, finished(outcomes, baseline))
    accuracy, loss = _means(own, _accuracy), _means(own, _loss)
    changes = _less(accuracy, _means(other, _accuracy))
    step = _resolution(own, other)
    diverged = len({one.seed for one in outcomes if one.recipe == recipe and one.diverged})
    decision: Decision = "undecided"
    if recipe == baseline:
        decision = "baseline"
    elif diverged:
        decision = "diverged"
    elif len(own) == len({one.seed for one in outcomes}):
        decision = decide(changes, margin, resolution=step)
    return Result(
        recipe=recipe,
        n=len(own),
        diverged=diverged,
        skipped=sum(one.skipped for one in outcomes if one.recipe == recipe),
        accuracy=estimate(accuracy),
        loss=estimate(loss),
        accuracy_difference=estimate(changes, resolution=step),
        loss_difference=estimate(_less(loss, _means(other, _loss))),
        decision=decision,
    )


def _accuracy(one: Outcome) -> float:
    return one.accuracy


def _loss(one: Outcome) -> float:
    return one.loss


def _means(runs: BySeed, figure: Callable[[Outcome], float]) -> list[float]:
    """Return a value for each seed."""
    return [mean_of_known([figure(one) for one in folds]) for folds in runs.values()]


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

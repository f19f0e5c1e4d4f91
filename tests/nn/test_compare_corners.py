"""Comparisons of few seeds and folds, and Student's distribution far from its middle."""

from __future__ import annotations

import importlib
import math
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

import mpmath  # type: ignore[import-untyped]
import pytest
from scipy import stats

from fp8num.nn import pairs
from fp8num.nn.compare import compare
from fp8num.nn.data import spirals
from fp8num.nn.outcome import Outcome
from fp8num.nn.paired import decide, estimate, student_quantile

# Student's distribution.

by_freedom = pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 9, 30, 101, 1000])


@by_freedom
def test_quantiles_of_small_probabilities_are_those_of_scipy(freedom: int) -> None:
    """To what SciPy 1.14 is good for, later ones for more; the same numbers on the other side."""
    for p in (0.3, 0.05, 1e-3, 2.5e-4, 2.4e-4, 1e-6, 1e-9, 1e-17, 1e-60):
        found = student_quantile(p, freedom)
        assert found == pytest.approx(stats.t.ppf(p, freedom), rel=1e-9), p
        if p == 0.3:
            assert student_quantile(0.7, freedom) == pytest.approx(-found, rel=1e-14)


@by_freedom
@mpmath.workdps(40)
def test_small_quantiles_invert_the_incomplete_beta_function(freedom: int) -> None:
    """P(T > t) is half of I_x(nu/2, 1/2) with x = nu / (nu + t^2), at 40 digits."""
    for p in (0.49, 0.01, 2.5e-4, 2.4e-4, 1e-9, 1e-100, 1e-300):
        t = -mpmath.mpf(student_quantile(p, freedom))
        half, exponent = mpmath.mpf(freedom) / 2, mpmath.mpf(freedom + 1) / 2
        share = freedom / (freedom + t * t)
        tail = mpmath.betainc(half, mpmath.mpf("0.5"), 0, share, regularized=True) / 2
        scale = mpmath.sqrt(freedom * mpmath.pi) * mpmath.gamma(half) / mpmath.gamma(exponent)
        density = (1 + t * t / freedom) ** -exponent / scale
        assert abs(float((tail - p) / density / t)) < 1e-12, p


def test_quantiles_are_ordered_where_the_way_changes() -> None:
    """From what lies between the tails to the tails themselves: no step back."""
    for freedom in (1, 2, 7, 40):
        around = [2.0**-12 * (1 + k * 1e-6) for k in range(-3, 4)]
        found = [student_quantile(p, freedom) for p in around]
        assert found == sorted(found)
        assert len(set(found)) == len(found)


def test_a_quantile_beyond_float64_is_infinite() -> None:
    """tan(pi (p - 1/2)) is about -1 / (pi p)."""
    assert student_quantile(5e-324, 1) == -math.inf
    assert student_quantile(1e-300, 1) == pytest.approx(-1e300 / math.pi, rel=1e-14)


def test_any_level_and_any_confidence_will_do() -> None:
    """Also those from which 1 is not told apart by a difference."""
    changes = [-0.012, -0.01, -0.011, -0.0111, -0.0109]
    assert decide(changes, 0.003, 1e-17) == "undecided"
    assert decide(changes, 0.003, 1e-3) == "worse"
    assert decide([-1.0, -1.0 + 1e-9] * 4, 0.003, 1e-17) == "worse"

    found = estimate([1.0, 2.0, 3.0], math.nextafter(1.0, 0.0))

    reach = -stats.t.ppf(2.0**-54, 2) * found.error
    assert found.high - 2 == pytest.approx(reach, rel=1e-12)


# Seeds and folds.


def outcome(seed: int, fold: int, held_out: int = 10, **changed: Any) -> Outcome:
    given: dict[str, Any] = {"recipe": "a", "accuracy": 0.5, "loss": 0.5, **changed}
    return Outcome(seed=seed, fold=fold, held_out=held_out, **given)


def test_a_seed_counts_if_all_its_folds_were_finished() -> None:
    """One that diverged leaves no mean to compare."""
    lost = outcome(0, 1, accuracy=math.nan, diverged="the loss is nan")
    some = [outcome(0, 0), lost, outcome(1, 0), outcome(1, 1)]
    assert list(pairs.finished(some, "a")) == [1]


def test_the_resolution_is_one_input_of_the_smallest_seed() -> None:
    """Of all its folds together."""
    own = {0: [outcome(0, 0, 10), outcome(0, 1, 30)], 1: [outcome(1, 0, 100)]}
    other = {seed: [replace(one, loss=0.1) for one in folds] for seed, folds in own.items()}
    assert pairs._resolution(own, other) == 1 / 40


def test_steps_of_an_epoch_count_the_short_batch() -> None:
    data = spirals(n=70, test=9)
    whole, left = divmod(len(data.x), 32)
    assert left

    found = compare(data, ["mxfp8"], seeds=1, epochs=1, sizes=(2, 8, 3), batch=32)

    assert {one.per_epoch for one in found.outcomes} == {whole + 1}
    assert {len(one.losses) for one in found.outcomes} == {whole + 1}


class Counting(Executor):
    """Does a task when its result is asked for, and counts those that were not yet."""

    def __init__(self) -> None:
        self.waiting, self.most = 0, 0

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        executor = self

        class Late(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - Future's
                executor.waiting -= 1
                return fn(*args)

        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return Late()


def test_an_executor_is_given_a_few_tasks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six trainings, two at a time: data are made as they are needed."""
    monkeypatch.setattr(importlib.import_module("fp8num.nn.compare"), "WAITING", 2)
    data, executor = spirals(n=70, test=9), Counting()
    compare(data, ["bf16"], seeds=3, epochs=1, sizes=(2, 8, 3), executor=executor)
    assert (executor.most, executor.waiting) == (2, 0)

"""Comparisons of few seeds and folds, and Student's distribution far from its middle."""

from __future__ import annotations

import importlib
import math
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from fp8num.nn import pairs
from fp8num.nn.compare import compare
from fp8num.nn.data import spirals
from fp8num.nn.outcome import Outcome
from fp8num.nn.paired import decide, estimate

# Levels.


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

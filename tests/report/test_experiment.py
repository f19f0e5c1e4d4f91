"""The report's trainings: the same in workers as in this process, which they leave as it was."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fp8num.nn import compare, digits
from fp8num.report import compare_on_digits, experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8num.nn import Comparison
    from fp8num.nn.outcome import Outcome

ORDER = [(name, seed) for seed in (0, 1) for name in ("fp32", "te-current")]
TINY: dict[str, Any] = {"recipes": ["te-current"], "seeds": 2, "epochs": 1}


@pytest.fixture(scope="module")
def here() -> Comparison:
    """Return what `compare` finds in this process."""
    return compare(digits, ["te-current"], seeds=2, epochs=1, stats_every=experiment.STATS_EVERY)


def test_workers_find_the_same_bits(here: Comparison) -> None:
    seen: list[Outcome] = []

    found = compare_on_digits(**TINY, workers=2, progress=seen.append)

    assert found.outcomes == here.outcomes
    assert [(one.recipe, one.seed) for one in seen] == ORDER


def test_where_no_process_can_be_made_this_one_trains(
    here: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same function with no executor; what that gives here is the daemon's test."""
    errors = [OSError(11, "again"), NotImplementedError(), ImportError(), BrokenProcessPool()]
    refusing, executors, before = iter(errors), [], dict(os.environ)

    def refuse(*_: object, **__: object) -> None:
        raise next(refusing)

    def trains(*_: object, executor: object, **__: object) -> Comparison:
        executors.append(executor)
        return here

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", refuse)
    monkeypatch.setattr("fp8num.nn.compare", trains)
    for _ in errors:
        assert compare_on_digits(**TINY, workers=2) is here

    assert executors == [None] * 4
    assert next(refusing, None) is None
    assert dict(os.environ) == before


class Breaking:
    """An executor that does some tasks and then has lost its workers."""

    def __init__(self, *_: object, **__: object) -> None:
        self.done = 0

    def shutdown(self, **_: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        future: Future[Any] = Future()
        self.done += 1
        if self.done > 5:  # the first two only start workers
            future.set_exception(BrokenProcessPool("a worker was ended"))
        else:
            future.set_result(function(*arguments))
        return future


def test_workers_that_are_ended_are_made_up_for_and_no_outcome_is_told_twice(
    here: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Breaking)
    seen: list[Outcome] = []

    found = compare_on_digits(**TINY, workers=2, progress=seen.append)

    assert found.outcomes == here.outcomes
    assert [(one.recipe, one.seed) for one in seen] == ORDER


def test_a_daemon_which_may_have_no_children_trains_itself(
    here: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("workers were made")

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", refuse)
    monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(daemon=True))

    found = compare_on_digits(**TINY | {"seeds": 1}, workers=2)

    assert found.outcomes == here.outcomes[:2]


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2"])
def test_wrong_workers_are_refused(workers: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="workers must be an integer from 1 to 1024"):
        compare_on_digits(**TINY, workers=workers)


def test_an_error_of_whoever_watches_is_not_hidden() -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compare_on_digits(**TINY, workers=1, progress=fail)


def test_wrong_recipes_are_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        compare_on_digits(["nonsense"])


@pytest.mark.exhaustive
def test_the_default_tells_a_third_of_a_point() -> None:
    """What the report's reader sees: 97 % and more, no cost, small gradients lost unscaled."""
    found = compare_on_digits()

    assert len(found.seeds) >= 10
    assert found["fp32"].accuracy.mean > 0.97
    assert [one.decision for one in found.results] == ["baseline", "within", "within"]
    lost = found.tensors().set_index(["recipe", "layer", "role"])["flushed"]
    assert lost["fp8-unscaled", "layer1", "g_wgrad"] > 0.5
    assert lost["te-current", "layer1", "g_wgrad"] < 0.1

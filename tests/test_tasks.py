"""Tasks on any executor: each once, a few at a time, and none left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fp8num._tasks import check_executor, in_order, results, sorted_as


def test_results_come_as_they_are_there_or_in_order(last_first: Any) -> None:
    """Of an executor that does the last first, with a bounded number in flight."""
    found = list(results(lambda item: -item, range(50), last_first, 20))
    ordered = list(in_order(lambda item: -item, range(50), last_first, 20))

    assert found != sorted(found)
    assert sorted(found) == [(item, -item) for item in range(50)]
    assert ordered == [-item for item in range(50)]
    assert 1 < last_first.most <= 20


def test_without_an_executor_tasks_are_done_here_when_they_are_wanted() -> None:
    done = []

    found = in_order(done.append, range(3))

    assert not done
    next(found)
    assert done == [0]


@pytest.mark.parametrize("ordered", [False, True])
def test_tasks_that_have_not_begun_are_cancelled(ordered: bool) -> None:  # noqa: FBT001 - pytest's
    """When nobody wants the rest: all but the one that has begun."""
    go, begun = threading.Event(), []

    def task(index: int) -> None:
        begun.append(index)
        assert index == 0 or go.wait(10)

    with ThreadPoolExecutor(1) as executor:
        found = results(task, range(100), executor, 20, ordered=ordered)
        next(found)
        found.close()
        go.set()

    assert begun in ([0], [0, 1])


def test_results_are_put_in_order() -> None:
    """Each comes when those before it are there, and no sooner."""
    taken = []

    def found() -> Any:
        for index in (2, 0, 3, 1, 4):
            taken.append(index)
            yield index, str(index)

    ordered = sorted_as(range(5), found())

    assert next(ordered) == (0, "0")
    assert taken == [2, 0]
    assert list(ordered) == [(1, "1"), (2, "2"), (3, "3"), (4, "4")]


def test_what_is_no_executor_is_refused() -> None:
    check_executor(None)
    with pytest.raises(TypeError, match=r"executor must be a concurrent.futures.Executor or None"):
        check_executor(4)

"""Tasks on any executor: each once, a few at a time, and none left behind."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from fp8num._tasks import check_executor, in_order, results, sorted_as

if TYPE_CHECKING:
    from collections.abc import Callable


class Reversed(Executor):
    """Does what it is given, the last first, when nothing more has come for a while."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.most = 0
        threading.Thread(target=self.work, daemon=True).start()

    def submit(self, task: Any, /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks.append((future, lambda: task(*args, **options)))
        return future

    def work(self) -> None:
        while True:
            before = len(self.tasks)
            time.sleep(0.01)
            if before == len(self.tasks):
                self.most = max(self.most, before)
                for _ in range(before):
                    future, task = self.tasks.pop()
                    future.set_result(task())


def test_results_come_as_they_are_there_or_in_order() -> None:
    """Of an executor that does the last first, with a bounded number in flight."""
    executor = Reversed()

    found = list(results(lambda item: -item, range(50), executor, 20))
    ordered = list(in_order(lambda item: -item, range(50), executor, 20))

    assert found != sorted(found)
    assert sorted(found) == [(item, -item) for item in range(50)]
    assert ordered == [-item for item in range(50)]
    assert 1 < executor.most <= 20


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

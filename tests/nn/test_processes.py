"""Processes to train in: a thread each, none left, and nothing of them in this process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fp8num import nn

MATRIX = np.ones((300, 300))
TOLD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def test_processes_have_a_thread_each_and_this_one_is_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment is this process' own again as soon as the others have started."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before, interrupts = dict(os.environ), signal.getsignal(signal.SIGINT)

    with nn.processes(2) as executor:
        assert executor is not None
        assert dict(os.environ) == before
        assert signal.getsignal(signal.SIGINT) is interrupts
        told = [executor.submit(os.getenv, name).result() for name in TOLD * 4]
        executor.submit(np.dot, MATRIX, MATRIX).result()
        pids = {one.pid for one in multiprocessing.active_children()}
        threads = [
            len(list(Path(f"/proc/{pid}/task").glob("*")))
            for pid in pids
            if Path("/proc/self/task").exists()
        ]

    assert told == ["1"] * len(told)
    assert len(pids) == 2
    # The main one, and soon one that waits for the end of this process.
    assert set(threads) <= {1, 2}, "BLAS has made no thread of its own"
    assert dict(os.environ) == before


def test_every_process_has_been_started_with_one_thread() -> None:
    """Also the last of many, whoever was ready first."""
    with nn.processes(4) as executor:
        assert executor is not None
        paths = [Path(f"/proc/{one.pid}/environ") for one in multiprocessing.active_children()]
        if not paths[0].exists():
            pytest.skip("looks for processes in /proc")
        assert len(paths) == 4
        # A process that was only forked still has this one's environment: for a moment.
        limit = time.monotonic() + 20
        while not all(b"OMP_NUM_THREADS=1\0" in path.read_bytes() + b"\0" for path in paths):
            assert time.monotonic() < limit, "a process has more threads"
            time.sleep(0.01)


def test_one_process_is_this_one() -> None:
    with nn.processes(1) as executor:
        assert executor is None
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_one_error() -> None:
    """One that the system ends, for want of memory, is none of the trainings' mistakes."""

    def work() -> None:
        with nn.processes(2) as executor:
            assert executor is not None
            executor.submit(os._exit, 3).result()

    with pytest.raises(ChildProcessError, match="one of 2 processes was ended .*; ask for fewer"):
        work()
    assert not multiprocessing.active_children()


def test_an_error_within_ends_the_processes_and_stays_what_it_is() -> None:
    before = threading.active_count()

    def work() -> None:
        with nn.processes(2) as executor:
            assert executor is not None
            executor.submit(int).result()  # one is ready
            future = executor.submit(time.sleep, 60)
            while not future.running():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not multiprocessing.active_children()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("count", "kind"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_a_wrong_count_is_refused(count: Any, kind: type[Exception]) -> None:
    with (
        pytest.raises(kind, match="count must be an integer from 1 to 1024, got"),
        nn.processes(count),
    ):
        pass


def test_comparing_in_processes_gives_the_same() -> None:
    data = nn.spirals(n=60, test=30)
    options: dict[str, Any] = {"seeds": 2, "epochs": 1, "sizes": (2, 8, 3)}
    with nn.processes(2) as executor:
        found = nn.compare(data, ["te-delayed"], executor=executor, **options)
    assert found.outcomes == nn.compare(data, ["te-delayed"], **options).outcomes

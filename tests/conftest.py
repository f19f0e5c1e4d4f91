"""Hypothesis profiles, and what the results may depend on, in pytest's header."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from concurrent.futures import Executor, Future
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# `dev` and `ci` look at the same places each time; `deep` looks elsewhere, for the night.
hypothesis.settings.register_profile(
    "dev", max_examples=100, deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile(
    "ci", max_examples=1_000, deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile("deep", max_examples=10_000, deadline=None)
# No window opens where a test draws on a figure of its own.
os.environ.setdefault("MPLBACKEND", "Agg")
PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
hypothesis.settings.load_profile(PROFILE)


def blas() -> str:
    """Return the name and version of the BLAS that NumPy was built with."""
    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index]
    except (KeyError, TypeError):
        return "unknown"
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def flush_to_zero() -> str:
    """Return what the processor does with subnormal numbers, by trying it."""
    smallest_normal = np.array([2.0**-126], np.float32)
    flushed = (smallest_normal * np.float32(0.5))[0] == 0
    # As integers: a comparison of floats would itself take a subnormal for zero.
    subnormal = np.array([1], np.uint32).view(np.float32)
    read_as_zero = (subnormal * np.float32(2.0**126)).view(np.uint32)[0] == 0
    return f"flush-to-zero {'on' if flushed else 'off'}, denormals-are-zero " + (
        "on" if read_as_zero else "off"
    )


def pytest_report_header() -> list[str]:
    """Say which versions and which state of the processor were tested."""
    return [
        f"numpy {np.__version__}, ml_dtypes {version('ml_dtypes')}, "
        f"hypothesis {hypothesis.__version__} (profile {PROFILE})",
        f"python {platform.python_version()} on {platform.machine()}, {sys.byteorder} endian, "
        f"longdouble of {np.finfo(np.longdouble).nmant + 1} bits",
        f"BLAS: {blas()}; {flush_to_zero()}",
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the smoke tests first: who has broken the rounding need not wait for the suite."""
    items.sort(key=lambda item: item.path.name != "test_smoke.py")


@pytest.fixture
def each() -> Callable[[Iterable[Any], Callable[..., object]], None]:
    """Check every case of a table and say which ones failed: quicker than a test for each."""

    def check_each(cases: Iterable[Any], check: Callable[..., object]) -> None:
        failed: list[tuple[str, BaseException]] = []
        for case in cases:
            parts = case if type(case) is tuple else (case,)
            try:
                check(*parts)
            except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - all are told of
                name = ", ".join(str(getattr(part, "name", part)) for part in parts)
                failed.append((f"{name}: {type(error).__name__}: {error}", error))
        if failed:
            text = f"{len(failed)} failed:\n" + "\n".join(line for line, _ in failed)
            raise AssertionError(text) from failed[0][1]

    return check_each


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

    def shutdown(self, *_: Any, **options: Any) -> None:
        pytest.fail(f"an executor of the caller's was shut down with {options}")


@pytest.fixture
def last_first() -> Executor:
    """An executor whose results come in reverse; `most` says how many waited at once."""
    return Reversed()

"""Whatever a file holds, it is read, or refused in one line: in little time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("mutated.py")
#: Beside four times a file, of which none has more than 100 kB.
ALLOWED = 200_000_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="alarms, and memory in kilobytes")


def mutated(count: int, seed: int) -> dict[str, Any]:
    """Read mutated files in a process of their own, whose memory is theirs alone."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(count), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any], count: int) -> None:
    assert not found["failures"], found["failures"]
    assert not found["outside"]
    assert found["grown"] < ALLOWED
    outcomes = found["outcomes"]
    assert sum(outcomes.values()) == count
    assert outcomes["read"] > count / 20, "mutations that change nothing much are read"
    assert outcomes["InputError"] > count / 5


def test_mutated_files_are_read_or_refused() -> None:
    """Nothing but ValueError and OSError, no hang, nothing written elsewhere."""
    check(mutated(2000, 0), 2000)


@pytest.mark.exhaustive
def test_many_mutated_files_are_read_or_refused() -> None:
    check(mutated(100_000, 1), 100_000)

"""Whatever a file holds, it is read, or refused in one line: in little time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fp8num._text import brief
from fp8num.nn import Recipe, get_recipe
from fp8num.scaling import Rule, get_rule, start
from fp8num.verify.vectors import check_manifest, write_pack

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
    check(mutated(600, 0), 600)


@pytest.mark.exhaustive
def test_many_mutated_files_are_read_or_refused() -> None:
    check(mutated(100_000, 1), 100_000)


def test_descriptions_of_too_much_are_refused_in_one_line() -> None:
    """A history that would take 8 GB, a name of 10,000 letters, and arrays in place of text."""
    recipe = get_recipe("te-delayed").to_dict() | {"length": 1 << 31}
    with pytest.raises(ValueError, match="length of a recipe must be an integer from 1 to 1048576"):
        Recipe.from_dict(recipe)
    with pytest.raises(ValueError, match="length must be an integer from 1 to 1048576, got 1048"):
        start("te-delayed", length=1_048_577)
    rule = get_rule("te-nvfp4").to_dict()
    rule["scale"]["choice"] = "x" * 10_000
    with pytest.raises(ValueError, match=r"choice must be 'mae', 'mse' or None, got .{,200}\Z"):
        Rule.from_dict(rule)
    assert brief({"w": np.eye(3)}) == brief({"w": np.eye(3)}).replace("\n", " ")


def test_names_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    write_pack(tmp_path, ["E4M3FN"], sources=["float16"], cases="specials")
    path = tmp_path / "manifest.json"
    record = json.loads(path.read_text())
    record["files"][0]["name"] = "x" * 10_000
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="must be a plain name of a file"):
        check_manifest(path)

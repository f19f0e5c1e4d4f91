"""``fp8num diff``: what it prints, its exit codes, and what it says to wrong input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fp8num.cli import main

if TYPE_CHECKING:
    from pathlib import Path

#: Converters to E4M3FN: the rule of ml_dtypes, saturation, and some that do not convert.
MODULE = """
import ml_dtypes, numpy as np
import fp8num as fp

def right(x):
    with np.errstate(all="ignore"):
        return x.astype(ml_dtypes.float8_e4m3fn)

def from_bits(words):
    return right(words.view(np.float16))

class Kernels:
    saturating = staticmethod(lambda x: fp.encode(x, "E4M3FN"))

def fails(x):
    raise RuntimeError("no device")

table = np.zeros(3)
"""


@pytest.fixture(autouse=True)
def converters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand where a module of converters lies."""
    (tmp_path / "converters_of_a_test.py").write_text(MODULE)
    (tmp_path / "broken_module_of_a_test.py").write_text("def f(x:\n")
    (tmp_path / "raising_module_of_a_test.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "converters_of_a_test", raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command and returns its exit code and output."""

    def command(*arguments: str) -> tuple[int, str]:
        code = main(["diff", *arguments])
        out, err = capsys.readouterr()
        assert not err
        return code, str(out)

    return command


HERE = "converters_of_a_test"


def test_a_function_equals_a_profile(run: Any) -> None:
    """Over all 16-bit inputs; exit code 0."""
    code, out = run(f"{HERE}:right", "ml_dtypes", "e4m3fn", "--source", "f16")

    assert code == 0
    assert out.startswith(f"EQUAL: {HERE}:right and ml_dtypes, float16 -> E4M3FN\n")
    assert f"every float16 word, each given to {HERE}:right; 65,536 cases" in " ".join(out.split())


def test_a_difference_is_exit_code_1(run: Any) -> None:
    """14,720 float16 inputs are beyond 464: 0x1.d04p+8 is the next float16."""
    code, out = run("ml_dtypes", f"{HERE}:Kernels.saturating", "e4m3fn", "--source", "f16")

    assert code == 1
    assert "inputs    14,720 of 65,536 disagree, in 2 intervals" in out
    assert "0x1.d04p+8  inf" in out
    assert "7f = nan" in out
    assert "7e = 448" in out


def test_json_is_the_record(run: Any) -> None:
    """With the names as they were given, and exact counts."""
    saturating = f"{HERE}:Kernels.saturating"

    code, out = run("ml_dtypes", saturating, "E4M3FN", "--source", "bf16", "--json")
    record = json.loads(out)

    assert code == 1
    assert (record["a"], record["b"]) == ("ml_dtypes", saturating)
    assert (record["count"], record["cases"], record["exact"]) == (30_512, 65_536, True)
    assert [interval["low"] for interval in record["intervals"]] == ["0x1.d2p+8", "-inf"]


def test_the_default_source_is_float32(run: Any) -> None:
    """And a profile is compared over all of it; nothing differs from itself."""
    code, out = run("ml_dtypes", "ml_dtypes", "e5m2")

    assert code == 0
    assert "every float32 word, by the runs of both; 4,294,967,296 cases" in out


def test_nan_codes_may_count_or_not(run: Any, tmp_path: Path) -> None:
    """Another code of NaN is a difference by code, and none by class."""
    (tmp_path / "torchlike_of_a_test.py").write_text(
        MODULE + "def e5m2(x):\n"
        "    with np.errstate(all='ignore'):\n"
        "        codes = x.astype(ml_dtypes.float8_e5m2).view(np.uint8)\n"
        "    return np.where(np.isnan(x.astype(float)), codes | 1, codes)\n"
    )
    arguments = ("ml_dtypes", "torchlike_of_a_test:e5m2", "e5m2", "--source", "float16")

    assert run(*arguments)[0] == 1
    assert "2,046 of 65,536 disagree" in run(*arguments, "--nan", "code")[1]
    assert run(*arguments, "--nan", "class")[0] == 0


def test_bits_are_given_if_asked_for(run: Any) -> None:
    arguments = (f"{HERE}:from_bits", "ml_dtypes", "e4m3fn", "--source", "f16", "--takes", "bits")

    assert run(*arguments)[0] == 0


def test_all_inputs_if_asked_for(run: Any) -> None:
    """Of a 16-bit type that is the default."""
    arguments = ("ml_dtypes", f"{HERE}:right", "e4m3fn", "--source", "f16")

    assert run(*arguments, "--exhaustive") == run(*arguments)


def test_no_answer_is_exit_code_1(run: Any) -> None:
    """It is a finding about the implementation."""
    code, out = run("ml_dtypes", f"{HERE}:fails", "e4m3fn", "--source", "f16")
    assert code == 1
    assert out.startswith("NOT COMPARED: converters_of_a_test:fails raised RuntimeError: no device")

    code, out = run("ml_dtypes", f"{HERE}:fails", "e4m3fn", "--source", "f16", "--json")
    assert code == 1
    assert json.loads(out)["fault"] == "raised"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ml_dtypes", "e5m2"), "the following arguments are required: FORMAT"),
        (("ml_dtypes", "ml_dtypes", "e4m3"), "format name 'e4m3' is ambiguous"),
        (("ml_dtypes", "ml_dtypes", "posit8"), "says nothing about POSIT8"),
        (("ml_dtypes", "ml_dtypes", "e5m2", "--source", "int8"), "source must be one of float16"),
        (("ml_dtypes", "ml_dtypes", "e5m2", "--nan", "payload"), "argument --nan: invalid choice"),
        (("ml_dtypes", "numpi", "e5m2"), "'numpi' must be a profile or an implementation: "),
        (("no_such_module:f", "ml_dtypes", "e5m2"), "No module named 'no_such_module'"),
        ((f"{HERE}:wrong", "ml_dtypes", "e5m2"), "has no attribute 'wrong'"),
        ((f"{HERE}:table", "ml_dtypes", "e5m2"), "must be a function from values to codes, got nd"),
        (("broken_module_of_a_test:f", "ml_dtypes", "e5m2"), "was never closed"),
        (("raising_module_of_a_test:f", "ml_dtypes", "e5m2"), "division by zero"),
        (
            ("ml_dtypes", f"{HERE}:right", "e4m3fn", "--source", "f64", "--exhaustive"),
            "exhaustive must be left out for implementations and float64",
        ),
    ],
)
def test_wrong_input_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """The complaint names what is wrong; nothing is printed before it."""
    assert main(["diff", *arguments]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_the_current_directory_is_searched_by_the_program(tmp_path: Path) -> None:
    """As a user runs it: the module lies where the user is."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fp8num", "diff", f"{HERE}:right", "ml_dtypes", "e4m3fn",
         "--source", "f16"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=dict(os.environ),
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("EQUAL")

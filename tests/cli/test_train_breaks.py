"""``fp8num train`` interrupted, killed, and resumed; files that are not what they should be."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fp8num.cli import main
from fp8num.nn import checkpoints

posix = pytest.mark.skipif(os.name != "posix", reason="process groups and SIGKILL are POSIX's")

PROGRAM = [sys.executable, "-m", "fp8num"]
#: 192 steps, each with a checkpoint after it.
LONG = ["train", "--epochs", "16", "--batch", "120", "--sizes", "64,16,10"]
QUICK = ["train", "--epochs", "1", "--batch", "360", "--sizes", "64,10"]


@cache
def whole() -> str:
    """Return what the training says that nothing interrupts."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(LONG) == 0
    return out.getvalue()


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


@posix
@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [("SIGINT", 130, "fp8num: interrupted\n"), ("SIGKILL", -9, "")],
)
def test_a_broken_training_is_resumed(
    sent: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With Ctrl-C or without any warning: no traceback, a whole checkpoint, the same output."""
    path = tmp_path / "run.npz"
    process = subprocess.Popen(
        [*PROGRAM, *LONG, "--checkpoint", str(path), "--every", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not path.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(getattr(signal, sent))
    printed = process.communicate(timeout=60)

    assert (process.returncode, printed[0]) == (code, "")
    # NumPy 2.0 leaves a zip file open that is then closed with a complaint, after our line.
    assert printed[1] == said or (said and printed[1].startswith(f"{said}Exception ignored in"))
    step = checkpoints.load_checkpoint(path).state["step"]
    assert 1 <= step < 192
    resumed = output(capsys, *LONG, "--checkpoint", str(path), "--resume")
    assert resumed == whole()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("sent", "everybody", "late", "code"),
    [
        ("SIGINT", True, 0.3, 130),  # while they start
        ("SIGINT", False, 1.2, 130),  # while they train
        ("SIGKILL", False, 0.8, -9),
    ],
)
def test_workers_end_with_the_command(sent: str, everybody: Any, late: float, code: int) -> None:
    """At once and without a word of theirs, whether the terminal tells them too or not."""
    tail = ["--compare", "bf16,te-current", "--epochs", "3000", "--workers", "2"]
    process = subprocess.Popen(
        [*PROGRAM, *QUICK, *tail],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while count(process.pid) < 3 and process.poll() is None:  # with the resource tracker
        time.sleep(0.01)
    time.sleep(late)
    (os.killpg if everybody else os.kill)(process.pid, getattr(signal, sent))
    # A worker that is left has the pipes open, and would train for minutes.
    printed = process.communicate(timeout=30)
    assert process.returncode == code
    if sent == "SIGINT":
        assert printed == ("", "fp8num: interrupted\n")


def count(group: int) -> int:
    """Return how many processes a group has besides the first."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            # pid (name) state parent group ...; a name may hold anything
            found += path.read_text(encoding="utf-8").rpartition(")")[2].split()[2] == str(group)
    return found - 1


def test_a_finished_training_says_the_same_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "run.npz")
    first = output(capsys, *QUICK, "--checkpoint", path)
    assert output(capsys, *QUICK, "--checkpoint", path, "--resume") == first


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "is cut short or damaged"),
        ("version", "must be of version 2, got 1"),
        ("recipe", "its recipe is 'te-current', asked for is 'mxfp8'"),
        ("end", "its last_recipe is None, asked for is 'bf16'"),
        ("fold", "its data is 'digits, fold 0 of 5 held out', asked for is 'digits, fold 1 of 5"),
        ("foreign", "is not a checkpoint of fp8num"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_one_line_and_2(
    how: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And is left as it is."""
    path = tmp_path / "run.npz"
    quick = [*QUICK, "--sizes", "64,12,10"]
    output(capsys, *quick, "--checkpoint", str(path))
    tail = {
        "recipe": ["--recipe", "mxfp8"], "end": ["--last-recipe", "bf16"], "fold": ["--fold", "1"],
    }.get(how, [])  # fmt: skip
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif how == "foreign":
        path.write_text("step,loss\n", encoding="utf-8")
    elif how == "version":
        monkeypatch.setattr(checkpoints, "VERSION", 2)
    before = path.read_bytes()

    assert main([*quick, "--checkpoint", str(path), "--resume", *tail]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert message in line
    assert path.read_bytes() == before

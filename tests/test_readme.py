"""Every snippet and command of the README runs as it stands, and its claims are true."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import Any

import pytest

from fp8num.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BASH = shutil.which("bash") or ""
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)

#: What installs is not run here: .ci/run does it on a clean checkout, and tox makes the wheel.
INSTALLING = {
    "python3 -m venv .venv",
    ".venv/bin/pip install -q .",
    ".venv/bin/pip install -q tox",
    ".venv/bin/tox",
}
#: Half a minute and more: run by `tox -e exhaustive`.
LONG = {
    ".venv/bin/fp8num report",
    "fp8num train --compare te-current,mxfp8 --workers 2",
}


def commands(block: str) -> list[tuple[str, int]]:
    """Return a block's commands, here-documents with them, and the exit codes they say."""
    found = []
    lines = iter(block.splitlines())
    for line in lines:
        command, _, comment = line.partition("  #")
        if command.endswith("<<END"):
            for part in lines:
                command += f"\n{part}"
                if part == "END":
                    break
        code = re.search(r"\bexits (\d)", comment)
        parts = [command] if "\n" in command else command.split(" && ")
        found += [(part.strip(), int(code[1]) if code else 0) for part in parts if part.strip()]
    return found


def claims(block: str) -> dict[int, str]:
    """Return what stands behind the last ``->`` of each comment, by line."""
    tokens = tokenize.generate_tokens(io.StringIO(block).readline)
    comments = {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}
    return {i: text.rpartition("-> ")[2] for i, text in comments.items() if "-> " in text}


def run_python(block: str, names: dict[str, Any]) -> int:
    """Run a block statement by statement; return how many claims it made."""
    said, checked = claims(block), 0
    for statement in ast.parse(block).body:
        code = ast.unparse(statement)
        if not isinstance(statement, ast.Expr):
            exec(code, names)  # noqa: S102 - it is ours
            continue
        value = eval(code, names)  # noqa: S307 - it is ours
        claim = said.get(statement.end_lineno or 0)
        if claim is not None:
            assert repr(value) == claim, code
            checked += 1
    return checked


def own_arguments(command: str) -> list[str] | None:
    """Return the arguments of a command that is `fp8num` alone, without pipe or redirection."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    name, *arguments = lexer
    plain = name == "fp8num" and not any(set(word) <= set("();<>|&") for word in arguments)
    return arguments if plain else None


def run_here(arguments: list[str], code: int) -> None:
    """Run a command in this process, which saves the start of another one."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        found = main(arguments)
    assert found == code, f"{arguments}\n{out.getvalue()}\n{errors.getvalue()}"
    assert out.getvalue(), arguments


def run_command(command: str, code: int, folder: Path) -> None:
    """Run a command in a shell where `fp8num` and `python3` are those of .venv/bin."""
    path = f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [BASH, "-o", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, command
    assert done.stdout or "cat >" in command, command


@pytest.mark.skipif(not BASH, reason="its commands are a shell's")
@pytest.mark.parametrize(
    "long", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["short", "long"]
)
def test_everything_runs_as_it_stands(
    *, long: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    In its order, in one folder; what installs is left out, and what takes long at first.

    Then a shell runs every command, which at first is left to those that are more than `fp8num`.
    """
    monkeypatch.chdir(tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, arguments in (("fp8num", "-m fp8num"), ("python3", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (programs / name).chmod(0o755)
    names: dict[str, Any] = {"__name__": "__main__"}
    checked, met = 0, set()

    for language, block in BLOCKS:
        if language == "python":
            checked += run_python(block, names)
            continue
        for command, code in commands(block):
            met.add(command)
            if command in INSTALLING or (command in LONG and not long):
                continue
            arguments = own_arguments(command)
            if long or arguments is None:
                run_command(command, code, tmp_path)
            else:
                run_here(arguments, code)

    assert checked >= 7
    assert met >= INSTALLING | LONG


def test_every_block_is_of_a_kind_that_is_run() -> None:
    """Nothing is shown as plain text, which no test would look at."""
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    assert README.count("```") == 2 * len(BLOCKS)


@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="a distribution has no .ci")
def test_what_installs_is_what_ci_runs() -> None:
    """A virtual environment, tox from PyPI, the environments of tox.ini; those install a wheel."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    ci = ci.replace('"$work/venv', '".venv').replace("--quiet", "-q").replace('"', "")
    for command in ("python3 -m venv .venv", ".venv/bin/pip install -q tox", ".venv/bin/tox"):
        assert command in INSTALLING
        assert command in ci
    assert "package = wheel" in (ROOT / "tox.ini").read_text(encoding="utf-8")


@pytest.mark.skipif(not (ROOT / "reports").is_dir(), reason="a distribution has no reports")
def test_what_is_linked_is_there() -> None:
    """Files and folders of the repository, named in links and in code."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    links += re.findall(
        r"`(?:python )?((?:tests|benchmarks|fp8num|docs|reports)/[\w./-]+)`", README
    )
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize(
    ("language", "block"),
    [
        ("python", "1 + 1  # -> 3\n"),
        ("python", "undefined_name\n"),
        ("sh", "fp8num show nonsense e4m3fn\n"),
        ("sh", "true  # exits 1\n"),
    ],
)
def test_what_does_not_run_or_is_not_true_is_noticed(
    language: str, block: str, tmp_path: Path
) -> None:
    """A wrong value, an undefined name, an error, another exit code."""
    if language == "python":
        with pytest.raises((AssertionError, NameError)):
            run_python(block, {})
        return
    command, code = commands(block)[0]
    with pytest.raises(AssertionError):
        run_command(command, code, tmp_path)
    arguments = own_arguments(command)
    assert (arguments is None) == (command == "true")
    if arguments is not None:
        with pytest.raises(AssertionError):
            run_here(arguments, code)

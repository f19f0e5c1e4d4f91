"""The command line ends with a documented code and one line, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fp8num
from fp8num import cli
from fp8num.cli import main, report

HEAVY = ("pandas", "scipy", "jinja2", "rich", "hypothesis", "matplotlib", "ml_dtypes")


def test_help_is_cheap() -> None:
    """Importing pandas alone takes longer than a reader of help would wait."""
    program = (
        "import sys; from fp8num.cli import main; "
        "codes = [main(a.split()) for a in ('--help', 'report --help', '--version')]; "
        f"print(codes, [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[0, 0, 0] []"


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    assert "report" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    assert capsys.readouterr().out == f"fp8num {fp8num.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND; see fp8num --help"),
        (["reprt"], "argument COMMAND: invalid choice: 'reprt'"),
        (["report", "--fast"], "unrecognized arguments: --fast; see fp8num --help"),
        (["report", "--bad\x1b[31m\nname"], r"unrecognized arguments: --bad\x1b[31m\nname"),
        (["report", "--output"], "argument --output: expected one argument; see fp8num report"),
    ],
)
def test_wrong_usage_is_one_line_and_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith(f"fp8num: error: {message}")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "fp8num: interrupted"),
        (ValueError("x must\nbe y"), 2, r"fp8num: error: x must\nbe y"),
        (OSError(28, "No space left on device"), 2, "fp8num: error: [Errno 28] No space left on"),
        (MemoryError(), 2, "fp8num: error: out of memory"),
    ],
)
def test_what_ends_a_command_is_one_line(
    error: BaseException,
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(report, "run", fail)

    assert main(["report"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)


def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(report, "run", fail)

    with pytest.raises(ZeroDivisionError):
        main(["report"])


def test_a_command_s_code_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "run", lambda _: 1)

    assert main(["report"]) == 1


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fp8num"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith("fp8num: error: ")


def test_every_command_can_be_added() -> None:
    names = {module.__name__.rpartition(".")[2] for module in cli.COMMANDS}

    assert "report" in names
    for module in cli.COMMANDS:
        assert {"add_parser", "run"} <= set(module.__all__)

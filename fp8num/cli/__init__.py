"""
The command line: ``fp8num COMMAND ...``.

Exit codes: 0 fine, 1 a mismatch or a failed threshold, 2 wrong usage or bad input, which
is one line on stderr and never a traceback; 130 interrupted, 141 nobody reads the output.
A command module has ``add_parser(subparsers)``, which sets ``run(arguments) -> int``;
importing it is cheap, and what it needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import fp8num
from fp8num._text import printable
from fp8num.cli import diff, formats, gemm, identify, report, show, train, vectors, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

COMMANDS = (report, formats, show, verify, diff, vectors, identify, gemm, train)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the complaint and exit with 2."""
        _complain(f"{message}; see {self.prog} --help")
        raise SystemExit(2)


def _complain(message: str) -> None:
    print(f"fp8num: error: {printable(message)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fp8num", description="Everything about a small float, provable.")
    version = f"fp8num {fp8num.__version__}"
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="command"
    )
    for module in COMMANDS:
        module.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name.  The default is those of the process.

    Returns
    -------
    int
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if hasattr(sys.stdout, "reconfigure"):  # a name may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run(arguments)
        sys.stdout.flush()  # here, where a closed pipe can be dealt with
    except BrokenPipeError:
        # Python would flush stdout once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("fp8num: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        _complain(str(error))
        return 2
    except MemoryError:
        _complain("out of memory; close other programs, or give fewer files at once")
        return 2
    return code


def _run(arguments: list[str]) -> int:
    """Parse the arguments and run what they name."""
    try:
        parsed = _parser().parse_args(arguments)
    except SystemExit as end:  # how argparse ends: --help, --version, wrong usage
        return end.code if isinstance(end.code, int) else 0
    parsed.argv = arguments
    return int(parsed.run(parsed))

"""
The command line: ``fp8num COMMAND ...``.

Exit codes: 0 fine, 1 a mismatch or a failed threshold, 2 wrong usage, bad input or output
that could not be written, which is one line on stderr and never a traceback; 130
interrupted, 141 nobody reads the output.
A command module has ``add_parser(subparsers)``, which sets ``run(arguments) -> int``;
importing it is cheap, and what it needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import fp8num
from fp8num import _interrupt
from fp8num._kernels.state import require_nearest
from fp8num._text import cut, printable
from fp8num.cli import diff, formats, gemm, identify, report, show, train, vectors, verify
from fp8num.cli.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

MESSAGE = 2000  #: characters of a message
COMMANDS = (report, formats, show, verify, diff, vectors, identify, gemm, train)
#: Those that compute with floats.
_COMPUTING = {"report", "identify", "gemm", "train"}


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the complaint and exit with 2."""
        print(f"fp8num: error: {_one_line(message)}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def _one_line(message: str) -> str:
    """Make a message harmless and not too long, whatever names are in it."""
    return printable(cut(message, MESSAGE))


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
    with Streams() as streams:
        code, message = (2, "") if streams.error else _attempt(arguments)
        if code == 130:
            streams.give_up()
        with suppress(OSError, AttributeError):  # it was kept; None has nothing to write
            sys.stdout.flush()
        if isinstance(streams.error, BrokenPipeError):
            return 141
        if streams.error is not None and code != 130:
            reason = streams.error.strerror
            code = 2
            message = f"error: standard output cannot be written ({reason}); redirect it elsewhere"
        if message:
            print(f"fp8num: {_one_line(message)}", file=sys.stderr)
    return code


def _attempt(arguments: list[str]) -> tuple[int, str]:
    """Run a command to its end; return the exit code, and what to say of it."""
    try:
        _interrupt.end()
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return 141, ""
    except KeyboardInterrupt:
        return 130, "interrupted"
    except (ValueError, OSError) as error:
        return 2, f"error: {error}"
    except MemoryError:
        return 2, "error: out of memory; close other programs, or give fewer files at once"
    return code, ""


def _run(arguments: list[str]) -> int:
    """Parse the arguments and run what they name."""
    try:
        parsed = _parser().parse_args(arguments)
    except SystemExit as end:  # how argparse ends: --help, --version, wrong usage
        return end.code if isinstance(end.code, int) else 0
    if parsed.command in _COMPUTING:
        require_nearest(f"fp8num {parsed.command}")
    parsed.argv = arguments
    return int(parsed.run(parsed))

"""``fp8num diff``: every input at which two conversions to a format disagree."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from fp8num._text import shown

if TYPE_CHECKING:
    import argparse

    from fp8num.formats import Format
    from fp8num.verify import Difference
    from fp8num.verify.sources import SourceType

__all__ = ["add_parser", "run"]

DESCRIPTION = """
Find every input at which A and B convert to FORMAT differently, as intervals with exact
ends. A and B are profiles, such as ml_dtypes or 'torch>=2.12', which are compared over all
inputs at once; or implementations: module:function, which takes an array of values and
returns codes, or an installed library. Implementations are given every input of a 16-bit
type; of a wider one the standard cases, and what bisection finds beside those.
"""
EPILOG = "exit code 0: no input disagrees; 1: some do, or one gives no codes; 2: wrong usage"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    parser = subparsers.add_parser(
        "diff",
        help="inputs at which two conversions disagree",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("a", metavar="A", help="a profile, module:function or a library")
    parser.add_argument("b", metavar="B", help="the other")
    parser.add_argument("format", metavar="FORMAT", help="the format of the codes")
    parser.add_argument(
        "--source", default="float32", help="type of the values: f16, bf16, f32 (default), f64"
    )
    parser.add_argument(
        "--nan",
        choices=("code", "class"),
        default="code",
        help="whether two codes of NaN disagree (code, default) or not (class)",
    )
    parser.add_argument(
        "--exhaustive", action="store_true", help="give implementations every float32 input"
    )
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds a call may take (60)"
    )
    parser.add_argument(
        "--takes", choices=("values", "bits"), default="values", help="what a function is given"
    )
    parser.add_argument("--json", action="store_true", help="write the record as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """
    Compare what the arguments name.

    Parameters
    ----------
    arguments : argparse.Namespace
        What `add_parser` asks for.

    Returns
    -------
    int
        0 if no input disagrees, else 1.

    Raises
    ------
    ValueError
        If an argument is wrong.
    """
    from fp8num.formats import get_format
    from fp8num.verify.implementation import ImplementationError
    from fp8num.verify.sources import get_source

    fmt, source = get_format(arguments.format), get_source(arguments.source)
    try:
        found = _difference(arguments, fmt, source)
    except ImplementationError as error:
        fault = {"equal": False, "fault": error.fault.value, "detail": error.detail}
        print(json.dumps(fault, indent=2) if arguments.json else f"NOT COMPARED: {error}")
        return 1
    print(json.dumps(found.to_dict(), indent=2, allow_nan=False) if arguments.json else found)
    return found.exit_code


def _difference(arguments: argparse.Namespace, fmt: Format, source: SourceType) -> Difference:
    """Compare, with a progress bar on a terminal if it takes long."""
    from fp8num.cli.progress import progress_bar
    from fp8num.verify.difference import diff

    visible = arguments.exhaustive and sys.stderr.isatty() and not arguments.json
    with progress_bar(
        f"{fmt.name} from {source.name}", 1 << source.bits, shown=visible
    ) as progress:
        return diff(
            _conversion(arguments.a, fmt, source),
            _conversion(arguments.b, fmt, source),
            fmt,
            source=source,
            exhaustive=arguments.exhaustive or None,
            nan=arguments.nan,
            name_a=arguments.a,
            name_b=arguments.b,
            takes=arguments.takes,
            timeout=arguments.timeout,
            progress=progress,
        )


def _conversion(name: str, fmt: Format, source: SourceType) -> Any:  # noqa: ANN401 - as `load`
    """Return a profile's name, or the implementation that a name stands for."""
    from fp8num.cli.verify import load
    from fp8num.projection import PROFILES

    if name in PROFILES:
        return name
    try:
        found = load(name, fmt, source)
    except Exception as error:
        msg = (
            f"{shown(name)} must be a profile or an implementation: {error}; "
            f"profiles are {', '.join(PROFILES)}"
        )
        raise ValueError(msg) from error
    return found

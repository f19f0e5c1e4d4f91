"""``fp8num show``: what a number becomes in a format and why, or what a code stands for."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING

from fp8num._text import shorten
from fp8num.explain.numerals import (
    WrittenNumber,
    decimal_text,
    hex_text,
    nearest_float,
    parse_number,
)

if TYPE_CHECKING:
    import argparse

    from fp8num.explain.inspection import ConversionOptions

__all__ = ["add_parser", "run"]

DESCRIPTION = """
Show what a number becomes in formats: its code, its neighbours and how far they are, what
the rounding decides and why, the error and the flags. VALUE is read exactly: a decimal with
any number of digits, an integer, a fraction such as 1/3, a hexadecimal number such as
0x1.8p-3, inf or nan. With --code, VALUE is a code, and the formats may follow the option.
"""
DEFAULT = ("E4M3FN", "E5M2")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    parser = subparsers.add_parser(
        "show",
        help="what a number becomes in a format, and why",
        description=DESCRIPTION,
        usage="fp8num show [options] VALUE [FORMAT ...]",
    )
    # argparse knows -1 and -0.5 as numbers; -1e39, -1/3 and -inf are meant as such here too.
    parser._negative_number_matcher = re.compile(  # noqa: SLF001 - it has no public way
        r"-(\d|\.\d|inf|nan)", re.IGNORECASE
    )
    parser.add_argument("value", metavar="VALUE", help="the number, or the code with --code")
    parser.add_argument(
        "formats", nargs="*", metavar="FORMAT", help="formats (default: E4M3FN E5M2)"
    )
    parser.add_argument(
        "--code", nargs="*", metavar="FORMAT", help="show VALUE as a code, such as 0x7e"
    )
    parser.add_argument("--rounding", help="P3109's name, or rne rna rz ru rd ro sra srb src")
    parser.add_argument("--saturation", help="SatFinite (default), SatPropagate or SatNone")
    parser.add_argument("--like", metavar="LIBRARY", help="convert as another library does")
    parser.add_argument("--random-bits", type=int, metavar="R", help="for stochastic rounding")
    parser.add_argument("--random-width", type=int, metavar="N", help="how many bits R has")
    parser.add_argument("--json", action="store_true", help="write JSON, numbers as exact text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show a number or a code; ValueError if an argument is wrong."""
    from fp8num.explain.explanation import describe, to_dict
    from fp8num.explain.inspection import ConversionOptions, inspect, inspect_code
    from fp8num.formats import get_format

    formats = [
        get_format(name) for name in [*arguments.formats, *(arguments.code or ())] or DEFAULT
    ]
    conversion = _conversion(arguments)
    if arguments.code is None:
        number = parse_number(arguments.value)
        records = [inspect(number, fmt, conversion) for fmt in formats]
        blocks = [_heading(number), *map(describe, records)]
    else:
        if conversion != ConversionOptions():
            msg = "--code shows what a code stands for; leave the options of rounding out"
            raise ValueError(msg)
        records = [inspect_code(arguments.value, fmt) for fmt in formats]
        blocks = [describe(record) for record in records]
    if arguments.json:
        print(json.dumps([to_dict(record) for record in records], indent=2, allow_nan=False))
    else:
        print("\n\n".join(blocks))
    return 0


def _conversion(arguments: argparse.Namespace) -> ConversionOptions:
    """Return the options of rounding; those not given are left at their defaults."""
    from fp8num.explain.inspection import ConversionOptions

    names = ("rounding", "saturation", "like", "random_bits", "random_width")
    given = {name: getattr(arguments, name) for name in names}
    return ConversionOptions(**{name: value for name, value in given.items() if value is not None})


def _heading(number: WrittenNumber) -> str:
    """Return a number as it was written, and its float64 if that is another."""
    if isinstance(number.value, float):
        return f"Number {decimal_text(number.value)}"
    written = shorten(number.written, 60)
    nearest = nearest_float(number.value)
    if nearest == number.value:
        return f"Number {written}, float64 {hex_text(number.value)}"
    shown: Fraction | float = Fraction(nearest) if math.isfinite(nearest) else nearest
    return (
        f"Number {written}, which is no float64\n"
        f"  the nearest is {hex_text(shown)} ({decimal_text(shown, 25)})"
    )

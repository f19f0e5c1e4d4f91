"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from fp8num.formats import Format
    from fp8num.verify import CaseSet
    from fp8num.verify.sources import SourceType

__all__ = ["add_cases", "add_projection", "cases_of", "projection_options"]


def add_projection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a conversion is."""
    parser.add_argument(
        "--source", default="float32", help="type of the values: f16, bf16, f32 (default), f64"
    )
    parser.add_argument("--rounding", help="P3109's name, or rne rna rz ru rd ro")
    parser.add_argument("--saturation", help="SatFinite (default), SatPropagate or SatNone")
    parser.add_argument("--like", metavar="LIBRARY", help="convert as another library does")


def add_cases(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which inputs to try; those not given are None."""
    parser.add_argument(
        "--cases", metavar="SET", help="standard (default), every, boundaries, specials, structured"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="the first N cases")
    parser.add_argument("--seed", type=int, metavar="N", help="of structured cases (default: 0)")


def cases_of(arguments: argparse.Namespace, fmt: Format, source: SourceType) -> CaseSet:
    """Return the inputs that the options name."""
    from fp8num.verify.cases import case_set

    return case_set(
        arguments.cases or "standard", fmt, source, limit=arguments.limit, seed=arguments.seed or 0
    )


def projection_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return those of the options that were given, as `get_projection` takes them."""
    names = ("rounding", "saturation", "like")
    given = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}

"""``fp8num identify``: which scaling rule the codes and scales of a file obey."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fp8num.report.labels import printable, shorten

if TYPE_CHECKING:
    import argparse

    from fp8num.inputs import Dump
    from fp8num.scaling.identifying import Identification

__all__ = ["add_parser", "run"]

DESCRIPTION = """
Say which scaling rule quantised tensors of FILE (.safetensors or .npz) obey bit for bit,
which they nearly obey, and where they break. Codes are found by their type or name, their
scales, source and tensor scale by the usual endings of names (X_scale, X_source ...). With
a source every code and scale is compared with what each rule makes of it. Without one no
rule is ever obeyed: rules are excluded, or consistent with what is there.
"""
EPILOG = """exit code 0: each tensor obeys a rule or is consistent with one; 1: one is not, or
there is something wrong with it; 2: wrong usage, or a file that cannot be read"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    parser = subparsers.add_parser(
        "identify",
        help="which scaling rule a file's codes and scales obey",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("file", metavar="FILE", help="a .safetensors or .npz file")
    parser.add_argument("--codes", metavar="NAME", help="the tensor of codes")
    parser.add_argument("--scales", metavar="NAME", help="their scales")
    parser.add_argument("--source", metavar="NAME", help="what was quantised")
    parser.add_argument(
        "--tensor-scale", metavar="NAME", help="the tensor's scale or amax, of two levels"
    )
    parser.add_argument("--format", metavar="F", help="the codes' format, whatever their type says")
    parser.add_argument(
        "--scale-format", metavar="F", help="the format of scales that are plain bytes"
    )
    parser.add_argument("--axis", type=int, metavar="A", help="the axis that blocks run along")
    parser.add_argument(
        "--rules", metavar="A,B", help="the rules to try; those not obeyed are told of too"
    )
    parser.add_argument("--json", action="store_true", help="write the record as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """
    Identify what the arguments name.

    Parameters
    ----------
    arguments : argparse.Namespace
        What `add_parser` asks for.

    Returns
    -------
    int
        0 if each tensor obeys a rule or is consistent with one, else 1.

    Raises
    ------
    ValueError
        If an argument is wrong, or the file cannot be read.
    """
    from fp8num.inputs import read_dumps

    dumps = read_dumps(
        arguments.file,
        codes=arguments.codes,
        scales=arguments.scales,
        source=arguments.source,
        tensor_scale=arguments.tensor_scale,
    )
    found = [(dump, _identified(dump, arguments)) for dump in dumps]
    if arguments.json:
        records = [_record(dump, identification) for dump, identification in found]
        print(json.dumps(records, indent=2, allow_nan=False))
    else:
        print("\n\n".join(_section(dump, identification) for dump, identification in found))
    return 0 if all(identification.is_identified for _, identification in found) else 1


def _identified(dump: Dump, arguments: argparse.Namespace) -> Identification:
    """Identify one tensor; bytes that fit nothing may be two codes each."""
    identification = _identify(dump, arguments)
    may_be_pairs = dump.format is None and dump.codes.ndim > 0 and arguments.format is None
    if may_be_pairs and not identification.is_identified:
        unpacked = _identify(dump.unpacked(), arguments)
        if unpacked.is_identified:
            return unpacked
    return identification


def _identify(dump: Dump, arguments: argparse.Namespace) -> Identification:
    from fp8num.inputs.source import FORMAT_NAMES
    from fp8num.scaling.identifying import identify

    own = FORMAT_NAMES.get(dump.scale_dtype)
    try:
        return identify(
            dump.codes,
            dump.scales,
            format=arguments.format or dump.format,
            scale_format=own or arguments.scale_format,
            source=dump.source,
            tensor_scale=dump.tensor_scale,
            axis=arguments.axis,
            rules=None if arguments.rules is None else arguments.rules.split(","),
        )
    except TypeError as error:  # a file's tensors may have any type
        raise ValueError(str(error)) from error


def _section(dump: Dump, identification: Identification) -> str:
    parts = ", ".join(f"{role} {shorten(name, 60)}" for role, name in dump.parts.items())
    lines = [f"{shorten(dump.name, 80)} ({parts})"]
    lines += [f"  {printable(line)}" for line in str(identification).split("\n")]
    return "\n".join(lines)


def _record(dump: Dump, identification: Identification) -> dict[str, Any]:
    return {"name": dump.name, "parts": dump.parts, **identification.to_dict()}

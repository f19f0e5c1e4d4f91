"""``fp8num identify``: which scaling rule the codes and scales of a file obey."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fp8num._text import printable, shorten

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
rule is ever obeyed: rules are excluded, or consistent with what is there. Of a file that
fp8num wrote, the rule that it declares is tried first.
"""
EPILOG = """exit code 0: each tensor obeys a rule, or is consistent with one, and nothing found
says that it is wrong ('declared', 'scale-divides', 'source-reshaped' and 'zero-blocks' only
say how it is stored); 1: a tensor obeys no rule and is consistent with none, has no scale
beside it, does not hold the rule it declares, has scales that are zero (of blocks that are
not), negative, infinite or NaN, transposed (of two-dimensional blocks), inverted (a value is
to be divided by what its library, or its name, multiplies by) or probably rounded without
requantising, or a source that is transposed or of another shape; 2: wrong usage, or a file
that cannot be read"""
#: How messages of the library name what the command has as options.
_ARGUMENT = re.compile(r"\b(with|and) (codes|scales|source|tensor_scale)=(?!\w)")


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
        0 if each tensor obeys a rule or is consistent with one and no finding says that
        something is wrong, else 1.

    Raises
    ------
    ValueError
        If an argument is wrong, or the file cannot be read.
    """
    from fp8num.inputs import InputError, read_dumps

    try:
        dumps = read_dumps(
            arguments.file,
            codes=arguments.codes,
            scales=arguments.scales,
            source=arguments.source,
            tensor_scale=arguments.tensor_scale,
        )
    except InputError as error:
        raise InputError(_ARGUMENT.sub(_option, str(error))) from error
    found = [(dump, _identified(dump, arguments)) for dump in dumps]
    if arguments.json:
        records = [_record(dump, identification) for dump, identification in found]
        print(json.dumps(records, indent=2, allow_nan=False))
    else:
        print("\n\n".join(_section(dump, identification) for dump, identification in found))
    return 0 if all(identification.is_sound for _, identification in found) else 1


def _option(argument: re.Match[str]) -> str:
    """Return the option for an argument of the library in a message."""
    return f"{argument[1]} --{argument[2].replace('_', '-')}"


def _identified(dump: Dump, arguments: argparse.Namespace) -> Identification:
    """Identify one tensor; bytes that fit nothing may be two codes each."""
    if dump.scales is None:
        return _without_scales(dump)
    identification = _identify(dump, arguments)
    may_be_pairs = dump.format is None and dump.codes.ndim > 0 and arguments.format is None
    if may_be_pairs and not identification.is_identified:
        unpacked = _identify(dump.unpacked(), arguments)
        if unpacked.is_identified:
            return unpacked
    return identification


def _without_scales(dump: Dump) -> Identification:
    from fp8num.scaling.identifying import Finding, Identification

    detail = (
        f"{dump.name} has no scale beside it under a customary name (such as {dump.name}_scale); "
        "name it with --codes and --scales"
    )
    finding = Finding("no-scale", detail)
    return Identification(dump.codes.shape, None, dump.source is not None, findings=(finding,))


def _of_tensor_scale(dump: Dump, identification: Identification) -> Identification:
    """Add what is wrong with a tensor's scale that is not what its name says."""
    from fp8num.scaling.identifying import Finding

    name = dump.parts.get("tensor_scale", "")
    notes = [match.note for match in (*identification.obeyed, *identification.consistent)]
    inverted = notes and all(" / amax" in note for note in notes)
    upright = notes and all("stored as amax / " in note for note in notes)
    if name.endswith("scale_2") and inverted:
        detail = f"{name} is 2688 / amax; ModelOpt, whose name that is, multiplies by amax / 2688"
    elif name.endswith("global_scale") and upright:
        detail = (
            f"{name} is amax / 2688; compressed-tensors, whose name that is, divides by 2688 / amax"
        )
    elif name.endswith("scale_2") and dump.source is None and _is_large(dump):
        detail = (
            f"{name} is {float(dump.tensor_scale.reshape(-1)[0]):g}, so that 2688 times it would "  # type: ignore[union-attr]
            "be the largest magnitude: if these are weights, it is probably inverted"
        )
    else:
        return identification
    finding = Finding("tensor-scale-inverted", detail)
    return replace(identification, findings=(*identification.findings, finding))


def _is_large(dump: Dump) -> bool:
    """Whether a tensor's scale is one of no weights: their largest magnitude would be 1e4."""
    scale = dump.tensor_scale
    return scale is not None and scale.size == 1 and float(scale.reshape(-1)[0]) * 2688 > 1e4


def _identify(dump: Dump, arguments: argparse.Namespace) -> Identification:
    from fp8num.inputs.source import FORMAT_NAMES
    from fp8num.scaling.identifying import identify

    own = FORMAT_NAMES.get(dump.scale_dtype)
    assert dump.scales is not None
    try:
        found = identify(
            dump.codes,
            dump.scales,
            format=arguments.format or dump.format,
            scale_format=own or arguments.scale_format,
            source=dump.source,
            tensor_scale=dump.tensor_scale,
            axis=arguments.axis,
            rules=None if arguments.rules is None else arguments.rules.split(","),
            declared=dump.declared,
        )
    except TypeError as error:  # a file's tensors may have any type
        raise ValueError(str(error)) from error
    return _of_tensor_scale(dump, found)


def _section(dump: Dump, identification: Identification) -> str:
    parts = ", ".join(f"{role} {shorten(name, 60)}" for role, name in dump.parts.items())
    lines = [f"{shorten(dump.name, 80)} ({parts})"]
    lines += [f"  {printable(line)}" for line in str(identification).split("\n")]
    return "\n".join(lines)


def _record(dump: Dump, identification: Identification) -> dict[str, Any]:
    return {"name": dump.name, "parts": dump.parts, **identification.to_dict()}

"""``fp8num vectors``: cases, golden vectors and tables for programs in any language."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fp8num._files import require_own, whole_file
from fp8num._text import printable, shown
from fp8num.cli.arguments import add_cases, cases_of

if TYPE_CHECKING:
    import argparse

    from fp8num.verify.vectors.conversion import Conversion

__all__ = ["add_parser", "run"]

DESCRIPTION = """
Write inputs for a converter to FORMAT, one a line: the bits of a float in hexadecimal. The
converter writes each again with its code after it, and 'fp8num verify' judges that. With
--expected, write the codes too, by the exact definition. With --output, write a pack: files
that cross every FORMAT, --source, --rounding and --saturation, and a manifest, which
'fp8num verify --manifest' checks. With --table, write a C header or a SystemVerilog package
of the format. A list has commas between its items.
"""
EPILOG = """
examples:
  fp8num vectors e4m3fn --source f32 | ./my_converter | fp8num verify e4m3fn - --source f32
  fp8num vectors e4m3fn --source f32 --rounding rz --expected > rz.hex
  fp8num vectors e4m3fn e5m2 --source f32,f16 --rounding rne,rz \\
      --saturation satfinite,satnone --output vectors --kind json,readmemh
  fp8num vectors e4m3fn --table c --rounding rne,rz --output e4m3fn.h

lines:
  3e99999a            an input
  3e99999a 2a         input and code; with --decode, code and value: 2a 3ea00000
  3e99999a 2a 01      with flags: 01 inexact, 02 underflow, 04 overflow, 10 invalid
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    import argparse

    parser = subparsers.add_parser(
        "vectors",
        help="cases, golden vectors and tables for other languages",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("formats", nargs="+", metavar="FORMAT", help="formats of the codes")
    parser.add_argument(
        "--source", default="f32", metavar="LIST", help="f16, bf16, f32 (default), f64"
    )
    parser.add_argument("--rounding", metavar="LIST", help="rne (default) rna rz ru rd ro")
    parser.add_argument(
        "--saturation", metavar="LIST", help="SatFinite (default), SatPropagate, SatNone"
    )
    parser.add_argument("--like", metavar="LIST", help="convert as other libraries do")
    add_cases(parser)
    parser.add_argument("--expected", action="store_true", help="write the right answers too")
    parser.add_argument("--flags", action="store_true", help="and the flags, after the codes")
    parser.add_argument("--decode", action="store_true", help="codes, for a decoder")
    parser.add_argument("--json", action="store_true", help="write vectors as one JSON document")
    parser.add_argument("--output", metavar="PATH", help="folder of a pack, or file of a table")
    parser.add_argument(
        "--force", action="store_true", help="write over files that are not, or no longer, fp8num's"
    )
    parser.add_argument("--kind", metavar="LIST", help="of files: json,csv,npz,hex,readmemh (all)")
    parser.add_argument("--table", choices=("c", "sv"), help="C header or SystemVerilog package")
    parser.set_defaults(run=run)


#: Which options the ways to use the command do not have.
_WITHOUT = {
    "--table": ("cases", "limit", "seed", "expected", "flags", "decode", "json", "kind"),
    "--output": ("expected", "flags", "decode"),
    "--decode": (
        *("rounding", "saturation", "like", "cases", "seed", "flags", "json", "kind", "force"),
    ),
    "--json": ("flags", "kind", "force"),
    "lines": ("kind", "force"),
}


def run(arguments: argparse.Namespace) -> int:
    """Write what was asked for; ValueError if an argument is wrong."""
    if arguments.table is not None:
        _refuse(arguments, "--table")
        return _write_table(arguments)
    if arguments.output is not None:
        _refuse(arguments, "--output")
        return _write_pack(arguments)
    if arguments.decode:
        _refuse(arguments, "--decode")
        return _write_codes(arguments)
    _refuse(arguments, "--json" if arguments.json else "lines")
    return _write_lines(arguments)


def _refuse(arguments: argparse.Namespace, way: str) -> None:
    """Refuse options that would have no effect."""
    given = [f"--{name}" for name in _WITHOUT[way] if getattr(arguments, name) not in {None, False}]
    if given:
        where = "without --output" if way == "lines" else f"with {way}"
        msg = f"{given[0]} has no meaning {where}; leave it out"
        raise ValueError(msg)


def _crossing(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what is crossed with the formats, as `conversions` and `write_pack` take it."""
    if arguments.like is not None and (arguments.rounding or arguments.saturation):
        msg = "--like decides rounding and saturation; leave --rounding and --saturation out"
        raise ValueError(msg)
    return {
        "sources": _items(arguments.source),
        "roundings": _items(arguments.rounding or "rne"),
        "saturations": _items(arguments.saturation or "SatFinite"),
        "likes": _items(arguments.like or ""),
    }


def _conversions(arguments: argparse.Namespace) -> tuple[Conversion, ...]:
    """Return the conversions that the arguments name."""
    from fp8num.verify.vectors.conversion import conversions

    return conversions(arguments.formats, **_crossing(arguments))


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _one(arguments: argparse.Namespace) -> Conversion:
    """Return the conversion, if it is one."""
    found = _conversions(arguments)
    if len(found) > 1:
        names = f"{found[0].name}, {found[1].name} ..."
        msg = (
            f"lines must be of one conversion, got {len(found)}: {names}; "
            "name one FORMAT, source, rounding and saturation, or write a pack with --output"
        )
        raise ValueError(msg)
    return found[0]


def _write_lines(arguments: argparse.Namespace) -> int:
    """Write inputs, with their codes and flags if asked for."""
    from fp8num.verify.hexlines import write_answers, write_inputs
    from fp8num.verify.vectors.conversion import installed_version, vectors_of
    from fp8num.verify.vectors.kinds import write_vectors

    conversion = _one(arguments)
    cases = cases_of(arguments, conversion.fmt, conversion.source)
    made = vectors_of(conversion, cases.words, cases.domain)
    if arguments.json:
        print(write_vectors(made, "json", installed_version()).decode("utf-8"), end="")
    elif arguments.expected or arguments.flags:
        flags = None
        if arguments.flags:
            from fp8num.verify.truth import expected_flags

            projection = conversion.projection
            flags = expected_flags(made.words, conversion.fmt, conversion.source, projection)
        write_answers(
            made.words, made.codes, conversion.source, conversion.fmt, sys.stdout, flags=flags
        )
    else:
        write_inputs(made.words, conversion.source, sys.stdout)
    return 0


def _write_codes(arguments: argparse.Namespace) -> int:
    """Write codes, with what they stand for if asked for."""
    from fp8num.verify.cases import all_codes
    from fp8num.verify.hexlines import write_decoded
    from fp8num.verify.truth import expected_words

    conversion = _one(arguments)
    fmt, source = conversion.fmt, conversion.source
    if arguments.limit is not None and arguments.limit < 1:
        msg = f"limit must be at least 1, got {arguments.limit}"
        raise ValueError(msg)
    codes = all_codes(fmt).words[: arguments.limit]
    words = expected_words(fmt, source)[: arguments.limit] if arguments.expected else None
    write_decoded(codes, words, fmt, source, sys.stdout)
    return 0


def _write_pack(arguments: argparse.Namespace) -> int:
    """Write a pack and say where it is."""
    from fp8num.verify.vectors.kinds import KINDS
    from fp8num.verify.vectors.manifest import read_manifest
    from fp8num.verify.vectors.packs import write_pack

    path = write_pack(
        Path(arguments.output),
        arguments.formats,
        **_crossing(arguments),
        cases=arguments.cases or "standard",
        limit=arguments.limit,
        seed=arguments.seed or 0,
        kinds=KINDS if arguments.kind is None else _items(arguments.kind),
        force=arguments.force,
    )
    files = read_manifest(path).entries
    if arguments.json:
        names = [entry.name for entry in files]
        print(json.dumps({"manifest": str(path), "files": names}, indent=2))
    else:
        cases = sum(entry.cases for entry in files)
        print(
            f"{printable(str(path))}: {len(files)} file{'s' * (len(files) != 1)}, {cases:,} cases"
        )
    return 0


def _write_table(arguments: argparse.Namespace) -> int:
    """Write a table to a file or to the standard output."""
    from fp8num.verify.tables import c_header, sv_package

    found = _conversions(arguments)
    if len({(each.fmt, each.source) for each in found}) > 1:
        msg = "--table is of one FORMAT and one --source, got more; write a file for each"
        raise ValueError(msg)
    path = _table_path(arguments)  # before the work
    write = {"c": c_header, "sv": sv_package}[arguments.table]
    projections = [each.projection if each.like is None else each.like for each in found]
    text = write(found[0].fmt, projections, found[0].source)
    if path is None:
        print(text, end="")
        return 0
    with whole_file(path) as stream:
        stream.write(text.encode())
    print(printable(str(path)))
    return 0


def _table_path(arguments: argparse.Namespace) -> Path | None:
    """Return the file of a table; None for the standard output."""
    if arguments.output in {None, "-"}:
        return None
    path = Path(arguments.output)
    if path.is_dir():
        msg = f"--output must be a file with --table, {shown(str(path))} is a folder; name a file"
        raise ValueError(msg)
    require_own(path, "a table that fp8num wrote", _is_table, force=arguments.force)
    return path


def _is_table(path: Path) -> bool:
    with path.open("rb") as file:
        return b", made by fp8num " in file.read(1000)

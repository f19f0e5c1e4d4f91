"""``fp8num formats``: the catalogue, or one format with its codes and its number line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fp8num._files import require_own, whole_file
from fp8num._text import shown

if TYPE_CHECKING:
    import argparse

    from fp8num.formats import Format

__all__ = ["add_parser", "run"]

DESCRIPTION = """
List the formats of the catalogue, or those of IEEE P3109; or show one format: its numbers,
its codes and its number line. NAME is a catalogue name or another usual spelling, such as
float8_e5m2, a P3109 name such as binary8p3se, or parameters such as w4m3b7-fn.
"""
#: Title of a drawing, by which one of ours is known.
_TITLE = "Positive values of formats"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """
    Add the command to the command line.

    Parameters
    ----------
    subparsers : argparse subparsers
        Those of ``fp8num``.
    """
    parser = subparsers.add_parser(
        "formats", help="what formats hold: numbers, codes, number line", description=DESCRIPTION
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the format to show")
    parser.add_argument(
        "--bits", type=int, metavar="N", help="list formats of N bits; of P3109, 8 without it"
    )
    parser.add_argument("--p3109", action="store_true", help="list the formats of IEEE P3109")
    parser.add_argument("--json", action="store_true", help="write JSON, numbers as exact text")
    parser.add_argument(
        "--svg", metavar="FILE", help="also draw the number lines to a file (needs fp8num[plot])"
    )
    parser.add_argument("--force", action="store_true", help="let --svg replace any file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List formats or show one; ValueError if there is no such format."""
    from fp8num.explain.facts import catalogue, code_records, description, record
    from fp8num.formats import get_format

    if arguments.name is not None:
        if arguments.p3109 or arguments.bits is not None:
            msg = f"NAME {arguments.name!r} shows one format; leave --p3109 and --bits out"
            raise ValueError(msg)
        formats = [get_format(arguments.name)]
    else:
        formats = _listed(arguments.bits, p3109=arguments.p3109)
    if arguments.force and arguments.svg is None:
        msg = "--force has no meaning without --svg; leave it out"
        raise ValueError(msg)
    if arguments.svg is not None:
        _draw(formats, Path(arguments.svg), force=arguments.force)
    if arguments.name is None:
        print(_json([record(fmt) for fmt in formats]) if arguments.json else catalogue(formats))
    else:
        (fmt,) = formats
        found = _json(record(fmt) | {"codes": code_records(fmt)}) if arguments.json else ""
        print(found or description(fmt))
    return 0


def _json(found: object) -> str:
    return json.dumps(found, indent=2, allow_nan=False)


def _listed(bits: int | None, *, p3109: bool) -> list[Format]:
    """Return the formats to list."""
    from fp8num.formats import FORMATS, get_format, p3109_names

    if p3109:
        bits = 8 if bits is None else bits
        if not 3 <= bits <= 16:
            msg = f"--bits must be from 3 to 16 with --p3109, got {bits}"
            raise ValueError(msg)
        return [get_format(name) for name in p3109_names(bits)]
    found = [fmt for fmt in FORMATS.values() if bits in {None, fmt.bits}]
    if not found:
        widths = ", ".join(str(width) for width in sorted({fmt.bits for fmt in FORMATS.values()}))
        msg = f"--bits must be one of {widths} in the catalogue, got {bits}; --p3109 has others"
        raise ValueError(msg)
    return found


def _draw(formats: list[Format], path: Path, *, force: bool) -> None:
    """Write a drawing of the number lines, whole or not at all."""
    from fp8num.plot import number_line, to_svg

    if path.is_dir():
        msg = f"--svg must be a file, {shown(str(path))} is a directory; name a file in it"
        raise ValueError(msg)
    require_own(path, "a drawing that fp8num made", _is_drawing, force=force)
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        msg = '--svg needs matplotlib, which is not installed: pip install "fp8num[plot]"'
        raise ValueError(msg) from missing
    figure = Figure(figsize=(10, 1.4 + 0.26 * len(formats)), layout="constrained")
    number_line(formats, figure.subplots())
    names = ", ".join(fmt.name for fmt in formats)
    drawing = to_svg(figure, title=_TITLE, description=names)
    with whole_file(path) as stream:
        stream.write(drawing.encode())


def _is_drawing(path: Path) -> bool:
    with path.open("rb") as file:
        return f"<title>{_TITLE}</title>".encode() in file.read(2000)

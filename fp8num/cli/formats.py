"""``fp8num formats``: the catalogue, or one format with its codes and its number line."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fp8num._files import require_own, whole_file
from fp8num._text import shown
from fp8num.report import numerals, text

if TYPE_CHECKING:
    import argparse

    from fp8num.formats import Format

__all__ = ["add_parser", "catalogue", "code_records", "description", "record", "run"]

DESCRIPTION = """
List the formats of the catalogue, or those of IEEE P3109; or show one format: its numbers,
its codes and its number line. NAME is a catalogue name or another usual spelling, such as
float8_e5m2, a P3109 name such as binary8p3se, or parameters such as w4m3b7-fn.
"""
LEGEND = "Positive values: | is one, a digit so many in one column, # ten or more."
HEADING = ("format", "bits", "fields", "bias", "max", "normal", "subnormal", "specials")


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


# Text.


def catalogue(formats: list[Format]) -> str:
    """Return a table with a row per format, and the documents that define them."""
    rows = [HEADING, *(_row(fmt) for fmt in formats)]
    sources: dict[str, list[str]] = {}
    for fmt in formats:
        sources.setdefault(fmt.source, []).append(fmt.name)
    notes = [
        f"  {source}: {'all' if len(sources) == 1 else ', '.join(names)}"
        for source, names in sources.items()
    ]
    return "\n".join([text.columns(rows, "<>>>>>><"), "", "Defined in", *notes])


def _row(fmt: Format) -> tuple[str, ...]:
    """Return the cells of a format in the catalogue."""
    fields = (int(fmt.signed), fmt.exponent_bits, fmt.mantissa_bits)
    return (
        fmt.name,
        str(fmt.bits),
        "-" if fmt.exponent_bits is None else "/".join(map(str, fields)),
        "-" if fmt.bias is None else str(fmt.bias),
        _short(fmt.max),
        _short(fmt.smallest_normal),
        _short(fmt.smallest_subnormal),
        " ".join(_specials(fmt)) or "-",
    )


def _short(value: float | Fraction | None) -> str:
    return "-" if value is None else numerals.short_text(Fraction(value))


def _specials(fmt: Format) -> list[str]:
    """Return what a format has besides numbers."""
    has = {"inf": fmt.has_infinity, "NaN": fmt.has_nan, "-0": fmt.has_negative_zero}
    return [name for name, there in has.items() if there]


def description(fmt: Format) -> str:
    """Return everything about a format: numbers, number line and codes."""
    codes = text.code_grid(fmt) if fmt.bits <= 8 else text.code_list(fmt)
    parts = [f"{fmt.name}\n{text.pairs(_facts(fmt))}", f"{LEGEND}\n{text.number_line(fmt)}", codes]
    return "\n\n".join(parts)


def _facts(fmt: Format) -> list[tuple[str, str]]:
    """Return the numbers of a format with their names; those it has not are left out."""
    facts = {
        "code": _layout(fmt),
        "bias": None if fmt.bias is None else str(fmt.bias),
        "precision": None if fmt.precision is None else str(fmt.precision),
        "largest": _long(fmt.max),
        "smallest normal": _long(fmt.smallest_normal),
        "smallest subnormal": _long(fmt.smallest_subnormal),
        "finite codes": str(_finite_codes(fmt)),
        "specials": ", ".join(_special_codes(fmt)) or "none: every code is a finite number",
        "overflow, SatNone": fmt.overflow.value if fmt.overflow is not None else None,
        "spelling": fmt.spelling,
        "defined in": fmt.source or None,
    }
    return [(name, fact) for name, fact in facts.items() if fact is not None]


def _layout(fmt: Format) -> str:
    """Return how the bits of a code are shared out."""
    if fmt.exponent_bits is None:
        return f"{fmt.bits} bits, given by a table of values"
    fields = {
        "sign": int(fmt.signed),
        "exponent": fmt.exponent_bits,
        "mantissa": fmt.mantissa_bits,
    }
    return f"{fmt.bits} bits: " + ", ".join(f"{width} {name}" for name, width in fields.items())


def _long(value: float | Fraction | None) -> str | None:
    """Return a number in full: in decimal and as an odd integer times a power of two."""
    if value is None:
        return None
    exact = Fraction(value)
    decimal, power = numerals.decimal_text(exact, 10), numerals.short_text(exact, limit=0)
    return f"{power} ({decimal})" if decimal.startswith("~") else f"{decimal} = {power}"


def _special_codes(fmt: Format) -> list[str]:
    """Return the specials with their codes."""
    found = []
    if fmt.has_infinity:
        signs = (False, True) if fmt.signed else (False,)
        found += [("inf", [fmt.infinity_code(negative=sign) for sign in signs])]
    nans = [code for code in range(1 << fmt.bits) if fmt.classify(code) == "nan"]
    found += [("NaN", nans)] if nans else []
    found += [("-0", [fmt.sign_bit])] if fmt.has_negative_zero else []
    return [
        f"{name} at {' '.join(text.hex_code(code, fmt) for code in codes[:2])}"
        + (f" and {len(codes) - 2} more" if len(codes) > 2 else "")
        for name, codes in found
    ]


def _finite_codes(fmt: Format) -> int:
    """Return how many codes are numbers."""
    count = len(fmt.magnitudes.codes)
    if not fmt.signed:
        return count
    return 2 * count - (fmt.has_zero and not fmt.has_negative_zero)


# JSON.


def record(fmt: Format) -> dict[str, Any]:
    """Return the parameters and derived numbers of a format for JSON, numbers as exact text."""
    numbers = {
        "max": fmt.max,
        "min": fmt.min,
        "smallest_normal": fmt.smallest_normal,
        "smallest_subnormal": fmt.smallest_subnormal,
    }
    return {
        "name": fmt.name,
        "spelling": fmt.spelling,
        "bits": fmt.bits,
        "signed": fmt.signed,
        "exponent_bits": fmt.exponent_bits,
        "mantissa_bits": fmt.mantissa_bits,
        "bias": fmt.bias,
        "precision": fmt.precision,
        **{name: _exact(value) for name, value in numbers.items()},
        "finite_codes": _finite_codes(fmt),
        "has_infinity": fmt.has_infinity,
        "has_nan": fmt.has_nan,
        "has_negative_zero": fmt.has_negative_zero,
        "overflow": None if fmt.overflow is None else fmt.overflow.value,
        "source": fmt.source,
    }


def _exact(value: float | Fraction | None) -> dict[str, str | int] | None:
    return None if value is None else numerals.exact_record(Fraction(value))


def code_records(fmt: Format) -> list[dict[str, Any]]:
    """Return every code, its bits, value and kind, for JSON."""
    return [
        {
            "code": text.hex_code(code, fmt),
            "fields": list(fmt.fields(code)),
            "value": numerals.exact_record(text.code_value(code, fmt)),
            "kind": fmt.classify(code),
        }
        for code in range(1 << fmt.bits)
    ]

"""
A SystemVerilog package of a format, for simulation and synthesis.

::

    fp8_e4m3fn_pkg::to_float_bits(code)
    fp8_e4m3fn_pkg::from_float_bits(word)                  the first projection
    fp8_e4m3fn_pkg::from_float_bits_rne_satfinite(word)    each by its name

Decoding is a case for each code, encoding a tree of comparisons with constants.  A search in
a table would be shorter, but arrays of parameters are not supported everywhere, and one wide
vector makes simulators slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fp8num.projection import Projection
from fp8num.verify.tables.contents import Contents, Encoder, comment, contents
from fp8num.verify.vectors.conversion import installed_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["sv_package"]


def sv_package(
    fmt: Format | str,
    projections: Iterable[Projection | str] = (Projection(),),
    source: SourceType | npt.DTypeLike | str = "float32",
    *,
    version: str | None = None,
) -> str:
    """
    Write a SystemVerilog package with the tables of a format.

    Parameters
    ----------
    fmt : Format or str
        The format.
    projections : iterable of Projection or str, optional
        How numbers become codes, a function for each; a str is the name of another
        library's profile.
    source : SourceType, str or dtype, optional
        The float type on the other side: half, bfloat16, float and double in the names of
        the functions.
    version : str, optional
        The version that the package says made it.  The default is the installed one.

    Returns
    -------
    str
        The package, IEEE 1800-2012.  An unknown bit of an input makes the result unknown.

    Raises
    ------
    ValueError
        As `contents`.

    Examples
    --------
    >>> package = sv_package("E4M3FN")
    >>> next(line for line in package.splitlines() if " MAX_CODE" in line)
    "  localparam logic [7:0] MAX_CODE = 8'h7e;"
    """
    found = contents(fmt, projections, source)
    if version is None:
        version = installed_version()
    name = f"fp8_{found.name}_pkg"
    parts = [
        [*(f"// {comment(line)}".rstrip() for line in found.provenance(version))],
        # Who uses the package need not use all of it.
        ["// verilator lint_off UNUSEDPARAM", f"package {name};"],
        _constants(found),
        _decoder(found),
        *(_encoder(found, encoder) for encoder in found.encoders),
        _default(found, found.encoders[0]),
        [f"endpackage : {name}", "// verilator lint_on UNUSEDPARAM"],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _literal(number: int, bits: int) -> str:
    return f"{bits}'h{number:0{-(-bits // 4)}x}"


def _constants(found: Contents) -> list[str]:
    bits, source = found.fmt.bits, found.source
    lines = [f"  localparam int {name} = {value};" for name, value in found.parameters.items()]
    for name, code in found.special_codes.items():
        word, kind = _literal(found.words[code], source.bits), found.float_name.upper()
        lines += [
            f"  localparam logic [{bits - 1}:0] {name}_CODE = {_literal(code, bits)};",
            f"  localparam logic [{source.bits - 1}:0] {name}_{kind}_BITS = {word};",
        ]
    return lines


def _decoder(found: Contents) -> list[str]:
    bits, width = found.fmt.bits, found.source.bits
    name = f"to_{found.float_name}_bits"
    return [
        f"  // The bits of the {found.source.name} that a code stands for.",
        f"  function automatic logic [{width - 1}:0] {name}(input logic [{bits - 1}:0] code);",
        "    case (code)",
        *(
            f"      {_literal(code, bits)}: return {_literal(word, width)};"
            for code, word in enumerate(found.words)
        ),
        f"      default: return {{{width}{{1'bx}}}};",
        "    endcase",
        "  endfunction",
    ]


def _encoder(found: Contents, encoder: Encoder) -> list[str]:
    bits, width = found.fmt.bits, found.source.bits
    name = f"from_{found.float_name}_bits_{encoder.name}"
    return [
        f"  // The code of a number given by its bits: {comment(encoder.rule)}.",
        f"  function automatic logic [{bits - 1}:0] {name}(input logic [{width - 1}:0] word);",
        f"    logic [{bits - 1}:0] code;",
        *_tree(found, encoder, range(len(encoder.starts)), "    "),
        "    // The last term is 0, or unknown if a bit of the word is.",
        f"    return code ^ {{{bits}{{^word & ~^word}}}};",
        "  endfunction",
    ]


def _tree(found: Contents, encoder: Encoder, runs: range, indent: str) -> list[str]:
    """Return statements that find the run of a word; every `if` has its `else`."""
    if len(runs) == 1:
        return [f"{indent}code = {_literal(encoder.codes[runs[0]], found.fmt.bits)};"]
    middle = len(runs) // 2
    start = _literal(encoder.starts[runs[middle]], found.source.bits)
    lines = []
    for head, part in ((f"if (word < {start})", runs[:middle]), ("else", runs[middle:])):
        inner = _tree(found, encoder, part, indent + "  ")
        if len(inner) == 1:  # one statement, in the line of its condition
            lines.append(f"{indent}{head} {inner[0].strip()}")
        else:
            lines += [f"{indent}{head}", *inner]
    return lines


def _default(found: Contents, encoder: Encoder) -> list[str]:
    bits, width = found.fmt.bits, found.source.bits
    name = f"from_{found.float_name}_bits"
    return [
        f"  // The same by a shorter name: {comment(encoder.rule)}.",
        f"  function automatic logic [{bits - 1}:0] {name}(input logic [{width - 1}:0] word);",
        f"    return {name}_{encoder.name}(word);",
        "  endfunction",
    ]

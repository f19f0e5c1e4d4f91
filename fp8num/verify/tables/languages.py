"""
The tables of a format as a C header and as a SystemVerilog package, from templates.

::

    uint32_t fp8_e4m3fn_to_float_bits(uint8_t code)       fp8_e4m3fn_pkg::to_float_bits(code)
    uint8_t  fp8_e4m3fn_from_float_bits(uint32_t word)    fp8_e4m3fn_pkg::from_float_bits(word)
             fp8_e4m3fn_from_float_bits_rne_satfinite     from_float_bits_rne_satfinite, ...

C is C99 or C++ and needs stdint.h alone; its encoder is a search in a table.  SystemVerilog's is
a tree of comparisons with constants: a search would be shorter, but arrays of parameters are
not supported everywhere, and one wide vector makes simulators slow.
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

from fp8num.projection import Projection
from fp8num.verify.hexlines import code_digits
from fp8num.verify.tables.contents import Contents, Encoder, comment, contents, rows
from fp8num.verify.vectors.conversion import installed_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["c_header", "sv_package"]


# C.

_HEADER = Template("""\
/*
$provenance
 */

#ifndef $guard
#define $guard

#include <stdint.h>

$constants

/* The bits of the $source that a code stands for. */
static inline $word_type fp8_${fmt}_to_${float}_bits($code_type code)
{
    static const $word_type words[$codes] = {
$words
    };
    return words[code & ${mask}u];
}

$encoders

/* The same by a shorter name: $rule. */
static inline $code_type fp8_${fmt}_from_${float}_bits($word_type word)
{
    return fp8_${fmt}_from_${float}_bits_$first(word);
}

#endif /* $guard */
""")
_SEARCH = Template("""\
/* The code of a number given by its bits: $rule. */
static inline $code_type fp8_${fmt}_from_${float}_bits_$name($word_type word)
{
    static const $word_type starts[$runs] = {
$starts
    };
    static const $code_type codes[$runs] = {
$codes
    };
    uint32_t low = 0, count = $runs;
    while (count > 1) { /* the run is among the `count` from `low` on */
        uint32_t half = count / 2;
        if (starts[low + half] <= word)
            low += half;
        count -= half;
    }
    return codes[low];
}""")


def c_header(
    fmt: Format | str,
    projections: Iterable[Projection | str] = (Projection(),),
    source: SourceType | npt.DTypeLike | str = "float32",
    *,
    version: str | None = None,
) -> str:
    """
    Write a C header with the tables of a format.

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
        The version that the header says made it.  The default is the installed one.

    Returns
    -------
    str
        The header.  It includes stdint.h alone and is for C99 and for C++.

    Raises
    ------
    ValueError
        As `contents`.

    Examples
    --------
    >>> header = c_header("E4M3FN")
    >>> next(line for line in header.splitlines() if "MAX_CODE" in line)
    '#define FP8_E4M3FN_MAX_CODE 0x7eu'
    """
    found = contents(fmt, projections, source)
    digits = code_digits(found.fmt)
    common = {
        "fmt": found.name,
        "float": found.float_name,
        "code_type": f"uint{8 * found.fmt.code_dtype.itemsize}_t",
        "word_type": f"uint{found.source.bits}_t",
    }

    def array(numbers: tuple[int, ...], width: int, digits: int) -> str:
        return "\n".join(rows([_c(n, digits) for n in numbers], width=width, indent=" " * 8))

    encoders = [
        _SEARCH.substitute(
            common,
            name=encoder.name,
            rule=comment(encoder.rule),
            runs=len(encoder.starts),
            starts=array(encoder.starts, 6, found.source.digits),
            codes=array(encoder.codes, 12, digits),
        )
        for encoder in found.encoders
    ]
    return _HEADER.substitute(
        common,
        provenance=_commented(found, version, " *"),
        guard=f"FP8_{found.name.upper()}_{found.float_name.upper()}_H",
        constants="\n".join(_c_constants(found, digits)),
        source=comment(found.source.name),
        codes=len(found.words),
        mask=f"{len(found.words) - 1:#x}",
        words=array(found.words, 6, found.source.digits),
        encoders="\n\n".join(encoders),
        rule=comment(found.encoders[0].rule),
        first=found.encoders[0].name,
    )


def _c(number: int, digits: int) -> str:
    """Write a number; without the suffix, the type of a wide one depends on the compiler."""
    return f"0x{number:0{digits}x}{'ull' if digits > 8 else 'u'}"


def _c_constants(found: Contents, digits: int) -> list[str]:
    prefix, kind = f"#define FP8_{found.name.upper()}", found.float_name.upper()
    lines = [f"{prefix}_{name} {value}" for name, value in found.parameters.items()]
    for name, code in found.special_codes.items():
        lines += [
            f"{prefix}_{name}_CODE {_c(code, digits)}",
            f"{prefix}_{name}_{kind}_BITS {_c(found.words[code], found.source.digits)}",
        ]
    return lines


# SystemVerilog.

# Who uses the package need not use all of it: hence the lint_off.
_PACKAGE = Template("""\
$provenance

// verilator lint_off UNUSEDPARAM
package fp8_${fmt}_pkg;

$constants

  // The bits of the $source that a code stands for.
  function automatic logic [$word_top:0] to_${float}_bits(input logic [$code_top:0] code);
    case (code)
$cases
      default: return {$word_bits{1'bx}};
    endcase
  endfunction

$encoders

  // The same by a shorter name: $rule.
  function automatic logic [$code_top:0] from_${float}_bits(input logic [$word_top:0] word);
    return from_${float}_bits_$first(word);
  endfunction

endpackage : fp8_${fmt}_pkg
// verilator lint_on UNUSEDPARAM
""")
_TREE = Template("""\
  // The code of a number given by its bits: $rule.
  function automatic logic [$code_top:0] from_${float}_bits_$name(input logic [$word_top:0] word);
    logic [$code_top:0] code;
$tree
    // The last term is 0, or unknown if a bit of the word is.
    return code ^ {$code_bits{^word & ~^word}};
  endfunction""")


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
    bits, width = found.fmt.bits, found.source.bits
    common = {
        "fmt": found.name,
        "float": found.float_name,
        "code_bits": bits,
        "code_top": bits - 1,
        "word_bits": width,
        "word_top": width - 1,
    }
    encoders = [
        _TREE.substitute(
            common,
            name=encoder.name,
            rule=comment(encoder.rule),
            tree="\n".join(_tree(found, encoder, range(len(encoder.starts)), "    ")),
        )
        for encoder in found.encoders
    ]
    return _PACKAGE.substitute(
        common,
        provenance=_commented(found, version, "//"),
        constants="\n".join(_sv_constants(found)),
        source=found.source.name,
        cases="\n".join(
            f"      {_sv(code, bits)}: return {_sv(word, width)};"
            for code, word in enumerate(found.words)
        ),
        encoders="\n\n".join(encoders),
        rule=comment(found.encoders[0].rule),
        first=found.encoders[0].name,
    )


def _sv(number: int, bits: int) -> str:
    return f"{bits}'h{number:0{-(-bits // 4)}x}"


def _sv_constants(found: Contents) -> list[str]:
    bits, width, kind = found.fmt.bits, found.source.bits, found.float_name.upper()
    lines = [f"  localparam int {name} = {value};" for name, value in found.parameters.items()]
    for name, code in found.special_codes.items():
        word = _sv(found.words[code], width)
        lines += [
            f"  localparam logic [{bits - 1}:0] {name}_CODE = {_sv(code, bits)};",
            f"  localparam logic [{width - 1}:0] {name}_{kind}_BITS = {word};",
        ]
    return lines


def _tree(found: Contents, encoder: Encoder, runs: range, indent: str) -> list[str]:
    """Return statements that find the run of a word; every `if` has its `else`."""
    if len(runs) == 1:
        return [f"{indent}code = {_sv(encoder.codes[runs[0]], found.fmt.bits)};"]
    middle = len(runs) // 2
    start = _sv(encoder.starts[runs[middle]], found.source.bits)
    lines = []
    for head, part in ((f"if (word < {start})", runs[:middle]), ("else", runs[middle:])):
        inner = _tree(found, encoder, part, indent + "  ")
        if len(inner) == 1:  # one statement, in the line of its condition
            lines.append(f"{indent}{head} {inner[0].strip()}")
        else:
            lines += [f"{indent}{head}", *inner]
    return lines


def _commented(found: Contents, version: str | None, mark: str) -> str:
    """Write where the tables come from as lines of a comment."""
    told = found.provenance(installed_version() if version is None else version)
    return "\n".join(f"{mark} {comment(line)}".rstrip() for line in told)

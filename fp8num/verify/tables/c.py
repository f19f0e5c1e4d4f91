"""
A C header of a format: C99 or C++, needs stdint.h alone.

::

    uint32_t fp8_e4m3fn_to_float_bits(uint8_t code)
    uint8_t  fp8_e4m3fn_from_float_bits(uint32_t word)                  the first projection
    uint8_t  fp8_e4m3fn_from_float_bits_rne_satfinite(uint32_t word)    each by its name
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fp8num.projection import Projection
from fp8num.verify.tables.contents import Contents, Encoder, comment, contents, rows
from fp8num.verify.vectors.conversion import installed_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from fp8num.formats import Format
    from fp8num.verify.sources import SourceType

__all__ = ["c_header"]

INDENT = " " * 8


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
    if version is None:
        version = installed_version()
    guard = f"FP8_{found.name.upper()}_{found.float_name.upper()}_H"
    parts = [
        ["/*", *(f" * {comment(line)}".rstrip() for line in found.provenance(version)), " */"],
        [f"#ifndef {guard}", f"#define {guard}"],
        ["#include <stdint.h>"],
        _constants(found),
        _decoder(found),
        *(_encoder(found, encoder) for encoder in found.encoders),
        _default(found, found.encoders[0]),
        [f"#endif /* {guard} */"],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _types(found: Contents) -> tuple[str, str]:
    """Return the integer types of a code and of a word."""
    return f"uint{8 * found.fmt.code_dtype.itemsize}_t", f"uint{found.source.bits}_t"


def _literal(number: int, digits: int) -> str:
    """Write a number; without the suffix, the type of a wide one depends on the compiler."""
    return f"0x{number:0{digits}x}{'ull' if digits > 8 else 'u'}"


def _constants(found: Contents) -> list[str]:
    prefix = f"FP8_{found.name.upper()}"
    digits = -(-found.fmt.bits // 4)
    lines = [f"#define {prefix}_{name} {value}" for name, value in found.parameters.items()]
    for name, code in found.special_codes.items():
        word = _literal(found.words[code], found.source.digits)
        lines += [
            f"#define {prefix}_{name}_CODE {_literal(code, digits)}",
            f"#define {prefix}_{name}_{found.float_name.upper()}_BITS {word}",
        ]
    return lines


def _decoder(found: Contents) -> list[str]:
    code_type, word_type = _types(found)
    words = [_literal(word, found.source.digits) for word in found.words]
    return [
        f"/* The bits of the {comment(found.source.name)} that a code stands for. */",
        f"static inline {word_type} fp8_{found.name}_to_{found.float_name}_bits({code_type} code)",
        "{",
        f"    static const {word_type} words[{len(words)}] = {{",
        *rows(words, width=6, indent=INDENT),
        "    };",
        f"    return words[code & {len(words) - 1:#x}u];",
        "}",
    ]


def _encoder(found: Contents, encoder: Encoder) -> list[str]:
    code_type, word_type = _types(found)
    digits = -(-found.fmt.bits // 4)
    runs = len(encoder.starts)
    name = f"fp8_{found.name}_from_{found.float_name}_bits_{encoder.name}"
    starts = [_literal(start, found.source.digits) for start in encoder.starts]
    codes = [_literal(code, digits) for code in encoder.codes]
    return [
        f"/* The code of a number given by its bits: {comment(encoder.rule)}. */",
        f"static inline {code_type} {name}({word_type} word)",
        "{",
        f"    static const {word_type} starts[{runs}] = {{",
        *rows(starts, width=6, indent=INDENT),
        "    };",
        f"    static const {code_type} codes[{runs}] = {{",
        *rows(codes, width=12, indent=INDENT),
        "    };",
        f"    uint32_t low = 0, count = {runs};",
        "    while (count > 1) { /* the run is among the `count` from `low` on */",
        "        uint32_t half = count / 2;",
        "        if (starts[low + half] <= word)",
        "            low += half;",
        "        count -= half;",
        "    }",
        "    return codes[low];",
        "}",
    ]


def _default(found: Contents, encoder: Encoder) -> list[str]:
    code_type, word_type = _types(found)
    name = f"fp8_{found.name}_from_{found.float_name}_bits"
    return [
        f"/* The same by a shorter name: {comment(encoder.rule)}. */",
        f"static inline {code_type} {name}({word_type} word)",
        "{",
        f"    return {name}_{encoder.name}(word);",
        "}",
    ]

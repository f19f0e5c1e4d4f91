r"""
Text from outside, such as names in files: harmless in a terminal, a message, a table.

::

    layer\n<ESC>[31m --printable--> layer\\n\\x1b[31m        one line, nothing moves
                     --shown------> 'layer\\n\\x1b[31m'      quoted, and shortened
    =HYPERLINK(...)  --guarded----> a space before it        no formula of a spreadsheet

`columns` and `pairs` lay texts out for a terminal.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["brief", "columns", "cut", "guarded", "pairs", "printable", "shorten", "shown"]

WIDTH = 80  #: columns of a terminal

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  #: what a spreadsheet may run begins with


def printable(text: str) -> str:
    r"""
    Escape what is not printable: controls, line ends, invisible and reversing characters.

    >>> print(printable("layer\n\x1b[31m"))
    layer\n\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, limit: int) -> str:
    """Cut out the middle of a long text, and say how long it was."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}...({len(text)} characters)...{text[-half:]}"


def shorten(text: str, limit: int = 48) -> str:
    """
    Escape a name and cut out its middle if it is long: its end tells tensors apart.

    >>> shorten("model.layers.31.self_attn.q_proj.weight", 24)
    'model.layer…_proj.weight'
    """
    if len(text) > 2 * limit:  # escaping never shortens, so the two ends are enough
        text = text[:limit] + text[-limit:]
    text = printable(text)
    if len(text) <= limit:
        return text
    tail = limit // 2
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}"


def shown(text: str, limit: int = 200) -> str:
    """
    Quote a name for a message: printable, and a long one shortened.

    >>> print(shown("x" * 3000, 8))
    'xxxx...(3000 characters)...xxxx'
    """
    return repr(cut(text, limit))


def brief(value: object, limit: int = 80) -> str:
    """
    Write any value for a message: in one line, and neither at length nor for long.

    >>> print(brief(10**400), brief([0] * 1000, 8), brief("relu"))
    an integer of 1329 bits [0, 0, 0 'relu'
    """
    if isinstance(value, str):
        return shown(value, limit)
    if isinstance(value, int) and abs(value) >= 1 << 256:
        return f"an integer of {value.bit_length()} bits"
    if type(value) in (list, tuple):
        value = value[:limit]  # type: ignore[index] # each takes a character at least
    try:
        written = repr(value)
    except ValueError:  # such an integer within
        return f"a {type(value).__name__}"
    return " ".join(written.split())[:limit]


def guarded(text: str) -> str:
    r"""
    Return text for a cell of a table that no spreadsheet takes for a formula.

    OWASP, "CSV Injection".

    >>> [guarded(text) for text in ("=1+1", "w.0", " -x")]
    [' =1+1', 'w.0', '  -x']
    """
    return f" {text}" if text.lstrip(" ").startswith(_FORMULA) else text


def columns(rows: Sequence[Sequence[str]], align: str) -> str:
    """
    Align the cells of a table.

    >>> print(columns([["name", "bits"], ["E5M2", "8"]], "<>"))
    name  bits
    E5M2     8
    """
    widths = [
        max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(len(align))
    ]
    lines = (
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=False)
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def pairs(items: Iterable[tuple[str, str]], *, indent: int = 2, width: int = WIDTH) -> str:
    """Write names and what they are below each other, long texts broken between words."""
    items = [(name, printable(text)) for name, text in items]
    start = indent + max((len(name) for name, _ in items), default=0) + 2
    lines = []
    for name, text in items:
        wrapped = textwrap.wrap(text, width - start, break_long_words=False, break_on_hyphens=False)
        head = f"{'':{indent}}{name}"
        for i, line in enumerate(wrapped or [""]):
            lines.append(f"{head if i == 0 else '':{start}}{line}".rstrip())
    return "\n".join(lines)

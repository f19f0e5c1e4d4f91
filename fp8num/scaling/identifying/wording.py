"""
Words and numbers of records, as sentences have them.

::

    1 scale, 2 scales     0.375 = 0x1.8p-2     rules that share a mistake in one paragraph
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fp8num.scaling.identifying.records import Match, Near

__all__ = ["blocks_of", "counted", "differ", "exact", "grouped", "index_of", "merged"]


def merged(matches: tuple[Match, ...]) -> list[str]:
    """Return a line for each match; of rules that differ in the format alone, one."""
    formats: dict[Match, list[str]] = {}
    for match in matches:
        formats.setdefault(replace(match, format=""), []).append(match.format)
    return [f"  {replace(match, format=' or '.join(f))}" for match, f in formats.items()]


def grouped(near: tuple[Near, ...]) -> list[str]:
    """Return a paragraph for each mistake; rules for which all of it is the same share one."""
    alike: dict[Near, list[Near]] = {}
    for each in near:
        alike.setdefault(replace(each, rule="", axis=0), []).append(each)
    found = []
    for group in alike.values():
        if len({each.axis for each in group}) == 1:
            names = ", ".join(dict.fromkeys(each.rule for each in group))
            blocks = blocks_of(group[0].block, group[0].axis)
        else:
            names = ", ".join(f"{each.rule} (axis {each.axis})" for each in group)
            blocks = blocks_of(group[0].block, None)
        found.append(group[0].told(f"{names} ({group[0].format}, {blocks})"))
    return found


def counted(count: int, noun: str) -> str:
    """Return a number and a noun, in the plural unless it is one."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def index_of(index: tuple[int, ...]) -> str:
    """Return an index as text."""
    return f"({', '.join(str(i) for i in index)})"


def blocks_of(block: tuple[int, ...], axis: int | None) -> str:
    """Return the lengths of blocks, and the axis unless there are several."""
    if not block:
        return "a scalar"
    text = f"blocks {' x '.join(str(n) for n in block)}"
    return text if axis is None else f"{text} along axis {axis}"


def differ(a: float, b: float) -> bool:
    """Return whether numbers are not the same; NaN is NaN."""
    return a != b and not (np.isnan(a) and np.isnan(b))


def exact(value: float) -> str:
    """Return a number in decimal and in hexadecimal, which is exact."""
    if not np.isfinite(value):
        return str(value)
    exact = re.sub(r"\.?0*p", "p", value.hex())
    return f"{value:.6g} = {exact}" if value else f"{value:g}"

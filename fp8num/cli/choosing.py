"""Tensors by patterns of their names: which are looked at, kept, quantised, how they lie."""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from fp8num._names import hint
from fp8num._text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fp8num.analysis.roles import Layout
    from fp8num.inputs import StoredTensor

__all__ = ["kept_by_name", "layout_option", "layouts_by_name", "matching", "only", "patterns"]


def patterns(text: str) -> tuple[str, ...]:
    """Read patterns with commas between."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        msg = f"must be names of tensors, * and ? stand for others, got {text!r}; leave it out"
        raise argparse.ArgumentTypeError(msg)
    return found


def layout_option(text: str) -> tuple[Layout, str]:
    """Read a layout, and the names that it is about after a colon."""
    from fp8num.analysis import LAYOUTS

    name, _, pattern = text.partition(":")
    for layout in LAYOUTS:
        if name.strip() == layout:
            return layout, pattern.strip() or "*"  # type: ignore[return-value] # of the table
    near = hint(name, LAYOUTS, "such as 'in-out:*c_attn'")
    msg = f"must be {', '.join(LAYOUTS)}, and may have :PATTERN, got {shown(text)}; {near}"
    raise argparse.ArgumentTypeError(msg)


def matching(option: str, wanted: Iterable[str], names: Sequence[str]) -> list[str]:
    """Return the names that patterns match, each of which must match one."""
    found: set[str] = set()
    for pattern in wanted:
        hits = {
            name
            for name in names
            if fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix(".weight"), pattern)
        }
        if not hits:
            first = f"the first tensor is {shown(names[0])}" if names else "there are none"
            parts = dict.fromkeys(part for name in names for part in name.split("."))
            near = hint(pattern.strip("*."), (*names, *parts), first)
            msg = f"{option} must match a tensor's name, {shown(pattern)} matches none; {near}"
            raise ValueError(msg)
        found |= hits
    return [name for name in names if name in found]


def only(tensors: list[StoredTensor], wanted: Sequence[str] | None) -> list[StoredTensor]:
    """Return the tensors that ``--only`` asks for, or all."""
    if wanted is None:
        return tensors
    names = set(matching("--only", wanted, [tensor.name for tensor in tensors]))
    return [tensor for tensor in tensors if tensor.name in names]


def kept_by_name(
    keep: Sequence[str] | None, quantise: Sequence[str] | None, names: Sequence[str]
) -> dict[str, bool]:
    """Return what ``--keep`` and ``--quantise`` say, which must not contradict each other."""
    stay = set(matching("--keep", keep or (), names))
    go = set(matching("--quantise", quantise or (), names))
    for name in names:
        if name in stay & go:
            msg = (
                f"--keep and --quantise must name different tensors, both match {shown(name)}; "
                "make a pattern narrower"
            )
            raise ValueError(msg)
    return dict.fromkeys(stay, True) | dict.fromkeys(go, False)


def layouts_by_name(
    options: Sequence[tuple[Layout, str]] | None, names: Sequence[str]
) -> dict[str, Layout]:
    """Return what ``--layout`` says, the last one where several match."""
    return {
        name: layout
        for layout, pattern in options or ()
        for name in matching("--layout", (pattern,), names)
    }

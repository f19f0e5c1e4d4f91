"""The widths of a net: one rule for whoever takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from fp8num._arguments import integer, refuse

__all__ = ["widths"]


def widths(sizes: object) -> tuple[int, ...]:
    """Return widths that come as a list, a tuple, an array or whatever else has an order."""
    unordered = isinstance(sizes, str | bytes | Mapping | AbstractSet)
    if unordered or not isinstance(sizes, Iterable) or getattr(sizes, "ndim", 1) != 1:
        refuse("sizes", "a sequence of widths, such as [64, 512, 10]", sizes, kind=TypeError)
    found = tuple(integer("a width of sizes", size, 1) for size in sizes)
    if len(found) < 2:
        wanted = "at least two widths, of inputs and outputs, such as [64, 512, 10]"
        refuse("sizes", wanted, sizes)
    return found

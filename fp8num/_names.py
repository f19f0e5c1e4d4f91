"""
Names: a catalogue of what has one, and what to say of a name that nothing has.

::

    FORMATS  PROFILES  ACCUMULATORS  RULES  RECIPES        each a `Catalogue`
    "e4m3f"  -> did you mean E4M3FN?
    "mxfp8"  -> mxfp8 is a scaling rule: fp8num.scale_quantize(x, 'mxfp8')
"""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

__all__ = ["Catalogue", "another_kind", "hint", "html_table", "in_a_line", "nearest"]

T = TypeVar("T")

#: Names that a catalogue's `repr` shows at most.
_SHOWN = 16
#: Characters of a record's text that its `repr` shows at most.
_LINE = 160
#: Longer names are not compared: no catalogue has one, and comparing takes long.
_LONGEST = 80

#: Other kinds of names: the module that has them, its tables, and what is done with one.  The
#: modules lie above this one, and are loaded to explain a mistake and for nothing else.
_KINDS = {
    "a format": ("fp8num.formats", ("FORMATS",), "fp8num.scale_quantize(x, 'tensor', fmt={0!r})"),
    "a scaling rule": (
        "fp8num.scaling.catalogue",
        ("RULES", "ALIASES"),
        "fp8num.scale_quantize(x, {0!r})",
    ),
    "a training recipe": ("fp8num.nn.recipes", ("RECIPES",), "fp8num.nn.get_recipe({0!r})"),
    "an accumulator": (
        "fp8num.accumulate.catalogue",
        ("ACCUMULATORS",),
        "fp8num.matmul(a, b, accumulator={0!r})",
    ),
    "another library's profile": (
        "fp8num.projection",
        ("PROFILES",),
        "fp8num.encode(x, fmt, like={0!r})",
    ),
}


class Catalogue(Mapping[str, T]):
    """
    Things by name, which nobody can change.

    Parameters
    ----------
    things : mapping of str to anything
        By name; it is copied.
    what : str
        What they are called, in the plural.
    columns : tuple of str, optional
        Attributes that a table shows.
    """

    __slots__ = ("_columns", "_things", "_what")

    def __init__(
        self, things: Mapping[str, T], what: str, columns: tuple[str, ...] = ("source",)
    ) -> None:
        self._things, self._what, self._columns = dict(things), what, columns

    def __getitem__(self, name: str) -> T:
        return self._things[name]

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def __or__(self, other: Mapping[str, T]) -> dict[str, T]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, T]) -> dict[str, T]:
        return {**other, **self}

    def __repr__(self) -> str:
        shown = list(self._things)[:_SHOWN]
        more = ["..."] if len(self) > len(shown) else []
        return f"<{len(self)} {self._what}: {', '.join([*shown, *more])}>"

    def _repr_html_(self) -> str:
        """Return a table of the names, with every text escaped."""
        head = ["", *(column.replace("_", " ") for column in self._columns)]
        rows = [
            [name, *(getattr(thing, column, None) for column in self._columns)]
            for name, thing in self._things.items()
        ]
        return html_table(rows, head)


def html_table(rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Return a table as HTML, each row headed by its first cell, with every text escaped."""
    top = "".join(f"<th>{_cell(text)}</th>" for text in head)
    body = "".join(
        f"<tr><th>{_cell(first)}</th>{''.join(f'<td>{_cell(one)}</td>' for one in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<table>{top and f'<thead><tr>{top}</tr></thead>'}<tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    """Return a value as HTML."""
    return "" if value is None else html.escape(str(getattr(value, "value", value)))


def in_a_line(record: object) -> str:
    """Write a record in one line, for `repr`: its kind and the first line of its text."""
    first = str(record).split("\n", 1)[0]
    return f"<{type(record).__name__}: {first if len(first) <= _LINE else f'{first[:_LINE]}...'}>"


def nearest(name: object, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that are most like one, in any case; none if nothing is like it."""
    plain = {each.lower(): each for each in reversed(list(known))}
    text = str(name).strip().lower()[:_LONGEST]
    return [plain[near] for near in get_close_matches(text, plain, n=most, cutoff=0.65)]


def another_kind(name: str, kind: str) -> str:
    """Say what a name stands for that is none of a kind, such as "a format"; or nothing."""
    plain = name.strip()
    for other, (module, tables, use) in _KINDS.items():
        if other == kind:
            continue
        for table in tables:
            names = {each.lower(): each for each in getattr(importlib.import_module(module), table)}
            found = names.get(plain.lower(), names.get(plain.lower().replace("_", "-")))
            if found is not None:
                return f"{found} is {other}: {use.format(found)}"
    return ""


def hint(name: str, known: Iterable[str], otherwise: str, kind: str = "") -> str:
    """Say what to do about an unknown name: what it is instead, the nearest ones, or otherwise."""
    is_other = another_kind(name, kind) if kind else ""
    near = nearest(name, known)
    meant = f"did you mean {' or '.join(near)}?" if near else ""
    return "; ".join(filter(None, (is_other, meant))) or otherwise

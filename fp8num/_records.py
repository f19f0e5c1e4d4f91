"""
Records: frozen data as JSON can hold it and back, as a table, and as lines of text.

::

    record --as_dict--> {"name": ..., "rounding": "TowardZero", "ratio": None}  --json.dumps-->
    arguments <--arguments_of, entries--  dict, each entry checked by name      <--parse_json--
    records --frame--> a row for each, a column for each field
    7, "case" --counted--> "7 cases"                        whatever is wrong is an InputError
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fp8num import _arguments as arguments
from fp8num._names import nearest
from fp8num._reading import InputError
from fp8num._text import brief, cut, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    import pandas as pd

__all__ = [
    "Check",
    "arguments_of",
    "as_dict",
    "as_it_is",
    "counted",
    "entries",
    "flag",
    "frame",
    "listed",
    "made",
    "mapping",
    "maybe",
    "number",
    "one_of",
    "plain",
    "text",
    "whole",
    "wrapped",
]

T = TypeVar("T")
#: Returns a value of a record as it is wanted, or raises what says what it must be.
Check: TypeAlias = "Callable[[str, object], Any]"

#: Columns of a terminal, and of the heading before a sentence.
_WIDTH, _HEADING = 100, 12


# To JSON.


def as_dict(record: Any, *names: str) -> dict[str, Any]:  # noqa: ANN401 - a data class's
    """Return a record's fields, or those that are named, as JSON can hold them; see `plain`."""
    return {name: plain(getattr(record, name)) for name in names or _names_of(record)}


def plain(value: Any, special: Callable[[float], object] | None = None) -> Any:  # noqa: ANN401
    """Return what JSON can hold for a value and all that is in it."""
    if isinstance(value, Mapping):
        return {key: plain(part, special) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, special) for part in value]
    if is_dataclass(value):
        own = getattr(value, "to_dict", None)
        return own() if own else {n: plain(getattr(value, n), special) for n in _names_of(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return special(value) if special else None
    return value.value if isinstance(value, Enum) else value


def _names_of(record: Any) -> list[str]:  # noqa: ANN401 - a data class or a record of it
    return [part.name for part in fields(record)]


# From JSON.


def entries(
    what: str, record: object, checks: Mapping[str, Check], optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return the values of a record, each as its check returns it."""
    if not isinstance(record, Mapping):
        arguments.refuse_kind(what, "a mapping, as to_dict() makes it", record, kind=InputError)
    if unknown := [name for name in record if name not in checks]:
        near = nearest(unknown[0], checks, most=1)
        hint = (
            f"did you mean {near[0]}?"
            if near
            else f"there are {', '.join(checks)}, unless a later version wrote it"
        )
        msg = f"{what} must have no entry {brief(unknown[0])}; {hint}"
        raise InputError(msg)
    if missing := [name for name in checks if name not in record and name not in optional]:
        found = printable(cut(", ".join(map(str, record)), 200)) or "nothing"
        msg = f"{what} must also have {', '.join(missing)}, got {found}; to_dict() writes them all"
        raise InputError(msg)
    return {
        name: check(f"{name} of {what}", record[name])
        for name, check in checks.items()
        if name in record
    }


def arguments_of(what: str, kind: type[Any], record: object, **own: Check) -> dict[str, Any]:
    """Return a data class's arguments from a record of them, each checked by its annotation."""
    named = fields(kind)
    checks = {one.name: own.get(one.name) or _PLAIN.get(str(one.type), as_it_is) for one in named}
    has_default = [one.name for one in named if not one.default is one.default_factory is MISSING]
    return entries(what, record, checks, has_default)


def as_it_is(what: str, value: object) -> Any:  # noqa: ANN401, ARG001 - a check's form
    """Return a value that whoever is given it checks."""
    return value


def _by(check: Callable[..., T], *limits: object) -> Callable[[str, object], T]:
    """Return the check of an entry by that of an argument."""

    def inner(what: str, value: object) -> T:
        try:
            return check(what, value, *limits)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from error

    return inner


text = _by(arguments.text)
flag = _by(arguments.flag)


def whole(low: int, high: int) -> Check:
    """Return the check of an integer from `low` to `high`."""
    return _by(arguments.integer, low, high)


def one_of(names: Iterable[str]) -> Check:
    """Return the check of one of some names."""
    return _by(arguments.choice, names)


def number(what: str, value: object) -> int | float:
    """Return a finite number as it stands there."""
    _by(arguments.number)(what, value)
    found: int | float = value  # type: ignore[assignment] # it is one
    return found


def mapping(what: str, value: object) -> Mapping[str, Any]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        arguments.refuse_kind(what, "a mapping", value, kind=InputError)
    return value


def maybe(inner: Check) -> Check:
    """Return the check of None, or of what another one takes."""
    return lambda what, value: None if value is None else inner(what, value)


def listed(*inner: Check) -> Check:
    """Return the check of a list: of each element, or if there are several, one after another."""

    def check(what: str, value: object) -> tuple[Any, ...]:
        wanted = "a list" if len(inner) == 1 else f"a list of {len(inner)}"
        if not isinstance(value, list | tuple) or len(inner) not in (1, len(value)):
            arguments.refuse_kind(what, wanted, value, kind=InputError)
        checks = inner * len(value) if len(inner) == 1 else inner
        places = (f"item {i} of {what}" for i in range(len(value)))
        return tuple(one(*each) for one, *each in zip(checks, places, value, strict=True))

    return check


def made(make: Callable[[Any], Any]) -> Check:
    """Return the check of what a function makes something of, or refuses."""

    def check(what: str, value: object) -> Any:  # noqa: ANN401 - what the function makes
        try:
            return make(value)
        except (TypeError, ValueError) as error:
            msg = f"{what}: {error}"
            raise InputError(msg) from error

    return check


_INTEGER = whole(-(1 << 63), (1 << 63) - 1)
#: The checks of annotations, as text.
_PLAIN: Mapping[str, Check] = {
    "bool": flag,
    "int": _INTEGER,
    "float": number,
    "str": text,
    "int | None": maybe(_INTEGER),
    "str | None": maybe(text),
    "tuple[int, ...]": listed(_INTEGER),
    "tuple[str, ...]": listed(text),
}


# To a table and to text.


def frame(kind: type[Any], records: Iterable[object]) -> pd.DataFrame:
    """Return records of a data class as a table: a row for each, a column for each field."""
    import pandas as pd

    names = _names_of(kind)
    rows = [[getattr(record, name) for name in names] for record in records]
    return pd.DataFrame(rows, columns=names)


def counted(count: int, noun: str) -> str:
    """Write a number of things, such as ``1 case`` and ``2,000 cases``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def wrapped(heading: str, sentence: str) -> list[str]:
    """Write a sentence beside a heading, in lines of a terminal; words stay whole."""
    return textwrap.wrap(
        sentence,
        _WIDTH,
        initial_indent=f"  {heading:<{_HEADING - 2}}",
        subsequent_indent=" " * _HEADING,
        break_long_words=False,
        break_on_hyphens=False,
    )

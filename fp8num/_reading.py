"""
Reading what somebody else wrote: files, JSON, and what a record must hold.

::

    path --open_file--> a regular file, never a pipe       whatever is wrong with it is
    bytes --parse_json--> dict, list, text, numbers        one InputError, a ValueError,
    dict --entries--> its values, each checked by name     in one line
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from fp8num._text import cut, printable, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Never

__all__ = [
    "Check",
    "InputError",
    "arguments_of",
    "as_it_is",
    "brief",
    "check_regular",
    "entries",
    "flag",
    "json_members",
    "listed",
    "made",
    "mapping",
    "maybe",
    "number",
    "open_file",
    "parse_json",
    "text",
    "whole",
    "without_waiting",
]

#: Levels of lists and objects; the deepest that is written here, a training's state, has 20.
MAX_NESTING = 100
#: Digits of an integer, as Python has it, where nobody changed that.
MAX_DIGITS = 4300
#: What a parsed value may take, an empty object with its place in a list, and what all
#: values may take beyond three times their text.
VALUE_BYTES, ALLOWED_BYTES = 128, 150_000_000

#: Returns a value of a record as it is wanted, or raises what says what it must be.
Check: TypeAlias = "Callable[[str, object], Any]"


class InputError(ValueError):
    """A file cannot be read as what it should be; the message is one line and says why."""


def brief(value: object) -> str:
    """Write a value for a message, not at length; of an integer digits may be too many."""
    if isinstance(value, int) and abs(value) >= 1 << 256:
        return f"an integer of {value.bit_length()} bits"
    return shown(value, 60) if isinstance(value, str) else f"{value!r:.60}".replace("\n", " ")


# Files.


def check_regular(status: os.stat_result, name: str, wanted: str) -> None:
    """Refuse what is no regular file: a pipe or a device would block, or never end."""
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        msg = f"{name} is {what}; give the path of {wanted}"
        raise InputError(msg)


def without_waiting(path: str, flags: int) -> int:
    """Open a file, as `open` asks for; a pipe that took its place is opened at once."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def open_file(path: str | os.PathLike[str], name: str, wanted: str) -> Iterator[tuple[Any, int]]:
    """
    Open a regular file for reading, and yield it with its size.

    Raises
    ------
    FileNotFoundError
        If there is none.
    InputError
        If it is something else, or cannot be read, now or within.
    """
    try:
        check_regular(os.stat(path), name, wanted)  # noqa: PTH116 - any kind of path
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(_unreadable(name, error)) from error  # a null byte in the path
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(_unreadable(name, error)) from error
    try:
        with open(path, "rb", opener=without_waiting) as stream:
            status = os.fstat(stream.fileno())
            check_regular(status, name, wanted)
            yield stream, status.st_size
    except OSError as error:
        raise InputError(_unreadable(name, error)) from error


def _unreadable(name: str, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"{name} cannot be read ({reason}); check the path and its permissions"


# JSON.

# Possessive, so that no text makes the search go back over it.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_BLANK = rb"[ \t\n\r]*+"
_OPEN = re.compile(_BLANK + rb"\{" + _BLANK + rb"(\}?)")
_KEY = re.compile(_BLANK + rb"(" + _STRING + rb")" + _BLANK + rb":" + _BLANK, re.DOTALL)
_SCALAR = re.compile(_STRING + rb"|[\w.+-]++", re.DOTALL)
_MARK = re.compile(_STRING + rb"|[\[\]{}]", re.DOTALL)
_NEXT = re.compile(_BLANK + rb"([,}])")
_STEPS = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


def parse_json(data: bytes | str, *, constants: bool = False) -> Any:  # noqa: ANN401 - JSON
    """
    Parse JSON as its standard has it: UTF-8, no key twice, no number that is none.

    Parameters
    ----------
    data : bytes or str
        The text.
    constants : bool, optional
        Whether it may hold NaN and Infinity, which Python writes.

    Returns
    -------
    object
        Dictionaries, lists, text, numbers, True, False and None, at most `MAX_NESTING` deep.

    Raises
    ------
    InputError
        If it is something else, or holds more values than its size accounts for.
    """
    _check_count(data)
    try:
        # Decoded first: json.loads would guess UTF-16 and UTF-32 from bytes.
        decoded = data if isinstance(data, str) else str(data, "utf-8")
        value = (_LENIENT if constants else _STRICT).decode(decoded)
        deep = _depth_exceeds(value, MAX_NESTING)
    except RecursionError:
        deep = True
    except ValueError as error:  # of the decoder, the parser or one of the hooks
        raise InputError(str(error)) from error
    if deep:
        msg = f"it is nested too deeply, more than {MAX_NESTING} levels"
        raise InputError(msg)
    return value


def json_members(data: bytearray, limit: Callable[[str], int]) -> Iterator[tuple[str, bytes]]:
    """
    Yield the keys of a JSON object, and its values, which are not parsed.

    An object of any size is read in the memory of one value.  Whether a key occurs twice, and
    whether a value is JSON, is for the one to see who is given them.

    Parameters
    ----------
    data : bytearray
        The text.
    limit : callable
        How many bytes the value of a key may have.

    Raises
    ------
    InputError
        If it is no object, or a value is longer.
    """
    match = _OPEN.match(data)
    if match is None:
        msg = f"it is not a JSON object, it begins with {bytes(data[:10])!r}"
        raise InputError(msg)
    comma = not match[1]
    while comma:
        key = _KEY.match(data, match.end())
        if key is None:
            msg = f"it has no key in quotes and colon at byte {match.end()}"
            raise InputError(msg)
        name = parse_json(key[1])
        end = _value_end(data, key.end(), key.end() + limit(name))
        yield name, bytes(data[key.end() : end])
        match = _NEXT.match(data, end)
        if match is None:
            msg = f"it has no comma or end of an object at byte {end}"
            raise InputError(msg)
        comma = match[1] == b","
    if len(data[match.end() :].strip(b" \t\n\r")):
        msg = f"it goes on after the end of an object at byte {match.end()}"
        raise InputError(msg)


def _value_end(data: bytearray, start: int, stop: int) -> int:
    """Return where a value ends, if it is one that ends before `stop`."""
    if bytes(data[start : start + 1]) not in (b"{", b"["):
        match = _SCALAR.match(data, start, stop)
        if match is not None and match.end() < stop:
            return match.end()
    else:
        depth = 0
        for mark in _MARK.finditer(data, start, stop):
            depth += _STEPS.get(mark[0], 0)
            if depth == 0:
                return mark.end()
            if depth > MAX_NESTING:
                msg = f"it is nested too deeply, more than {MAX_NESTING} levels"
                raise InputError(msg)
    msg = f"it has no value at byte {start}, or none that ends within {stop - start} bytes"
    raise InputError(msg)


def _check_count(data: bytes | str) -> None:
    """Refuse a text that becomes far more than it is: what separates values is counted."""
    if VALUE_BYTES * len(data) <= ALLOWED_BYTES:
        return
    marks: tuple[Any, ...] = (",", "[", "{") if isinstance(data, str) else (b",", b"[", b"{")
    count = sum(data.count(mark) for mark in marks)
    if VALUE_BYTES * count > 3 * len(data) + ALLOWED_BYTES:
        msg = f"it holds {count} values or more in {len(data)} bytes, which is too many"
        raise InputError(msg)


def _depth_exceeds(value: object, limit: int) -> bool:
    """Whether containers stand in each other more than so many deep."""
    level = [value]
    for _ in range(limit + 1):
        inner = [part for part in level if isinstance(part, dict | list)]
        if not inner:
            return False
        level = []
        for part in inner:
            level.extend(part.values() if isinstance(part, dict) else part)
    return True


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a dict, unless a key is repeated: readers would disagree about which one counts."""
    result = dict(pairs)
    if len(result) < len(pairs):
        repeated = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        msg = f"the key {shown(repeated, 60)} occurs twice"
        raise ValueError(msg)
    return result


def _no_constant(text: str) -> Never:
    msg = f"{text} is not JSON"
    raise ValueError(msg)


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        msg = f"an integer of {len(text)} digits is too long"
        raise ValueError(msg)
    return int(text)


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        msg = f"the number {shown(text, 40)} is beyond float64"
        raise ValueError(msg)
    return found


_HOOKS: Mapping[str, Any] = {
    "object_pairs_hook": _distinct,
    "parse_int": _integer,
    "parse_float": _finite,
}
_STRICT = json.JSONDecoder(parse_constant=_no_constant, **_HOOKS)
_LENIENT = json.JSONDecoder(**_HOOKS)


# Records.


def entries(
    what: str, record: object, checks: Mapping[str, Check], optional: Collection[str] = ()
) -> dict[str, Any]:
    """
    Return the values of a record, each as its check returns it.

    Parameters
    ----------
    what : str
        What the record is, for messages.
    record : object
        It must be a mapping with an entry for each check, and no others.
    checks : mapping of str to Check
        What each entry must be.
    optional : collection of str, optional
        Entries that may be missing.

    Raises
    ------
    InputError
        If it is no such record; the entry is named, what it must be, and what it was.
    """
    if not isinstance(record, Mapping):
        msg = f"{what} must be a mapping, as to_dict() makes it, got {_named(record)}"
        raise InputError(msg)
    if unknown := [name for name in record if name not in checks]:
        near = difflib.get_close_matches(str(unknown[0])[:80], checks, n=1, cutoff=0.7)
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
    """
    Return a data class's arguments from a record of them, each checked by its annotation.

    Parameters
    ----------
    what : str
        What the record is, for messages.
    kind : type
        The data class; a field that has a default may be missing.
    record : object
        The record.
    **own : Check
        The checks of fields that are not plain ones.
    """
    named = fields(kind)
    checks = {one.name: own.get(one.name) or _PLAIN.get(str(one.type), as_it_is) for one in named}
    has_default = [one.name for one in named if not one.default is one.default_factory is MISSING]
    return entries(what, record, checks, has_default)


def as_it_is(what: str, value: object) -> Any:  # noqa: ANN401, ARG001 - a check's form
    """Return a value that whoever is given it checks."""
    return value


def text(what: str, value: object) -> str:
    """Return text."""
    if not isinstance(value, str):
        _refuse(what, "text", value)
    return value


def flag(what: str, value: object) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        _refuse(what, "true or false", value)
    return value


def mapping(what: str, value: object) -> Mapping[str, Any]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        _refuse(what, "a mapping", value)
    return value


def number(what: str, value: object) -> int | float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        _refuse(what, "a finite number", value)
    return value


def whole(low: int, high: int) -> Check:
    """Return the check of an integer from `low` to `high`."""

    def check(what: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            _refuse(what, f"an integer from {low} to {high}", value)
        return value

    return check


def maybe(inner: Check) -> Check:
    """Return the check of None, or of what another one takes."""
    return lambda what, value: None if value is None else inner(what, value)


def listed(*inner: Check) -> Check:
    """Return the check of a list: of each element, or if there are several, one after another."""

    def check(what: str, value: object) -> tuple[Any, ...]:
        wanted = "a list" if len(inner) == 1 else f"a list of {len(inner)}"
        if not isinstance(value, list | tuple) or len(inner) not in (1, len(value)):
            _refuse(what, wanted, value)
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


def _named(value: object) -> str:
    return f"{type(value).__name__} {brief(value)}"


def _refuse(what: str, wanted: str, value: object) -> Never:
    msg = f"{what} must be {wanted}, got {_named(value)}"
    raise InputError(msg)

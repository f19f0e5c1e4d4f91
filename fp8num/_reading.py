"""
Reading what somebody else wrote: files and JSON.

::

    path --open_file--> a regular file, never a pipe       whatever is wrong with it is
    bytes --parse_json--> dict, list, text, numbers        one InputError in one line
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fp8num._text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Never

__all__ = [
    "InputError",
    "check_regular",
    "json_members",
    "open_file",
    "parse_json",
    "without_waiting",
]

#: Levels of lists and objects; the deepest that is written here, a training's state, has 20.
MAX_NESTING = 100
#: Digits of an integer, as Python has it, where nobody changed that.
MAX_DIGITS = 4300
#: What a parsed value may take, an empty object with its place in a list, and what all
#: values may take beyond three times their text.
VALUE_BYTES, ALLOWED_BYTES = 128, 150_000_000


class InputError(ValueError):
    """A file cannot be read as what it should be; the message is one line and says why."""


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
    """Open a regular file for reading, and yield it with its size."""
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
    """Parse JSON as its standard has it: UTF-8, no key twice, no number that is none."""
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

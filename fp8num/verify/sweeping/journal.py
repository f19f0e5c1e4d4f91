"""
A file of finished work that survives a kill at any moment and is resumed from.

::

    {"check":"..","data":{"config":{..},"journal":"fp8num sweep","version":1}}
    {"check":"..","data":{"chunk":0,"result":{..}}}
    {"check":"..","data":{"chunk":2,"result":{..}}}
    {"check":"..","data":{"chu                           killed here: dropped, done again

A line is written at once and is on the disk before the next chunk is counted as done, so
that only the last line can be torn.  Damage anywhere else is not a kill, and is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn

from fp8num._reading import InputError, check_regular, parse_json
from fp8num._records import entries, mapping, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["VERSION", "Journal"]

#: Changes when the meaning of a line does.
VERSION = 1

_KIND = "fp8num sweep"
_WANTED = "a journal, or one that does not exist yet"
#: Bytes of a line: a result has a few hundred, and a sentence of a fault.
LONGEST = 1 << 20
#: Settings that are named if work is other work.
SHOWN = 8

# A lock of a file belongs to a process: sweeps in one process are told apart here.
_open: set[tuple[int, int]] = set()
_open_lock = Lock()


class Journal:
    """
    The finished chunks of a piece of work, on disk.

    Used as a context manager; opening it reads what is there, and locks it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: Mapping[str, Any],
        read: Callable[[int, dict[str, Any]], Any] = lambda _, result: result,
    ) -> None:
        self.path = os.fspath(path)
        self.records: dict[int, Any] = {}
        self._result = read
        self._file = self._open()
        try:
            self._key = self._lock()
            try:
                self._read({"journal": _KIND, "version": VERSION, "config": dict(config)})
            except BaseException:
                self._unlock()
                raise
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, chunk: int, result: Mapping[str, Any]) -> None:
        """Write the result of a chunk; it is on the disk when this returns."""
        self._write(_line({"chunk": chunk, "result": dict(result)}))

    def close(self) -> None:
        """Let others use the file."""
        if self._file >= 0:
            self._unlock()
            os.close(self._file)
            self._file = -1

    def _open(self) -> int:
        try:
            with suppress(FileNotFoundError):
                check_regular(os.stat(self.path), f"journal {self.path!r}", _WANTED)  # noqa: PTH116 - as opened
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
            return os.open(self.path, flags, 0o666)
        except OSError as error:
            msg = (
                f"journal {self.path!r} cannot be opened: {error.strerror}; "
                "name a file that can be written, in a folder that exists"
            )
            raise ValueError(msg) from error

    def _lock(self) -> tuple[int, int]:
        try:
            import fcntl
        except ImportError as error:
            msg = "journal needs the file locks of POSIX, which this system lacks; leave it out"
            raise ValueError(msg) from error
        status = os.fstat(self._file)
        key = (status.st_dev, status.st_ino)
        msg = (
            f"journal {self.path!r} is in use by another sweep; "
            "wait for that to end, or name another file"
        )
        with _open_lock:
            if key in _open:
                raise ValueError(msg)
            try:
                # Not flock: worker processes that outlive a kill would go on holding it.
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(msg) from error
            _open.add(key)
        return key

    def _unlock(self) -> None:
        """Forget the file; closing it gives up the lock."""
        with _open_lock:
            _open.discard(self._key)

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)

    # Reading what is there.

    def _read(self, header: Mapping[str, Any]) -> None:
        expected = _line(header)
        check_regular(os.fstat(self._file), f"journal {self.path!r}", _WANTED)
        content = _read_all(self._file)
        if expected.startswith(content):  # new, or killed while the header was written
            os.ftruncate(self._file, 0)
            self._write(expected)
            return
        end = content.find(b"\n")
        if content[: end + 1] != expected:
            first = content[:end] if end >= 0 else content
            self._refuse_header(bytes(first[:LONGEST]), json.loads(json.dumps(header)))
        good, number = end + 1, 1
        while (end := content.find(b"\n", good)) >= 0:
            number += 1
            data = _data(bytes(content[good:end])) if end - good <= LONGEST else None
            if data is None:
                if end + 1 == len(content):
                    break
                self._refuse(number, "is damaged")
            self._add(number, data)
            good = end + 1
        if good != len(content):
            os.ftruncate(self._file, good)
            os.fsync(self._file)

    def _add(self, number: int, data: Any) -> None:  # noqa: ANN401 - whatever the line holds
        try:
            found = entries(f"line {number}", data, {"chunk": whole(0, 1 << 64), "result": mapping})
        except InputError as error:
            self._refuse(number, f"is no result of a chunk ({error})")
        chunk = found["chunk"]
        try:
            result = self._result(chunk, found["result"])
        except ValueError as error:
            msg = (
                f"journal {self.path!r} has a result for chunk {chunk} that no such sweep gives "
                f"({error}); delete the file to begin again"
            )
            raise ValueError(msg) from error
        if self.records.setdefault(chunk, result) != result:
            self._refuse(number, f"has another result for chunk {chunk} than a line before it")

    def _refuse(self, number: int, what: str) -> NoReturn:
        msg = (
            f"journal {self.path!r}: line {number} {what}; delete that line and those after it "
            "to do their chunks again, or delete the file to begin again"
        )
        raise ValueError(msg)

    def _refuse_header(self, line: bytes, expected: Mapping[str, Any]) -> None:
        match _data(line):
            case {"journal": str(kind), "version": version, "config": dict(config)}:
                pass
            case _:
                msg = (
                    f"journal {self.path!r} is no journal of a sweep, or its first line is "
                    "damaged; name another file, or delete it to begin again"
                )
                raise ValueError(msg)
        if (kind, version) != (_KIND, VERSION):
            msg = (
                f"journal {self.path!r} must be one of {_KIND!r}, version {VERSION}, got "
                f"{kind!r:.40}, version {version!r:.40}; name another file, or delete it to begin "
                "again"
            )
            raise ValueError(msg)
        ours = expected["config"]
        keys = [key for key in {**ours, **config} if ours.get(key) != config.get(key)]
        differing = "; ".join(
            f"{key:.60} {_brief(config.get(key))} and not {_brief(ours.get(key))}"
            for key in keys[:SHOWN]
        )
        msg = (
            f"journal {self.path!r} belongs to another sweep, with {differing}; "
            "repeat the arguments it was begun with, or name another file"
        )
        raise ValueError(msg)


def _line(data: Mapping[str, Any]) -> bytes:
    """Write a line: the data, and a check of it."""
    return f'{{"check":"{_check(data)}","data":{_text(data)}}}\n'.encode()


def _text(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _check(data: object) -> str:
    return hashlib.sha256(_text(data).encode()).hexdigest()[:16]


def _data(line: bytes) -> Any:  # noqa: ANN401 - whatever the line holds
    """Return the data of a line, None if it is not whole."""
    try:
        match parse_json(line):
            case {"check": str(check), "data": data} if check == _check(data):
                return data
    except ValueError:  # no text, no JSON, or a NaN in it
        pass
    return None


def _read_all(file: int) -> bytearray:
    """Read a file by its descriptor: closing any other one of it would give up the lock."""
    content = bytearray()
    while piece := os.pread(file, 1 << 24, len(content)):
        content += piece
    return content


def _brief(value: object) -> str:
    text = _text(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

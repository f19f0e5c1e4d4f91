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
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["VERSION", "Journal"]

#: Changes when the meaning of a line does.
VERSION = 1

_KIND = "fp8num sweep"

# A lock of a file belongs to a process: sweeps in one process are told apart here.
_open: set[tuple[int, int]] = set()
_open_lock = Lock()


class Journal:
    """
    The finished chunks of a piece of work, on disk.

    Used as a context manager; opening it reads what is there, and locks it.

    Parameters
    ----------
    path : str or path-like
        The file; made if it does not exist.
    config : Mapping
        What the work is, in values that JSON can hold; a file that was begun with anything
        else is refused.

    Attributes
    ----------
    records : dict of int to dict
        The results that were found in the file, by chunk.

    Raises
    ------
    ValueError
        If the file cannot be opened, is in use, belongs to other work, or is damaged.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> path = Path(folder.name, "sweep.jsonl")
    >>> with Journal(path, {"seed": 0}) as journal:
    ...     journal.append(3, {"cases": 256})
    >>> with Journal(path, {"seed": 0}) as journal:
    ...     journal.records
    {3: {'cases': 256}}
    >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str], config: Mapping[str, Any]) -> None:
        self.path = os.fspath(path)
        self.records: dict[int, dict[str, Any]] = {}
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
        """
        Write the result of a chunk; it is on the disk when this returns.

        Parameters
        ----------
        chunk : int
            Which chunk it is.
        result : Mapping
            Values that JSON can hold.
        """
        self._write(_line({"chunk": chunk, "result": dict(result)}))

    def close(self) -> None:
        """Let others use the file."""
        if self._file >= 0:
            self._unlock()
            os.close(self._file)
            self._file = -1

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
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
        content = _read_all(self._file)
        if expected.startswith(content):  # new, or killed while the header was written
            os.ftruncate(self._file, 0)
            self._write(expected)
            return
        first, _, rest = content.partition(b"\n")
        if first + b"\n" != expected:
            self._refuse_header(first, json.loads(json.dumps(header)))
        good = len(first) + 1
        lines = rest.split(b"\n")
        torn = lines.pop()
        for number, line in enumerate(lines, 2):
            data = _data(line)
            if data is None:
                if number == len(lines) + 1 and not torn:
                    break
                self._refuse(number, "is damaged")
            self._add(number, data)
            good += len(line) + 1
        if good != len(content):
            os.ftruncate(self._file, good)
            os.fsync(self._file)

    def _add(self, number: int, data: Any) -> None:  # noqa: ANN401 - whatever the line holds
        match data:
            case {"chunk": int(chunk), "result": dict(result)} if len(data) == 2:
                pass
            case _:
                self._refuse(number, "is no result of a chunk")
        if self.records.setdefault(chunk, result) != result:
            self._refuse(number, f"has another result for chunk {chunk} than a line before it")

    def _refuse(self, number: int, what: str) -> None:
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
                f"{kind!r}, version {version}; name another file, or delete it to begin again"
            )
            raise ValueError(msg)
        ours = expected["config"]
        keys = [key for key in {**ours, **config} if ours.get(key) != config.get(key)]
        differing = "; ".join(
            f"{key} {_brief(config.get(key))} and not {_brief(ours.get(key))}" for key in keys
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
        match json.loads(line):
            case {"check": str(check), "data": data} if check == _check(data):
                return data
    except (ValueError, RecursionError):  # no text, no JSON, or a NaN in it
        pass
    return None


def _read_all(file: int) -> bytes:
    """Read a file by its descriptor: closing any other one of it would give up the lock."""
    pieces, place = [], 0
    while piece := os.pread(file, 1 << 24, place):
        pieces.append(piece)
        place += len(piece)
    return b"".join(pieces)


def _brief(value: object) -> str:
    text = _text(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

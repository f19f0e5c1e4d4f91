"""
The standard streams of a command: output that is written whole, or whose loss is known.

::

    print --> text --> buffer --> descriptor 1      short writes are gone on with, a full pipe
                                                    waited for; the first error is kept
    messages -----> text -----> descriptor 2        an error is nobody's: there is no other place

Python's own streams lose what a short write leaves if they are unbuffered
(``PYTHONUNBUFFERED``), and are None where a descriptor is closed.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["Streams"]

SIZE = 1 << 16  #: bytes of a buffer


class _Descriptor(io.RawIOBase):
    """A standard stream; it waits where it must, and keeps its first error."""

    def __init__(self, file: int, *, strict: bool = True) -> None:
        self._file = file
        self._strict = strict
        self.error: OSError | None = None

    def readable(self) -> bool:
        return self._file == 0

    def writable(self) -> bool:
        return self._file != 0

    def fileno(self) -> int:
        return self._file

    def isatty(self) -> bool:
        return os.isatty(self._file)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        place = memoryview(buffer).cast("B")
        while True:
            try:
                data = os.read(self._file, len(place))
            except BlockingIOError:  # a pipe that does not wait by itself
                _wait([self._file], [])
            else:
                place[: len(data)] = data
                return len(data)

    def write(self, data: ReadableBuffer, /) -> int:
        while self.error is None:
            try:
                return os.write(self._file, data)
            except BlockingIOError:
                _wait([], [self._file])
            except OSError as error:
                self.error = error
                if self._strict:
                    raise
        return memoryview(data).nbytes  # the error was told of; what follows has nowhere to go


def _wait(reading: list[int], writing: list[int]) -> None:
    import select

    select.select(reading, writing, [])


class Streams:
    """
    The standard streams while a command runs, as a context manager.

    Those that are Python's own are replaced; what a test or a notebook has put in their
    place is used as it is.
    """

    def __init__(self) -> None:
        self._output: _Descriptor | None = None
        self._closed: OSError | None = None

    @property
    def error(self) -> OSError | None:
        """Why not all of the output was written; None if it was."""
        return self._closed if self._output is None else self._output.error

    def give_up(self) -> None:
        """Drop the output that is still to be written: its reader may have stopped too."""
        if self._output is not None:
            self._output.error = InterruptedError(errno.EINTR, os.strerror(errno.EINTR))

    def __enter__(self) -> Self:
        self._before = sys.stdin, sys.stdout, sys.stderr
        _take_closed_places()
        if sys.stderr is None:
            sys.stderr = io.TextIOWrapper(io.BufferedWriter(_Descriptor(2, strict=False)))
        elif raw := _own(sys.stderr, sys.__stderr__, strict=False):
            sys.stderr = _text(sys.stderr, io.BufferedWriter(raw, SIZE))
        if sys.stdout is None:
            self._closed = OSError(errno.EBADF, os.strerror(errno.EBADF))
        elif raw := _own(sys.stdout, sys.__stdout__):
            self._output = raw
            sys.stdout = _text(sys.stdout, io.BufferedWriter(raw, SIZE))
        elif hasattr(sys.stdout, "reconfigure"):  # a name may hold what it cannot show
            sys.stdout.reconfigure(errors="backslashreplace")
        if raw := _own(sys.stdin, sys.__stdin__):
            sys.stdin = _text(sys.stdin, io.BufferedReader(raw, SIZE))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, AttributeError):  # it was kept; None has nothing to write
                stream.flush()
        sys.stdin, sys.stdout, sys.stderr = self._before


def _take_closed_places() -> None:
    """Open what is closed: else the next file that is opened would be a standard stream."""
    for file, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDWR)):
        try:
            os.fstat(file)
        except OSError:  # open returns the lowest that is free; reading from 0 goes on failing
            os.open(os.devnull, mode)


def _own(stream: TextIO | None, original: object, *, strict: bool = True) -> _Descriptor | None:
    """Return what to put below a stream of Python's own; None if it is another, or a console."""
    buffer = getattr(stream, "buffer", None)
    if stream is None or stream is not original:
        return None
    if not isinstance(getattr(buffer, "raw", buffer), io.FileIO):
        return None
    if stream.writable():
        with suppress(OSError):
            stream.flush()
    return _Descriptor(stream.fileno(), strict=strict)


def _text(stream: TextIO, buffer: io.BufferedWriter | io.BufferedReader) -> TextIO:
    """Return a stream of text like another one, above another buffer."""
    at_once = getattr(stream, "line_buffering", False) or getattr(stream, "write_through", False)
    # A name may hold what a terminal cannot show.
    errors = stream.errors if buffer.readable() else "backslashreplace"
    return io.TextIOWrapper(buffer, encoding=stream.encoding, errors=errors, line_buffering=at_once)

"""Files on disk: looked at once, then read in passes that notice if they changed.

::

    path --StoredFile.inspect--> StoredFile --stream--> bytes --read_blocks--> arrays
          a regular file,                   still the      native order, of
          not empty                         same file?     bounded size

Plain reads and not mmap: a mapping of a file that shrinks ends the process with
SIGBUS, and its pages count against the memory limit of a container.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fp8num._archives import fill
from fp8num._reading import check_regular, without_waiting
from fp8num._text import shown
from fp8num.inputs.source import ITEM_SIZES, InputError, Opened, StoredTensor

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from fp8num._archives import Readable

__all__ = [
    "RangeReader",
    "StoredFile",
    "element_type",
    "read_blocks",
]

COARSE = 5  #: Linux's CLOCK_REALTIME_COARSE, for which Python has no name


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A regular file as it was when it was opened; reading it later checks that it still is."""

    file: str  #: path as given, for messages
    path: str  #: absolute, so that a change of directory does not matter
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def inspect(cls, path: str | os.PathLike[str]) -> StoredFile:
        """Look at the file's directory entry; refuse what is not a regular file with content."""
        file = os.fsdecode(path)
        try:
            status = Path(file).stat()
        except FileNotFoundError:
            msg = f"{shown(file)} does not exist; check the path"
            raise InputError(msg) from None
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            raise InputError(_unreadable(file, error)) from None
        check_regular(status, shown(file), "a file of tensors")
        if status.st_size == 0:
            msg = f"{shown(file)} is empty (0 bytes); save or download it again"
            raise InputError(msg)
        return cls(
            file=file,
            path=os.path.abspath(file),  # noqa: PTH100 - resolve() would follow links
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
        )

    @contextmanager
    def stream(self, *, elements: bool = False) -> Iterator[io.FileIO]:
        """
        Open the file for one pass, which fails if it is, or becomes, another file.

        A pass over elements that ends saw one version: a write into the file after the
        pass has begun gives it another time, and is noticed when all has been read.  Not
        noticed is a writer that sets the old time again, or that writes through a mapping,
        whose time changes later.
        """
        try:
            with open(self.path, "rb", buffering=0, opener=without_waiting) as stream:
                if elements:
                    _let_the_clock_go_on(self.mtime_ns)
                self._check(stream)
                yield stream
                self._check(stream)
        except OSError as error:
            raise InputError(_unreadable(self.file, error)) from error

    def _check(self, stream: io.FileIO) -> None:
        """Compare the file that is open with the one that was inspected."""
        status = os.fstat(stream.fileno())
        found = status.st_size, status.st_mtime_ns, status.st_ino
        if found != (self.size, self.mtime_ns, self.inode):
            sizes = f"it had {self.size} bytes, it has {status.st_size}"
            msg = (
                f"{shown(self.file)} was changed after it was opened "
                f"({sizes if self.size != status.st_size else 'it was written to, or replaced'}); "
                "open it again when it is complete"
            )
            raise InputError(msg)

    def opened(
        self,
        tensors: list[StoredTensor],
        skipped: list[tuple[str, str]],
    ) -> Opened:
        """Return what was found, if any of it is a floating-point tensor."""
        if not tensors:
            few = "; ".join(f"{shown(name, 60)}: {reason}" for name, reason in skipped[:3])
            more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
            found = f"skipped {few}{more}" if skipped else "it lists no tensors at all"
            msg = (
                f"{shown(self.file)} holds no floating-point tensors ({found}); "
                "give a file with float tensors"
            )
            raise InputError(msg)
        return Opened(tensors=tuple(tensors), skipped=tuple(skipped))


def _let_the_clock_go_on(mtime_ns: int) -> None:
    """Wait until a write would give a file another time: for some milliseconds, if it is new."""
    if sys.platform != "linux":  # whose file times are those of the last tick
        return
    for _ in range(16):  # a tick has 10 ms at most; a time in the future is not waited for
        if time.clock_gettime_ns(COARSE) > mtime_ns:
            return
        time.sleep(0.001)


def _unreadable(file: str, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"{shown(file)} cannot be read ({reason}); check the path and its permissions"


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeReader:
    """Blocks of a tensor whose elements are consecutive bytes of a file."""

    stored: StoredFile
    name: str | None = None  #: of the tensor in the file
    offset: int
    count: int
    dtype: str
    byteorder: str = "little"

    @property
    def where(self) -> str:
        """The file and the tensor, for messages."""
        file = shown(self.stored.file)
        return file if self.name is None else f"{file}, tensor {shown(self.name)},"

    def __call__(self, size: int) -> Iterator[npt.NDArray[np.generic]]:
        """Read the elements, at most `size` at a time."""
        with self.stored.stream(elements=True) as stream:
            stream.seek(self.offset)
            yield from read_blocks(
                stream, size, self.count, self.dtype, self.byteorder, where=self.where
            )


def read_blocks(
    stream: Readable, size: int, count: int, dtype: str, byteorder: str, *, where: str
) -> Iterator[npt.NDArray[np.generic]]:
    """Read `count` elements of a type from where the stream stands, `size` at a time."""
    itemsize = ITEM_SIZES[dtype]
    for start in range(0, count, size):
        # Each block has memory of its own, so that it may be kept: a reused
        # buffer would be a trap, and would save nothing against the copy.
        raw = np.empty(min(size, count - start) * itemsize, np.uint8)
        got = fill(stream, raw.data)
        if got < raw.size:
            msg = (
                f"{where} ended after {start * itemsize + got} of {count * itemsize} bytes of "
                "elements; the file is truncated, save or download it again"
            )
            raise InputError(msg)
        words = raw.view(f"u{itemsize}")
        if byteorder != sys.byteorder:
            words.byteswap(inplace=True)  # as integers: a float may lose the quiet bit of a NaN
        yield words.view(element_type(dtype))


def element_type(dtype: str) -> np.dtype[np.generic]:
    """Return the NumPy type in which elements of a stored type are handed out."""
    if dtype == "BF16":
        import ml_dtypes  # only a file with bfloat16 needs it

        bfloat16: np.dtype[np.generic] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype({"F64": "f8", "F32": "f4", "F16": "f2"}.get(dtype, "u1"))

"""
Files that appear whole or not at all, and never in the place of somebody else's.

::

    bytes --whole_file--> .<random>.new, new and ours alone --rename--> the file
                                                 (fails: gone)

A name that cannot be foreseen, and O_EXCL: nobody can have put a link in its place.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fp8num._text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["create", "locked", "require_own", "temporary", "whole_file"]


@contextmanager
def whole_file(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[IO[bytes]]:
    """Offer a file to be written that takes its place when that is done, or is gone."""
    target = Path(os.path.realpath(os.fsdecode(path)))
    if not target.parent.is_dir():
        msg = f"path must lie in a folder that exists, got {shown(str(target))}; make it first"
        raise FileNotFoundError(msg)
    _require_replaceable(target)
    new = temporary(target.parent)
    try:
        with create(new, target) as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(new, target)  # noqa: PTH105 - the one call tests make fail
    finally:
        with suppress(OSError):  # what went wrong before matters more
            new.unlink(missing_ok=True)


def temporary(folder: Path, end: str = "new") -> Path:
    """Return a name in a folder that nobody can foresee."""
    return folder / f".{secrets.token_hex(8)}.{end}"


def create(new: Path, target: Path) -> IO[bytes]:
    """Create a file that is not there yet, with the permissions of any; complain of `target`."""
    try:
        return new.open("xb")  # not by tempfile, whose files only the owner may read
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def _require_replaceable(target: Path) -> None:
    """Refuse what a rename would destroy although nobody could write to it."""
    if not target.exists():
        return
    if not stat.S_ISREG(target.stat().st_mode):
        what = "a folder" if target.is_dir() else "no regular file"
        msg = f"path must be a file, {shown(str(target))} is {what}; name another file"
        raise OSError(msg)
    if not os.access(target, os.W_OK):
        msg = f"path must be a file that you may write, got {shown(str(target))}; name another"
        raise PermissionError(msg)


def require_own(path: Path, what: str, known: Callable[[Path], bool], *, force: bool) -> None:
    """Refuse to replace a file that the package has not written."""
    if not path.exists():
        return
    regular = path.is_file()
    if regular and (force or not path.stat().st_size):  # an empty file is nobody's work
        return
    try:
        if regular and known(path):
            return
    except (OSError, ValueError):
        pass
    advice = "name another, or overwrite it with force (--force)" if regular else "name another"
    msg = f"{shown(str(path))} exists and is not {what}; {advice}"
    raise ValueError(msg)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one writer at a time into a folder: of this process, or of another of the machine."""
    try:
        import fcntl
    except ImportError:  # not POSIX
        yield
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)  # a process forked meanwhile would go on holding it
        os.close(file)

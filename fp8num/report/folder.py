"""Writing files that belong together: all of them whole, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fp8num._files import create, temporary
from fp8num._text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["output_folder", "write_together"]


@contextmanager
def output_folder(folder: Path, names: tuple[str, ...]) -> Iterator[None]:
    """Make sure before any work that files can be written to a folder."""
    if folder.exists() and not folder.is_dir():
        msg = f"output must be a directory, {shown(str(folder))} is a file; name another directory"
        raise ValueError(msg)
    for name in names:
        if (folder / name).exists() and not (folder / name).is_file():
            what = "a directory" if (folder / name).is_dir() else "no regular file"
            msg = (
                f"output cannot be written: {shown(str(folder / name))} is {what}; "
                "name another output directory"
            )
            raise ValueError(msg)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder):  # fails now rather than after hours of work
            pass
        yield
    except BaseException:
        for path in made:
            try:
                path.rmdir()
            except OSError:  # somebody else has put something there
                break
        raise


def write_together(folder: Path, texts: Mapping[str, str], remove: Iterable[str] = ()) -> None:
    """
    Write files to a folder: if any of them cannot be written, the old ones stay.

    Whoever writes several files to a folder locks it, or two writers' files could mix.
    """
    new = {name: temporary(folder) for name in texts}
    gone = [name for name in remove if (folder / name).exists()]
    there = [*(name for name in texts if (folder / name).exists()), *gone]
    old = {name: temporary(folder, "old") for name in there}
    replaced: list[str] = []
    try:
        for name, text in texts.items():
            with create(new[name], folder / name) as stream:
                # A lone surrogate, which a name may hold, is no character: write its escape.
                stream.write(text.encode("utf-8", "backslashreplace"))
        for name, path in old.items():
            with create(path, folder / name) as copy, (folder / name).open("rb") as stream:
                shutil.copyfileobj(stream, copy)
        for name, path in new.items():
            os.replace(path, folder / name)  # noqa: PTH105 - the one call tests make fail
            replaced.append(name)
        for name in gone:
            (folder / name).unlink()
            replaced.append(name)
    except BaseException:
        for name in replaced:
            if name in old:
                old[name].replace(folder / name)
            else:
                (folder / name).unlink()
        raise
    finally:
        for path in (*new.values(), *old.values()):
            path.unlink(missing_ok=True)

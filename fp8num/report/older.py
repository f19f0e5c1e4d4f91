"""
An older report in the folder of a new one, known by what its ``report.json`` says.

::

    report.json   {
                  "schema": "fp8num-report",
                  "schema_version": 1,
                  "files": {
                  "report.csv": "<SHA-256>",     of every other file
                  ...
                  },

A file of a report's name that is not in the list, or not what the list says, is
somebody's: it is not replaced.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fp8num._files import require_own
from fp8num.report.folder import output_folder
from fp8num.report.training import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["digests", "older_report", "report_folder", "require_replaceable"]

PAGE, CSV, JSON = "index.html", "report.csv", "report.json"
TRAINING, CURVES = "training.csv", "training-curves.csv"
FRONTIER = "frontier.json"
NAMES = (PAGE, CSV, JSON, TRAINING, CURVES, FRONTIER)  #: of all files that a report may have

#: Bytes of report.json that are looked at: far more than the list takes.
_HEAD = 4096
#: What it begins with; before there was a list, the versions came next.
_BEGIN = re.compile(
    r'\{\n"schema": "fp8num-report",\n"schema_version": \d+,\n'
    r'("files": (?P<files>\{[^{}]*\})|"versions": \{)'
)


@contextmanager
def report_folder(
    folder: Path, *, training: bool, frontier: bool = False, force: bool
) -> Iterator[None]:
    """Make sure before any work that a report can be written to a folder."""
    names = [PAGE, CSV, JSON]
    names += [TRAINING, CURVES] if training else []
    names += [FRONTIER] if frontier else []
    with output_folder(folder, NAMES):
        require_replaceable(folder, names, force=force)
        yield


def require_replaceable(folder: Path, names: Iterable[str], *, force: bool) -> None:
    """Refuse to replace files that are not an older report's, as it was written."""
    ours = older_report(folder)
    for name in names:
        what = "a report's file as it was written"
        require_own(folder / name, what, lambda path: path.name in ours, force=force)


def older_report(folder: Path) -> set[str]:
    """Return which files of a folder are an older report's, as it was written."""
    there = {name for name in NAMES if (folder / name).is_file()}
    if JSON not in there:
        return set()
    with (folder / JSON).open("rb") as file:
        found = _BEGIN.match(file.read(_HEAD).decode("utf-8", "replace"))
    if found is None:
        return set()
    if found["files"] is None:  # of a report without a list, tables are known by their heads
        return {JSON} | {name for name in there - {JSON} if _is_table(folder / name)}
    try:
        listed = json.loads(found["files"])
    except ValueError:
        return set()
    return {JSON} | {
        name for name in there & listed.keys() if listed[name] == _sha256(folder / name)
    }


def digests(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the list of files for ``report.json``."""
    return {
        name: hashlib.sha256(texts[name].encode("utf-8", "backslashreplace")).hexdigest()
        for name in sorted(texts)
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_table(path: Path) -> bool:
    """Whether a file begins as one of a report without a list."""
    head = {
        FRONTIER: b"?",  # came with the list
        PAGE: b"<title>fp8num report: ",
        CSV: _head(("file", "tensor", "dtype", "shape")),
        TRAINING: _head(COLUMNS),
        CURVES: _head(("recipe", "by", "at")),
    }[path.name]
    with path.open("rb") as file:
        found = file.read(_HEAD).find(head)
    return found == 0 or (found > 0 and path.name == PAGE)


def _head(columns: Iterable[str]) -> bytes:
    """Return how the first line of a table begins."""
    return ",".join(f'"{column}"' for column in columns).encode()

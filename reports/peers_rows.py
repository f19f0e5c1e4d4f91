"""Records of what the libraries do, and a file of comma-separated values for each kind."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fp8num.verify.peers import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Output",
    "Row",
    "WitnessRow",
    "differences",
    "merged",
    "read_rows",
    "rows_text",
    "write",
]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A verdict on a library, for one format, source, direction and rule."""

    implementation: str
    version: str
    direction: str
    format: str
    source: str
    own: str  #: whether the rule is the library's own
    rule: str
    cases: int
    mismatches: int
    with_nan_codes: int  #: mismatches if a NaN must have the expected code
    classes: str
    findings: str
    input: str  #: the first that is wrong
    expected: str
    got: str
    line: str  #: what shows this row


@dataclass(frozen=True, kw_only=True)
class WitnessRow:
    """The first input of a class that a library gets wrong by its own rule."""

    implementation: str
    version: str
    format: str
    source: str
    rule: str
    kind: str
    word: str
    input: str
    expected: str
    got: str


@dataclass(frozen=True)
class Output:
    """What a library makes of an input."""

    implementation: str
    version: str
    format: str
    source: str
    input: str
    output: str


R = TypeVar("R", Row, WitnessRow, Output)


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read rows; none if there is no file."""
    if not path.exists():
        return []
    numbers = {field.name for field in fields(kind) if field.type == "int"}
    with path.open(encoding="utf-8", newline="") as stream:
        rows: list[R] = []
        for line in csv.DictReader(stream):
            row: dict[str, Any] = {k: int(v) if k in numbers else v for k, v in line.items()}
            rows.append(kind(**row))
        return rows


def rows_text(rows: Iterable[R], kind: type[R]) -> str:
    """Write rows."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return stream.getvalue()


def merged(old: Iterable[R], new: Iterable[R], names: Iterable[str]) -> list[R]:
    """Put the rows of the libraries named in place of their old ones, in the libraries' order."""
    replaced, order = set(names), list(LIBRARIES)
    rows = [r for r in old if r.implementation in order and r.implementation not in replaced]
    rows += new
    return sorted(rows, key=lambda row: order.index(row.implementation))


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write each file whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".new")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(folder / name)


def differences(texts: Mapping[str, str], folder: Path) -> list[str]:
    """Return the lines that the files do not have, and those that they should not."""
    found = []
    for name, text in texts.items():
        path = folder / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        gone = set(old.splitlines()) - set(text.splitlines())
        come = set(text.splitlines()) - set(old.splitlines())
        found += [f"{name}: -{line}" for line in old.splitlines() if line in gone]
        found += [f"{name}: +{line}" for line in text.splitlines() if line in come]
        if not gone and not come:
            found.append(f"{name}: the order of lines")
    return found

"""
The manifest of a pack of vectors, and the check of a pack against it.

::

    manifest.json   generator, cases; of each file its conversion, domain, size and SHA-256;
                    and a digest of all that
    check_manifest  files as they were written, codes as the exact reference has them
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._arguments import refuse
from fp8num._names import in_a_line
from fp8num._reading import InputError, open_file, parse_json
from fp8num._records import (
    Check,
    as_dict,
    counted,
    entries,
    listed,
    made,
    mapping,
    maybe,
    one_of,
    text,
    whole,
)
from fp8num._text import brief, shown
from fp8num.formats import Format, format_from_dict, get_format
from fp8num.projection import get_projection
from fp8num.verify.cases import CASE_SETS, case_set
from fp8num.verify.hexlines import code_digits
from fp8num.verify.sources import get_source
from fp8num.verify.vectors.conversion import (
    Conversion,
    installed_version,
    vectors_of,
)
from fp8num.verify.vectors.kinds import KINDS, MAX_ROWS, Rows, read_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MANIFEST",
    "Manifest",
    "PackFile",
    "PackVerdict",
    "check_manifest",
    "manifest_text",
    "read_manifest",
]

#: The manifest's name in its folder.
MANIFEST = "manifest.json"
SCHEMA = "fp8num vectors"
SCHEMA_VERSION = 1
#: Bytes of a file's name; systems have no longer ones.
LONGEST_NAME = 255
#: Bytes of a manifest; a file takes about 700.
MOST = 1 << 24
#: Wrong rows that are named of one file.
NAMED = 5


@dataclass(frozen=True, kw_only=True)
class PackFile:
    """A file as the manifest has it."""

    name: str  #: its name
    kind: str  #: what kind of file it is
    size: int  #: its bytes
    sha256: str  #: their SHA-256
    conversion: Conversion  #: what is converted, and how
    cases: int  #: how many cases it holds
    domain: str  #: what they are

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary that JSON can hold."""
        projection = self.conversion.projection
        return {
            "name": self.name,
            "kind": self.kind,
            "bytes": self.size,
            "sha256": self.sha256,
            "format": self.conversion.fmt.to_dict(),
            "source": self.conversion.source.name,
            "rounding": projection.rounding.value,
            "saturation": projection.saturation.value,
            "nan": projection.nan.value,
            "like": self.conversion.like,
            "cases": self.cases,
            "domain": self.domain,
        }


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a manifest says."""

    version: str  #: the version of fp8num that wrote the pack
    case_set: str  #: the set that the inputs are from
    limit: int | None  #: the most cases of each conversion
    seed: int  #: which structured cases were drawn
    entries: tuple[PackFile, ...]  #: the files
    changed: bool = False  #: whether it is not as it was written


def manifest_text(manifest: Manifest) -> str:
    """Write a manifest as JSON, with its digest."""
    record = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "generator": {"name": "fp8num", "version": manifest.version},
        "cases": {"set": manifest.case_set, "limit": manifest.limit, "seed": manifest.seed},
        "files": [entry.to_dict() for entry in manifest.entries],
    }
    return json.dumps(record | {"digest": _digest(record)}, indent=1) + "\n"


def _digest(record: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its digest, however it is laid out."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


# Reading.


def read_manifest(path: Path) -> Manifest:
    """Read a manifest."""
    name = shown(str(path))
    try:
        with open_file(path, name, "a manifest of vectors") as (stream, size):
            data = stream.read(min(size, MOST) + 1)
        if len(data) > MOST:
            msg = f"it has more than {MOST} bytes"
            raise InputError(msg)
        return _manifest(parse_json(data))
    except (TypeError, ValueError) as error:
        msg = f"{name} is no manifest of vectors: {error}"
        raise ValueError(msg) from error


def _manifest(record: object) -> Manifest:
    """Return the record of a manifest; ValueError if it is none."""
    head = mapping("it", record)
    if head.get("schema") != SCHEMA:
        msg = f"its schema is not {SCHEMA!r}"
        raise ValueError(msg)
    if type(found := head.get("schema_version")) is not int or found != SCHEMA_VERSION:
        msg = f"its schema has version {brief(found)}, this fp8num reads version {SCHEMA_VERSION}"
        raise ValueError(msg)
    parts = entries(
        "the manifest",
        head,
        {
            "schema": text,
            "schema_version": whole(SCHEMA_VERSION, SCHEMA_VERSION),
            "generator": partial(entries, checks={"name": text, "version": text}),
            "cases": partial(entries, checks=_CASES),
            "files": listed(_entry),
            "digest": text,
        },
    )
    files, cases = parts["files"], parts["cases"]
    if len({entry.name for entry in files}) < len(files):
        msg = "it lists a file twice"
        raise ValueError(msg)
    return Manifest(
        version=parts["generator"]["version"],
        case_set=cases["set"],
        limit=cases["limit"],
        seed=cases["seed"],
        entries=files,
        changed=parts["digest"] != _digest({k: v for k, v in head.items() if k != "digest"}),
    )


def _entry(what: str, record: object) -> PackFile:
    """Return the record of a file."""
    found = entries(
        what,
        record,
        {
            "name": _plain_name,
            "kind": one_of(KINDS),
            "bytes": whole(0, 1 << 62),
            "sha256": text,
            "format": made(_format),
            "source": made(get_source),
            **dict.fromkeys(("rounding", "saturation", "nan"), text),
            "like": maybe(text),
            "cases": whole(0, MAX_ROWS),
            "domain": text,
        },
    )
    fmt, like = found["format"], found["like"]
    if like is None:
        rounding, saturation = found["rounding"], found["saturation"]
        projection = get_projection(fmt, rounding, saturation, nan=found["nan"])
    else:
        projection = get_projection(fmt, like=like)
    return PackFile(
        name=found["name"],
        kind=found["kind"],
        size=found["bytes"],
        sha256=found["sha256"],
        conversion=Conversion(fmt, found["source"], projection, like),
        cases=found["cases"],
        domain=found["domain"],
    )


def _plain_name(what: str, value: object) -> str:
    """Return the name of a file in the manifest's own folder."""
    name = text(what, value)
    is_plain = "\0" not in name and Path(name).name == name and name not in {"", "..", MANIFEST}
    if not is_plain or len(name.encode(errors="replace")) > LONGEST_NAME:
        refuse(what, "a plain name of a file", name)
    return name


_CASES: dict[str, Check] = {
    "set": one_of(CASE_SETS),
    "limit": maybe(whole(1, 1 << 62)),
    "seed": whole(-(1 << 127), 1 << 127),
}


def _format(record: object) -> Format:
    """Return the format that an entry describes in full."""
    parts = mapping("it", record)
    if "exponent_bits" in parts:
        return format_from_dict(parts)
    found = get_format(text("its name", parts.get("name")))
    if found.to_dict() != parts:
        msg = f"the format {found.name} is defined otherwise here"
        raise ValueError(msg)
    return found


# Checking.


@dataclass(frozen=True, repr=False)
class PackVerdict:
    """
    What a check of a pack found.

    Parameters
    ----------
    manifest : str
        The manifest that was read.
    version : str
        The version that wrote it.
    files : int
        The files it lists.
    cases : int
        The cases whose codes were compared with the definition, in all files.
    problems : tuple of str
        What is wrong, a line each.
    notes : tuple of str
        What was not looked at, and why.
    """

    manifest: str
    version: str
    files: int
    cases: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether cases were checked and nothing is wrong."""
        return bool(self.cases) and not self.problems

    def __bool__(self) -> bool:
        return self.ok

    @property
    def exit_code(self) -> int:
        """What a program should exit with: 0 if `ok`, else 1."""
        return 0 if self.ok else 1

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary that JSON can hold."""
        return {"ok": self.ok} | as_dict(self)

    def __repr__(self) -> str:
        return in_a_line(self)

    def __str__(self) -> str:
        what = f"{counted(self.files, 'file')}, {counted(self.cases, 'case')}"
        if self.ok:
            head = f"{what}: as the manifest says, and every code is that of the definition"
        else:
            found = self.problems or ("nothing was compared",)
            head = "\n".join([f"{what}: {counted(len(found), 'problem')}", *found])
        return "\n".join([head, *self.notes])


def check_manifest(path: Path | str) -> PackVerdict:
    """
    Check a pack: that its files are those that were written, and their codes right.

    Parameters
    ----------
    path : Path or str
        The manifest, or its folder.

    Returns
    -------
    PackVerdict
        What was checked and what is wrong: a file that is missing, one too many, a changed
        byte, other inputs than the domain says, a wrong code and the line it is in.

    Raises
    ------
    ValueError
        If it is no manifest, or one of another schema.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    path = path / MANIFEST if path.is_dir() else path
    manifest = read_manifest(path)
    problems = [f"{path.name}: it was changed"] if manifest.changed else []
    notes, here = [], installed_version()
    if manifest.version != here:
        notes.append(
            f"written by fp8num {manifest.version}, this is {here}: "
            "whether the inputs are those of the domain was not checked"
        )
    cases = 0
    for entry in manifest.entries:
        found, compared = _check(path.parent / entry.name, entry)
        if compared is not None:
            cases += compared.size
            found += [] if notes else _other_inputs(compared, entry, manifest)
        problems += [f"{entry.name}: {problem}" for problem in found]
    listed = {path.name, *(entry.name for entry in manifest.entries)}
    there = sorted(other.name for other in path.parent.iterdir())
    problems += [f"{name}: not in the manifest" for name in there if name not in listed]
    return PackVerdict(
        str(path), manifest.version, len(manifest.entries), cases, tuple(problems), tuple(notes)
    )


def _check(path: Path, entry: PackFile) -> tuple[list[str], npt.NDArray[Any] | None]:
    """Return what is wrong with a file, and the inputs whose codes were compared."""
    if path.is_symlink() or not path.is_file():
        return ["not a regular file" if path.exists() else "missing"], None
    problems = []
    with open_file(path, shown(path.name), "a file of vectors") as (stream, size):
        data = stream.read(size)
    if len(data) != entry.size:
        problems.append(f"it has {len(data)} bytes, the manifest says {entry.size}")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        problems.append("its SHA-256 is not the manifest's: it was changed")
    try:
        rows = read_vectors(data, entry.kind, entry.conversion)
    except ValueError as error:
        return [*problems, str(error)], None
    if rows.words.size != entry.cases:
        problems.append(f"it has {rows.words.size} cases, the manifest says {entry.cases}")
    wrong = _wrong_rows(rows, entry)
    problems += islice(wrong, NAMED)
    more = sum(1 for _ in wrong)
    return problems + [f"and {more} more"] * bool(more), rows.words


def _wrong_rows(rows: Rows, entry: PackFile) -> Iterator[str]:
    """Yield what differs from the definition, and where."""
    right = vectors_of(entry.conversion, rows.words, entry.domain)
    digits = code_digits(entry.conversion.fmt)
    for row in np.flatnonzero(right.codes != rows.codes).tolist():
        yield (
            f"wrong code at {rows.place(row)}: {right.floats[row]} gives "
            f"{int(right.codes[row]):0{digits}x}, the file has {int(rows.codes[row]):0{digits}x}"
        )
    for name, found, expected in (
        ("value", rows.floats, right.floats),
        ("class", rows.class_names, right.class_names),
    ):
        for row, (there, wanted) in enumerate(zip(found or (), expected, strict=False)):
            if there != wanted:
                yield f"wrong {name} at {rows.place(row)}: {wanted!r}, the file has {there!r:.60}"


def _other_inputs(words: npt.NDArray[Any], entry: PackFile, manifest: Manifest) -> list[str]:
    """Return what is wrong with the inputs, which must be those that the domain says."""
    fmt, source = entry.conversion.fmt, entry.conversion.source
    right = case_set(manifest.case_set, fmt, source, limit=manifest.limit, seed=manifest.seed)
    if right.domain != entry.domain:
        return [f"its domain should be {right.domain!r:.80}, it is {entry.domain!r:.80}"]
    return [] if np.array_equal(right.words, words) else ["its inputs are not those of its domain"]

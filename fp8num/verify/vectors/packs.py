"""
Packs of vectors: a folder of files that crosses formats, source types and projections.

::

    conversions x kinds of file -> temporary folder beside -> renamed to its place

A pack is there whole or not at all, and an earlier one is replaced only when the new one
is complete.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fp8num._files import locked, temporary
from fp8num._text import shown
from fp8num.verify.cases import case_set
from fp8num.verify.vectors.conversion import conversions, installed_version, vectors_of
from fp8num.verify.vectors.kinds import KINDS, SUFFIXES, write_vectors
from fp8num.verify.vectors.manifest import (
    MANIFEST,
    Manifest,
    PackFile,
    manifest_text,
    read_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fp8num.formats import Format
    from fp8num.projection import Rounding, Saturation
    from fp8num.verify.cases import CaseSet
    from fp8num.verify.sources import SourceType
    from fp8num.verify.vectors.conversion import Conversion

__all__ = ["write_pack"]


def write_pack(
    folder: Path | str,
    formats: Iterable[Format | str],
    *,
    sources: Iterable[SourceType | str] = ("float32",),
    roundings: Iterable[Rounding | str] = ("NearestTiesToEven",),
    saturations: Iterable[Saturation | str] = ("SatFinite",),
    likes: Iterable[str] = (),
    cases: str = "standard",
    limit: int | None = None,
    seed: int = 0,
    kinds: Sequence[str] = KINDS,
    version: str | None = None,
    force: bool = False,
) -> Path:
    """
    Write a folder of vectors, crossing formats, source types and projections.

    Parameters
    ----------
    folder : Path or str
        Where to.  It must not exist, or be empty, or hold an earlier pack and nothing else.
    formats, sources, roundings, saturations, likes
        What is converted, and how, as for `conversions`.
    cases : str, optional
        The inputs: standard, every, boundaries, specials or structured.
    limit : int, optional
        The most cases of each conversion.
    seed : int, optional
        Which structured cases to draw.
    kinds : sequence of str, optional
        Kinds of file: json, csv, npz, hex, readmemh.
    version : str, optional
        The version that the manifest says made it.  The default is the installed one.
    force : bool, optional
        Whether to write to a folder that holds other files, which stay if none of the pack
        has their name, or files of an earlier pack that were changed.

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    ValueError
        If an argument is wrong, or the folder holds something else.
    OSError
        If it cannot be written; then what was there before is still there.

    Examples
    --------
    >>> import tempfile
    >>> from fp8num.verify.vectors.manifest import check_manifest
    >>> with tempfile.TemporaryDirectory() as home:
    ...     manifest = write_pack(Path(home, "pack"), ["E4M3FN"], cases="specials", kinds=["hex"])
    ...     print(check_manifest(manifest))
    1 file, 14 cases: as the manifest says, and every code is that of the definition
    """
    folder = Path(folder)
    asked = conversions(
        formats, sources=sources, roundings=roundings, saturations=saturations, likes=likes
    )
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or not kinds or len({*kinds}) < len(kinds):
        msg = f"kinds must be of {', '.join(KINDS)}, each once, got {', '.join(kinds) or 'none'}"
        raise ValueError(msg)
    # Made before anything is written: a wrong name, or too large a set, ends here.
    inputs = {
        conversion.name: case_set(cases, conversion.fmt, conversion.source, limit=limit, seed=seed)
        for conversion in asked
    }
    version = version or installed_version()
    _require_replaceable(folder, force=force)
    with _Replacement(folder, force=force) as new:
        entries = [
            entry
            for conversion in asked
            for entry in _write(new, conversion, inputs[conversion.name], kinds, version)
        ]
        manifest = Manifest(
            version=version, case_set=cases, limit=limit, seed=seed, entries=tuple(entries)
        )
        (new / MANIFEST).write_bytes(manifest_text(manifest).encode("ascii"))
    return folder / MANIFEST


def _write(
    folder: Path, conversion: Conversion, inputs: CaseSet, kinds: Sequence[str], version: str
) -> Iterator[PackFile]:
    """Write the files of a conversion and yield their entries in the manifest."""
    made = vectors_of(conversion, inputs.words, inputs.domain)
    for kind in kinds:
        data = write_vectors(made, kind, version)
        name = conversion.name + SUFFIXES[kind]
        (folder / name).write_bytes(data)
        yield PackFile(
            name=name,
            kind=kind,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            conversion=conversion,
            cases=made.words.size,
            domain=made.domain,
        )


def _require_replaceable(folder: Path, *, force: bool) -> set[str]:
    """Refuse a folder that holds anything besides an earlier pack, or return the names of that."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        msg = f"output must be a folder, {shown(str(folder))} is a file; name another"
        raise ValueError(msg)
    there = {path.name for path in folder.iterdir()}
    if not there:
        return set()
    try:
        entries = read_manifest(folder / MANIFEST).entries
        ours = {MANIFEST, *(entry.name for entry in entries)}
    except (OSError, ValueError):
        entries, ours = (), set()
    changed = {entry.name for entry in entries if not _is_whole(folder / entry.name, entry)}
    if force:
        return there - ours
    if more := sorted(there - ours):
        msg = (
            f"output must be a new or empty folder, or hold an earlier pack alone, "
            f"{shown(str(folder))} holds {shown(more[0])}; name another, or add to it with force "
            "(--force)"
        )
        raise ValueError(msg)
    if wrong := sorted(there & changed):
        msg = (
            f"output {shown(str(folder))} holds an earlier pack, of which {wrong[0]} was changed; "
            "name another, or replace it with force (--force)"
        )
        raise ValueError(msg)
    return set()


def _is_whole(path: Path, entry: PackFile) -> bool:
    """Whether a file is what a manifest says of it."""
    if not path.is_file() or path.is_symlink() or path.stat().st_size != entry.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


class _Replacement:
    """A folder that is made beside another and takes its place, if nothing goes wrong."""

    def __init__(self, folder: Path, *, force: bool) -> None:
        self.folder = folder.resolve()  # a link stays, and the folder that it names is replaced
        self.force = force
        self.new = temporary(self.folder.parent)
        self.old = temporary(self.folder.parent, "old")

    def __enter__(self) -> Path:
        self.made = [path for path in self.new.parents if not path.exists()]
        self.new.mkdir(parents=True)
        return self.new

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            if kind is None:
                self._replace()
        finally:
            shutil.rmtree(self.new, ignore_errors=True)
            for path in self.made:
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()

    def _replace(self) -> None:
        with locked(self.new.parent):
            # Whatever is there now may have come since the work began.
            others = _require_replaceable(self.folder, force=self.force)
            if self.folder.exists():
                self.folder.rename(self.old)
            try:
                self.new.rename(self.folder)
            except OSError:
                if self.old.exists():
                    self.old.rename(self.folder)
                raise
            for name in others:
                if not (self.folder / name).exists():
                    (self.old / name).rename(self.folder / name)
            shutil.rmtree(self.old, ignore_errors=True)

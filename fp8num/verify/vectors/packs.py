"""
Packs of vectors: a folder of files that crosses formats, source types and projections.

::

    conversions x kinds of file -> temporary folder beside -> renamed to its place

A pack is there whole or not at all, and an earlier one is replaced only when the new one
is complete.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fp8num.verify.cases import case_set
from fp8num.verify.vectors.conversion import conversions, installed_version, vectors_of
from fp8num.verify.vectors.files import KINDS, SUFFIXES, write_vectors
from fp8num.verify.vectors.manifest import MANIFEST, Entry, Manifest, manifest_text, read_manifest

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
    _require_replaceable(folder)
    with _Replacement(folder) as new:
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
) -> Iterator[Entry]:
    """Write the files of a conversion and yield their entries in the manifest."""
    made = vectors_of(conversion, inputs.words, inputs.domain)
    for kind in kinds:
        data = write_vectors(made, kind, version)
        name = conversion.name + SUFFIXES[kind]
        (folder / name).write_bytes(data)
        yield Entry(
            name=name,
            kind=kind,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            conversion=conversion,
            cases=made.words.size,
            domain=made.domain,
        )


def _require_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything besides an earlier pack."""
    if not folder.exists():
        return
    if not folder.is_dir():
        msg = f"output must be a folder, {str(folder)!r} is a file; name another"
        raise ValueError(msg)
    there = {path.name for path in folder.iterdir()}
    if not there:
        return
    try:
        ours = {MANIFEST, *(entry.name for entry in read_manifest(folder / MANIFEST).entries)}
    except (OSError, ValueError):
        ours = set()
    if more := sorted(there - ours):
        msg = (
            f"output must be a new or empty folder, or hold an earlier pack alone, "
            f"{str(folder)!r} holds {more[0]!r}; name another"
        )
        raise ValueError(msg)


class _Replacement:
    """A folder that is made beside another and takes its place, if nothing goes wrong."""

    def __init__(self, folder: Path) -> None:
        token = secrets.token_hex(4)
        self.folder = folder
        self.new = folder.absolute().with_name(f".{folder.name}.{token}.new")
        self.old = folder.absolute().with_name(f".{folder.name}.{token}.old")

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
        if self.folder.exists():
            self.folder.rename(self.old)
        try:
            self.new.rename(self.folder)
        except OSError:
            if self.old.exists():
                self.old.rename(self.folder)
            raise
        shutil.rmtree(self.old, ignore_errors=True)

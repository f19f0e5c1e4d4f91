"""The .npz format: a zip archive of .npy members, inflated block by block.

Memory is bounded whatever the archive says: members are read as streams, and
their names are only names, since nothing is extracted.  Time is bounded because
no member may claim more than deflate can make of its bytes, nor share them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fp8num._archives import check_members, open_archive, open_member
from fp8num._text import shown
from fp8num.inputs.files import StoredFile, read_blocks
from fp8num.inputs.npy import check_length, read_header
from fp8num.inputs.source import ITEM_SIZES, InputError, Opened, StoredTensor

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

__all__ = [
    "MemberReader",
    "check_expansion",
    "checked_members",
    "open_npz",
    "open_stored",
    "place_of",
]

#: Bytes that arrays may have beyond twice their file.
ALLOWED = 100_000_000


def open_npz(stored: StoredFile) -> Opened:
    """Check the directory of an archive and the header of every .npy member."""
    tensors: list[StoredTensor] = []
    skipped: list[tuple[str, str]] = []
    with open_stored(stored) as archive:
        for member in checked_members(archive, stored):
            name = member.filename.removesuffix(".npy")
            if name == member.filename:
                skipped.append((name, "not an .npy member"))
                continue
            where = place_of(stored, member.filename)
            with open_member(archive, member.filename) as stream:
                header = read_header(stream, where)
            if header.dtype is None:
                skipped.append((name, header.reason))
                continue
            check_length(header, member.file_size, where)
            reader = MemberReader(
                stored=stored,
                member=member.filename,
                count=(member.file_size - header.length) // ITEM_SIZES[header.dtype],
                dtype=header.dtype,
                byteorder=header.byteorder,
            )
            tensors.append(header.tensor(name, stored.file, reader))
    return stored.opened(tensors, skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberReader:
    """Blocks of an .npy member."""

    stored: StoredFile
    member: str
    count: int
    dtype: str
    byteorder: str

    def __call__(self, size: int) -> Iterator[npt.NDArray[np.generic]]:
        """Yield the elements in blocks of at most `size`."""
        where = place_of(self.stored, self.member)
        check_expansion(min(size, self.count) * ITEM_SIZES[self.dtype], self.stored, where)
        with (
            open_stored(self.stored, elements=True) as archive,
            open_member(archive, self.member) as stream,
        ):
            read_header(stream, where)
            # zipfile compares the checksum when the last byte is read, hence
            # before the last block is handed out.
            yield from read_blocks(
                stream, size, self.count, self.dtype, self.byteorder, where=where
            )


def check_expansion(size: int, stored: StoredFile, where: str) -> None:
    """Refuse to make an array in memory that is far larger than its file."""
    most = 2 * stored.size + ALLOWED
    if size > most:
        msg = (
            f"{where} would take {size} bytes of memory, from a file of {stored.size} no more than "
            f"{most} are allowed; save it uncompressed, with np.savez"
        )
        raise InputError(msg)


def place_of(stored: StoredFile, member: str) -> str:
    """Return what messages call a member."""
    return f"{shown(stored.file)}, member {shown(member)},"


@contextmanager
def open_stored(stored: StoredFile, *, elements: bool = False) -> Iterator[zipfile.ZipFile]:
    """Open a file's archive."""
    advice = "save it again with np.savez or np.savez_compressed"
    with (
        stored.stream(elements=elements) as stream,
        open_archive(stream, shown(stored.file), advice) as archive,
    ):
        yield archive


def checked_members(archive: zipfile.ZipFile, stored: StoredFile) -> list[zipfile.ZipInfo]:
    """Return the members, none of which is larger than it can be."""
    members = archive.infolist()
    check_members(members, stored.size, partial(place_of, stored))
    return members

"""The .npz format: a zip archive of .npy members, inflated block by block.

Memory is bounded whatever the archive says: members are read as streams, and
their names are only names, since nothing is extracted.  Time is bounded because
no member may claim more than deflate can make of its bytes, nor share them.
"""

from __future__ import annotations

import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fp8num._text import shown
from fp8num.inputs.files import StoredFile, read_blocks
from fp8num.inputs.npy import check_length, read_header
from fp8num.inputs.source import ITEM_SIZES, InputError, Opened, StoredTensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

__all__ = ["MemberReader", "check_members", "open_archive", "open_member", "open_npz", "place_of"]

# Deflate spends at least one bit on a length code and one on its distance, for at
# most 258 bytes: 1032 to 1.
MAX_EXPANSION = 1032
LOCAL_HEADER = 30  #: bytes before a member's name and data, at least
# What zipfile and zlib raise for an archive that is damaged or beyond them.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,  # the compressed data end too early
    OSError,  # a member that would begin before the file
    OverflowError,  # an offset of 2^63 or more
    RuntimeError,  # with NotImplementedError: a version or feature of the future
    ValueError,  # with UnicodeDecodeError: a name that is not UTF-8
)


def open_npz(stored: StoredFile) -> Opened:
    """Check the directory of an archive and the header of every .npy member."""
    tensors: list[StoredTensor] = []
    skipped: list[tuple[str, str]] = []
    with open_archive(stored) as archive:
        members = archive.infolist()
        check_members(members, stored)
        for member in members:
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
        with (
            open_archive(self.stored, elements=True) as archive,
            open_member(archive, self.member) as stream,
        ):
            read_header(stream, where)
            # zipfile compares the checksum when the last byte is read, hence
            # before the last block is handed out.
            yield from read_blocks(
                stream, size, self.count, self.dtype, self.byteorder, where=where
            )


def place_of(stored: StoredFile, member: str) -> str:
    """Return what messages call a member."""
    return f"{shown(stored.file)}, member {shown(member)},"


def open_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipExtFile:
    """Open a member for reading."""
    stream = archive.open(name)
    assert isinstance(stream, zipfile.ZipExtFile)  # it is, in mode "r"
    return stream


@contextmanager
def open_archive(stored: StoredFile, *, elements: bool = False) -> Iterator[zipfile.ZipFile]:
    """Open the archive; say what is wrong with it in the words of zipfile."""
    with stored.stream(elements=elements) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except InputError:
            raise
        except _ZIP_ERRORS as error:
            problem = shown(str(error) or type(error).__name__)
            msg = (
                f"{shown(stored.file)} is a damaged or unusual zip archive ({problem}); "
                "save it again with np.savez or np.savez_compressed"
            )
            raise InputError(msg) from error


def check_members(members: list[zipfile.ZipInfo], stored: StoredFile) -> None:
    """Refuse what np.savez does not write and what makes an archive larger than it can be."""
    names: set[str] = set()
    for member in members:
        where = place_of(stored, member.filename)
        if member.filename in names:
            msg = f"{where} occurs twice; save the archive again with distinct names"
            raise InputError(msg)
        names.add(member.filename)
        if member.flag_bits & 1:
            msg = f"{where} is encrypted; save it again without a password"
            raise InputError(msg)
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            msg = (
                f"{where} has compression method {member.compress_type}; save the archive again "
                "with np.savez_compressed"
            )
            raise InputError(msg)
        factor = 1 if member.compress_type == zipfile.ZIP_STORED else MAX_EXPANSION
        if member.file_size > factor * member.compress_size:
            msg = (
                f"{where} claims {member.file_size} bytes from {member.compress_size} compressed "
                "ones, which is impossible; the archive is damaged or a zip bomb, do not use it"
            )
            raise InputError(msg)
    _check_overlaps(members, stored)


def _check_overlaps(members: list[zipfile.ZipInfo], stored: StoredFile) -> None:
    """Refuse members that share bytes, with which a small archive could expand without limit."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    limits = [member.header_offset for member in ordered[1:]] + [stored.size]
    for member, limit in zip(ordered, limits, strict=False):  # no members: one limit too many
        if member.header_offset + LOCAL_HEADER + member.compress_size > limit:
            msg = (
                f"{place_of(stored, member.filename)} runs into the next member or past the end of "
                "the file; the archive is damaged or a zip bomb, do not use it"
            )
            raise InputError(msg)

"""Every tensor of a file, whatever its type, as whole arrays, and the file's text.

::

    open_parts(path)                      .safetensors  .npz
      |-- metadata: text to text
      '-- tensors: name -> StoredPart     .dtype .shape .read() -> array

`open_tensors` hands out the floating-point tensors block by block; a quantised one
needs its integers, packed elements and companions too.  Opening makes the same
checks as there, and reads no elements.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fp8num._archives import fill, open_member
from fp8num._text import shown
from fp8num.codec import unpack
from fp8num.inputs.files import RangeReader, StoredFile, element_type
from fp8num.inputs.npy import check_length, read_header
from fp8num.inputs.npz import MemberReader, check_expansion, checked_members, open_stored, place_of
from fp8num.inputs.safetensors import HeaderEntry, read_table
from fp8num.inputs.signatures import HEAD, matches, recognise
from fp8num.inputs.source import ITEM_SIZES, InputError

if TYPE_CHECKING:
    import os
    import zipfile
    from collections.abc import Callable, Iterator

    from fp8num.inputs.npy import Header

__all__ = ["PACKED", "Parts", "StoredPart", "open_parts"]

#: the formats of the types that are stored densely
PACKED = {"F4": "E2M1FN", "F6_E2M3": "E2M3FN", "F6_E3M2": "E3M2FN"}
#: types that are read as bytes, and the NumPy types that these then are
_BYTES = {
    **dict.fromkeys(("F4", "F6_E2M3", "F6_E3M2", "U8", "V1"), "u1"),
    **{f"U{8 * size}": f"<u{size}" for size in (2, 4, 8)},
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
}
#: Any one-byte type, for the readers of floating-point tensors: it hands out bytes.
_BYTE = "F8_E8M0"


@dataclass(frozen=True, kw_only=True)
class StoredPart:
    """One tensor of any type: its description, and a way to all of its elements."""

    name: str  #: name in the file, unchanged, so possibly hostile
    where: str  #: the file and the tensor, for messages
    #: the stored type as safetensors names it; ``V1`` for elements of one byte of which np.save
    #: lost the type
    dtype: str
    shape: tuple[int, ...]  #: ``()`` for a scalar; dimensions may be 0
    order: Literal["C", "F"] = "C"  #: order of the elements in the file
    length: int  #: bytes of the elements
    reason: str = ""  #: why it cannot be read; empty if it can
    _reader: Callable[[int], Iterator[npt.NDArray[np.generic]]] | None = field(
        repr=False, compare=False
    )

    def read(self) -> npt.NDArray[Any]:
        """Read all elements."""
        if self._reader is None:
            msg = f"{self.where} cannot be read: {self.reason}; convert it to another type"
            raise InputError(msg)
        stored = self.dtype if self.dtype in ITEM_SIZES else _BYTE
        blocks = list(self._reader(max(self.length // ITEM_SIZES[stored], 1)))
        flat: npt.NDArray[Any] = blocks[0] if blocks else np.empty(0, element_type(stored))
        if self.dtype in PACKED:
            flat = unpack(flat, PACKED[self.dtype], math.prod(self.shape))
        elif self.dtype in _BYTES:
            words = flat.view(_BYTES[self.dtype])
            flat = words.astype(words.dtype.newbyteorder("="), copy=False)
        return flat.reshape(self.shape, order=self.order)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a file holds."""

    file: str  #: the path as it was given
    tensors: dict[str, StoredPart]  #: in the file's order
    metadata: dict[str, str]  #: text of a safetensors header


def open_parts(path: str | os.PathLike[str]) -> Parts:
    """Open a file of tensors of any type: check its headers, and read no elements yet."""
    stored = StoredFile.inspect(path)
    buffer = bytearray(HEAD)
    with stored.stream() as stream:
        head = bytes(buffer[: fill(stream, memoryview(buffer))])
    kind = Path(stored.file).suffix.removeprefix(".").lower()
    found = recognise(head)
    if kind not in {"safetensors", "npz"} or (found is not None and not matches(kind, head)):
        seems = f" (it seems to be {found})" if found else ""
        msg = (
            f"{shown(stored.file)} is not a file of named tensors{seems}; "
            "give a .safetensors or .npz file with the right name"
        )
        raise InputError(msg)
    return _safetensors_parts(stored) if kind == "safetensors" else _npz_parts(stored)


def _safetensors_parts(stored: StoredFile) -> Parts:
    table = read_table(stored)
    tensors = {entry.name: _safetensors_part(stored, entry) for entry in table.entries}
    return Parts(file=stored.file, tensors=tensors, metadata=table.metadata)


def _safetensors_part(stored: StoredFile, entry: HeaderEntry) -> StoredPart:
    dtype, length = entry.dtype, entry.end - entry.begin
    stored_as = dtype if dtype in ITEM_SIZES else _BYTE
    reader = RangeReader(
        stored=stored,
        name=entry.name,
        offset=entry.begin,
        count=length // ITEM_SIZES[stored_as],
        dtype=stored_as,
    )
    known = dtype in ITEM_SIZES or dtype in _BYTES
    return StoredPart(
        name=entry.name,
        where=reader.where,
        dtype=dtype if known else shown(dtype, 20),
        shape=entry.shape,
        length=length,
        reason="" if known else f"nothing here reads the type {shown(dtype, 20)}",
        _reader=reader if known else None,
    )


def _npz_parts(stored: StoredFile) -> Parts:
    tensors: dict[str, StoredPart] = {}
    with open_stored(stored) as archive:
        members = checked_members(archive, stored)
        # Whoever opens parts reads them whole.
        check_expansion(sum(one.file_size for one in members), stored, shown(stored.file))
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name != member.filename:
                tensors[name] = _npz_part(archive, member, stored)
    return Parts(file=stored.file, tensors=tensors, metadata={})


def _npz_part(archive: zipfile.ZipFile, member: zipfile.ZipInfo, stored: StoredFile) -> StoredPart:
    where = place_of(stored, member.filename)
    with open_member(archive, member.filename) as stream:
        header = read_header(stream, where)
    dtype = header.dtype or _byte_type(archive, member, header)
    reader = None
    length = 0
    if dtype is not None:
        length = _checked_length(header, member, dtype, where)
        stored_as = dtype if dtype in ITEM_SIZES else _BYTE
        reader = MemberReader(
            stored=stored,
            member=member.filename,
            count=length // ITEM_SIZES[stored_as],
            dtype=stored_as,
            byteorder=header.byteorder,
        )
    return StoredPart(
        name=member.filename.removesuffix(".npy"),
        where=where,
        dtype=dtype or "unknown",
        shape=header.shape,
        order=header.order,
        length=length,
        reason="" if dtype else f"it holds {header.reason}",
        _reader=reader,
    )


def _byte_type(archive: zipfile.ZipFile, member: zipfile.ZipInfo, header: Header) -> str | None:
    """Return the type of one-byte elements that are not floating-point ones."""
    with open_member(archive, member.filename) as stream:
        text = stream.read(header.length)
    # The header has been parsed: one literal for each key, the other two without text.
    for kind, name in (("u", "U8"), ("i", "I8"), ("V", "V1")):
        if re.search(rb"['\"]descr['\"]\s*:\s*['\"][|<>]" + kind.encode() + rb"1['\"]", text):
            return name
    return None


def _checked_length(header: Header, member: zipfile.ZipInfo, dtype: str, where: str) -> int:
    """Return the bytes of a member's elements; InputError if its header needs others."""
    if header.dtype is not None:
        check_length(header, member.file_size, where)
    elif member.file_size != header.length + math.prod(header.shape):
        msg = (
            f"{where} is truncated or damaged: shape {header.shape} of {dtype} needs "
            f"{header.length + math.prod(header.shape)} bytes, it has {member.file_size}; "
            "save or download it again"
        )
        raise InputError(msg)
    return member.file_size - header.length

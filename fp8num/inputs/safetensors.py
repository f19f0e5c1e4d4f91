"""The safetensors format.

::

    length   {"name": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}, ...}   data
    8 bytes  `length` bytes of JSON                             offsets are within  -->  |
    little-endian

The tensors tile the data: no byte belongs to two of them or to none, so a file
cannot hide anything.  (The safetensors library itself cannot load the F8 types
into NumPy.)

References
----------
https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fp8num._archives import DAMAGED, check_shape, fill
from fp8num._reading import json_members, parse_json
from fp8num._text import shown
from fp8num.inputs.files import RangeReader, StoredFile
from fp8num.inputs.signatures import MAX_SAFETENSORS_HEADER
from fp8num.inputs.source import FORMAT_NAMES, ITEM_SIZES, InputError, Opened, StoredTensor

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HeaderEntry", "TensorHeader", "open_safetensors", "read_table"]

#: Of the largest models all files together have not so many; an object of each takes 1 kB.
MAX_TENSORS = 200_000
#: Bytes of a tensor's description, which has at most 64 dimensions, and of the file's text.
MAX_ENTRY, MAX_METADATA = 1 << 16, 1 << 23
_METADATA = "__metadata__"

_BITS = {name: 8 * size for name, size in ITEM_SIZES.items()}
#: bits of an element of the types that are skipped, and why they are
_SKIPPED = {
    "BOOL": (8, "boolean"),
    **{f"{sign}{bits}": (bits, "integers") for sign in "IU" for bits in (8, 16, 32, 64)},
    "C64": (64, "complex numbers"),
    "F4": (4, "4-bit elements, two to a byte"),
    "F6_E2M3": (6, "packed 6-bit elements"),
    "F6_E3M2": (6, "packed 6-bit elements"),
}


class HeaderEntry(NamedTuple):
    """A tensor as the header describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int  #: of its bytes, in the file
    end: int


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """What a header says."""

    metadata: dict[str, str]
    entries: list[HeaderEntry]


def open_safetensors(stored: StoredFile) -> Opened:
    """Check the header against the file's length, and every tensor against the header."""
    tensors: list[StoredTensor] = []
    skipped: list[tuple[str, str]] = []
    for entry in read_table(stored).entries:
        if entry.dtype not in ITEM_SIZES:
            unknown = (0, f"unknown type {shown(entry.dtype, 40)}")
            skipped.append((entry.name, _SKIPPED.get(entry.dtype, unknown)[1]))
            continue
        reader = RangeReader(
            stored=stored,
            name=entry.name,
            offset=entry.begin,
            count=math.prod(entry.shape),
            dtype=entry.dtype,
        )
        tensors.append(
            StoredTensor(
                name=entry.name,
                file=stored.file,
                dtype=entry.dtype,
                shape=entry.shape,
                format_name=FORMAT_NAMES.get(entry.dtype),
                _reader=reader,
            )
        )
    return stored.opened(tensors, skipped)


def read_table(stored: StoredFile) -> TensorHeader:
    """Read and check the header of a file."""
    where = shown(stored.file)
    with stored.stream() as stream:
        prefix = bytearray(8)
        if fill(stream, memoryview(prefix)) < 8:
            msg = (
                f"{where} is truncated: a safetensors file begins with 8 bytes of header length, "
                f"it has {stored.size} bytes; save or download it again"
            )
            raise InputError(msg)
        length = int.from_bytes(prefix, "little")
        # Both are checked before memory is asked for.
        if length > MAX_SAFETENSORS_HEADER:
            msg = (
                f"{where} is not a safetensors file, or damaged: its header would have {length} "
                f"bytes, the format allows {MAX_SAFETENSORS_HEADER}; save or download it again"
            )
            raise InputError(msg)
        if 8 + length > stored.size:
            msg = (
                f"{where} is truncated: its header ends at byte {8 + length}, the file at byte "
                f"{stored.size}; save or download it again"
            )
            raise InputError(msg)
        data = bytearray(length)
        if fill(stream, memoryview(data)) < length:
            msg = f"{where} became shorter while its header was read; open it again"
            raise InputError(msg)
    table = _parse(data, 8 + length, where)
    _check_tiling(table.entries, 8 + length, stored.size, where)
    return table


def _parse(data: bytearray, offset: int, where: str) -> TensorHeader:
    """Check each tensor as it is parsed: a header becomes little more than its size."""
    metadata: dict[str, str] = {}
    entries: dict[str, HeaderEntry] = {}
    names: dict[str, str] = {}  # of types, so that equal ones are one object
    for name, value in _values(data, where):
        if name == _METADATA:
            metadata = _texts(value, where)
            continue
        place = f"{where}, tensor {shown(name)},"
        dtype, shape, begin, end = _check_entry(value, place)
        dtype = names.setdefault(dtype, dtype)
        entries[name] = HeaderEntry(name, dtype, shape, offset + begin, offset + end)
    return TensorHeader(metadata, list(entries.values()))


def _values(data: bytearray, where: str) -> Iterator[tuple[str, object]]:
    """Yield names and values of a header as strictly as the format demands."""
    seen: set[str] = set()
    try:
        for name, value in json_members(data, _limit):
            if name in seen:
                msg = f"the key {shown(name, 60)} occurs twice"
                raise InputError(msg)
            seen.add(name)
            if len(seen) > MAX_TENSORS:
                msg = f"it lists more than {MAX_TENSORS} tensors"
                raise InputError(msg)
            name.encode("utf-8")  # JSON can escape half a surrogate pair, which no text can hold
            yield name, parse_json(value)
    except ValueError as error:
        msg = f"{where} has a header that is not valid JSON ({shown(str(error))}); {DAMAGED}"
        raise InputError(msg) from error


def _limit(name: str) -> int:
    return MAX_METADATA if name == _METADATA else MAX_ENTRY


def _texts(value: object, where: str) -> dict[str, str]:
    """Return a header's metadata, which is text."""
    try:
        if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
            for pair in value.items():
                "".join(pair).encode("utf-8")
            return value
    except UnicodeEncodeError:  # half a surrogate pair
        pass
    msg = f"{where} has a __metadata__ that is not a map of strings; {DAMAGED}"
    raise InputError(msg)


def _check_entry(entry: object, where: str) -> tuple[str, tuple[int, ...], int, int]:
    """Return the type, shape and byte range of a tensor if they agree."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        msg = f"{where} has no dtype, shape and data_offsets; {DAMAGED}"
        raise InputError(msg)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        msg = f"{where} has a dtype that is not a string; {DAMAGED}"
        raise InputError(msg)
    if not _is_integers(shape):
        msg = f"{where} has a shape that is not a list of integers; {DAMAGED}"
        raise InputError(msg)
    check_shape(tuple(shape), where)
    if not _is_integers(offsets) or len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1] < 2**63:
        msg = f"{where} has data_offsets that are not two increasing integers; {DAMAGED}"
        raise InputError(msg)

    bits = _BITS.get(dtype) or _SKIPPED.get(dtype, (0, ""))[0]
    begin, end = offsets
    if bits and 8 * (end - begin) != bits * math.prod(shape):
        msg = (
            f"{where} of type {dtype} and shape {tuple(shape)} needs {bits * math.prod(shape)} "
            f"bits, its data_offsets give it {8 * (end - begin)}; {DAMAGED}"
        )
        raise InputError(msg)
    return dtype, tuple(shape), begin, end


def _is_integers(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _check_tiling(entries: list[HeaderEntry], start: int, size: int, where: str) -> None:
    """Refuse tensors that overlap, leave bytes out, or lie outside the data."""
    at = start
    for begin, end, name in sorted((entry.begin, entry.end, entry.name) for entry in entries):
        if begin != at:
            what = (
                "overlaps the tensor before it" if begin < at else "leaves bytes unused before it"
            )
            msg = (
                f"{where}, tensor {shown(name)}, {what} (it begins at {begin - start}, not "
                f"{at - start}); {DAMAGED}"
            )
            raise InputError(msg)
        at = end
    if at > size:
        msg = (
            f"{where} is truncated: its tensors need {at - start} bytes, {size - start} follow the "
            "header; save or download it again"
        )
        raise InputError(msg)
    if at < size:
        msg = f"{where} has {size - at} bytes after the last tensor; {DAMAGED}"
        raise InputError(msg)

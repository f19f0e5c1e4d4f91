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

import json
import math
from typing import TYPE_CHECKING

from fp8num._text import shown
from fp8num.inputs.files import DAMAGED, RangeReader, StoredFile, check_shape, fill
from fp8num.inputs.signatures import MAX_SAFETENSORS_HEADER
from fp8num.inputs.source import FORMAT_NAMES, ITEM_SIZES, InputError, Opened, StoredTensor

if TYPE_CHECKING:
    from typing import Never

__all__ = ["check_entry", "check_tiling", "open_safetensors", "read_table"]

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


def open_safetensors(stored: StoredFile) -> Opened:
    """Check the header against the file's length, and every tensor against the header."""
    where = shown(stored.file)
    start, header = read_table(stored, where)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        msg = f"{where} has a __metadata__ that is not a map of strings; {DAMAGED}"
        raise InputError(msg)

    tensors: list[StoredTensor] = []
    skipped: list[tuple[str, str]] = []
    ranges: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        place = f"{where}, tensor {shown(name)},"
        dtype, shape, begin, end = check_entry(entry, place)
        ranges.append((begin, end, name))
        if dtype not in ITEM_SIZES:
            _, reason = _SKIPPED.get(dtype, (0, f"unknown type {shown(dtype, 40)}"))
            skipped.append((name, reason))
            continue
        reader = RangeReader(
            stored=stored,
            where=place,
            offset=start + begin,
            count=math.prod(shape),
            dtype=dtype,
        )
        tensors.append(
            StoredTensor(
                name=name,
                file=stored.file,
                dtype=dtype,
                shape=shape,
                format_name=FORMAT_NAMES.get(dtype),
                _reader=reader,
            )
        )
    check_tiling(ranges, stored.size - start, where)
    return stored.opened(tensors, skipped)


def read_table(stored: StoredFile, where: str) -> tuple[int, dict[str, object]]:
    """Return the offset of the data and the parsed header."""
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
    return 8 + length, _parse(data, where)


def _parse(data: bytearray, where: str) -> dict[str, object]:
    """Parse the header's JSON as strictly as the format demands."""
    try:
        # Decoded first: json.loads would guess UTF-16 and UTF-32 from bytes.
        text = data.decode("utf-8")
        header = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
        # JSON can escape half a surrogate pair, which no UTF-8 text can hold.
        json.dumps(header, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        msg = f"{where} has a header that is nested too deeply; {DAMAGED}"
        raise InputError(msg) from None
    except ValueError as error:  # of the decoder, the parser or one of the hooks
        msg = f"{where} has a header that is not valid JSON ({shown(str(error))}); {DAMAGED}"
        raise InputError(msg) from error
    if not isinstance(header, dict):
        msg = f"{where} has a header that is a JSON {type(header).__name__}, not an object; "
        raise InputError(msg + DAMAGED)
    return header


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a dict, unless a key is repeated: readers would disagree about which one counts."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in result if names.count(name) > 1)
        msg = f"the key {shown(repeated, 60)} occurs twice"
        raise ValueError(msg)
    return result


def _no_constant(text: str) -> Never:
    msg = f"{text} is not JSON"
    raise ValueError(msg)


def check_entry(entry: object, where: str) -> tuple[str, tuple[int, ...], int, int]:
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


def check_tiling(ranges: list[tuple[int, int, str]], length: int, where: str) -> None:
    """Refuse tensors that overlap, leave bytes out, or lie outside the data."""
    at = 0
    for begin, end, name in sorted(ranges):
        if begin != at:
            what = (
                "overlaps the tensor before it" if begin < at else "leaves bytes unused before it"
            )
            msg = (
                f"{where}, tensor {shown(name)}, {what} (it begins at {begin}, not {at}); {DAMAGED}"
            )
            raise InputError(msg)
        at = end
    if at > length:
        msg = (
            f"{where} is truncated: its tensors need {at} bytes, {length} follow the header; "
            "save or download it again"
        )
        raise InputError(msg)
    if at < length:
        msg = f"{where} has {length - at} bytes after the last tensor; {DAMAGED}"
        raise InputError(msg)

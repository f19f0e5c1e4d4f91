"""The .npy format, read without ever unpickling.

NumPy's own reader is not used because it refuses the type
``<f1``, which ``np.save`` writes for ``ml_dtypes.float8_e5m2``, and because it
makes an array of the whole member of an archive.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fp8num._archives import DAMAGED, read_fields
from fp8num._text import shown
from fp8num.inputs.files import RangeReader, StoredFile
from fp8num.inputs.source import FORMAT_NAMES, ITEM_SIZES, InputError, Opened, StoredTensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt

    from fp8num._archives import Readable

__all__ = ["Header", "check_length", "open_npy", "read_header"]

# `<f1` is float8_e5m2: of the ml_dtypes types it alone has the kind "f" (the others
# are stored as raw bytes, `|V1` and `|V2`), and NumPy has no one-byte float.
_FLOATS = {1: "F8_E5M2", 2: "F16", 4: "F32", 8: "F64"}
_REASONS = {
    "b": "boolean",
    "i": "integers",
    "u": "integers",
    "c": "complex numbers",
    "m": "time differences",
    "M": "dates",
    "O": "Python objects (pickled), which are never loaded",
    "S": "byte strings",
    "U": "text",
    "T": "text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the header of an .npy file says."""

    dtype: str | None  #: stored type, None if it is not a floating-point one
    reason: str  #: why there is no dtype
    byteorder: Literal["little", "big"]
    order: Literal["C", "F"]
    shape: tuple[int, ...]
    length: int  #: bytes before the elements

    def tensor(
        self, name: str, file: str, reader: Callable[[int], Iterator[npt.NDArray[np.generic]]]
    ) -> StoredTensor:
        """Describe the tensor that a reader reads."""
        assert self.dtype is not None
        return StoredTensor(
            name=name,
            file=file,
            dtype=self.dtype,
            shape=self.shape,
            order=self.order,
            format_name=FORMAT_NAMES.get(self.dtype),
            _reader=reader,
        )


def open_npy(stored: StoredFile) -> Opened:
    """Check the header and the length of an .npy file."""
    where = shown(stored.file)
    name = Path(stored.file).stem
    with stored.stream() as stream:
        header = read_header(stream, where)
    if header.dtype is None:
        return stored.opened([], [(name, header.reason)])

    check_length(header, stored.size, where)
    reader = RangeReader(
        stored=stored,
        offset=header.length,
        count=math.prod(header.shape),
        dtype=header.dtype,
        byteorder=header.byteorder,
    )
    return stored.opened([header.tensor(name, stored.file, reader)], [])


def check_length(header: Header, length: int, where: str) -> None:
    """Refuse a file or member that is shorter or longer than its header says."""
    assert header.dtype is not None
    expected = header.length + math.prod(header.shape) * ITEM_SIZES[header.dtype]
    if length < expected:
        msg = (
            f"{where} is truncated: shape {header.shape} of {header.dtype} needs {expected} bytes, "
            f"it has {length}; save or download it again"
        )
        raise InputError(msg)
    if length > expected:
        msg = (
            f"{where} has {length - expected} bytes after the array of shape {header.shape}; "
            "save each array to a file of its own, or all of them with np.savez"
        )
        raise InputError(msg)


def read_header(stream: Readable, where: str) -> Header:
    """Read and check the header of an .npy stream, which is left at the first element."""
    fields = read_fields(stream, where)
    dtype, byteorder, reason = _stored_type(fields.descr, where)
    return Header(
        dtype=dtype,
        reason=reason,
        byteorder=byteorder,
        order="F" if fields.fortran_order else "C",
        shape=fields.shape,
        length=fields.length,
    )


def _stored_type(descr: object, where: str) -> tuple[str | None, Literal["little", "big"], str]:
    """Translate a descr into a stored type, its byte order, and the reason if there is none."""
    if isinstance(descr, list | tuple):
        return None, "little", "structured elements"
    found = (
        re.fullmatch(r"([<>|])([a-zA-Z])(\d{0,9})(\[\w+\])?", descr)
        if isinstance(descr, str)
        else None
    )
    if found is None:
        msg = f"{where} has a descr that is no type as np.save writes them; {DAMAGED}"
        raise InputError(msg)
    byteorder: Literal["little", "big"] = "big" if found[1] == ">" else "little"
    kind, itemsize = found[2], int(found[3] or 0)
    if kind == "f" and itemsize in _FLOATS:
        return _FLOATS[itemsize], byteorder, ""
    if kind == "f":
        reason = f"extended precision of {itemsize} bytes, which differs between machines"
    elif kind == "V" and itemsize in {1, 2}:
        reason = (
            f"raw elements of {itemsize} byte{'s'[: itemsize - 1]}: np.save lost an ml_dtypes "
            "type such as bfloat16 or float8_e4m3fn, saving as .safetensors keeps it"
        )
    else:
        reason = _REASONS.get(kind, "not floating-point elements")
    return None, byteorder, reason

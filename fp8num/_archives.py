r"""
Archives of arrays, as ``np.savez`` writes them: zip files of .npy members.

::

    \x93NUMPY  major minor  length   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)}
    6 bytes    1     1      2 or 4   `length` bytes, then the elements to the end of the file

Memory and time are bounded whatever an archive says: its directory is measured before it is
read, no member may claim more than its bytes can be, nor share them, and nothing is
extracted or unpickled.  The header is NEP 1's.
"""

from __future__ import annotations

import ast
import io
import math
import re
import warnings
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fp8num._reading import InputError
from fp8num._text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "DAMAGED",
    "MAGIC",
    "Fields",
    "Readable",
    "check_members",
    "check_shape",
    "fill",
    "open_archive",
    "open_member",
    "read_array",
    "read_fields",
]

MAX_ELEMENTS = 2**63 - 1  #: NumPy's limit on the product of the dimensions
MAX_DIMENSIONS = 64  #: NumPy's limit on their number
DAMAGED = "the header is damaged, save or download the file again"

MAGIC = b"\x93NUMPY"
# NumPy's own limit: ast.literal_eval is not made for long hostile text.  Only the
# field lists of structured arrays come near it.
MAX_HEADER = 10_000
# Deflate spends at least one bit on a length code and one on its distance, for at
# most 258 bytes: 1032 to 1.
MAX_EXPANSION = 1032
LOCAL_HEADER = 30  #: bytes before a member's name and data, at least
#: Bytes of an archive's directory; an entry of 47 becomes an object of 800.
MAX_DIRECTORY = 1 << 23
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


class Readable(Protocol):
    """The part of a binary stream that the readers use."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read up to ``len(buffer)`` bytes; return their number, 0 at the end."""


class Fields(NamedTuple):
    """What the header of an .npy file says."""

    descr: object
    fortran_order: bool
    shape: tuple[int, ...]
    length: int  #: bytes before the elements


def fill(stream: Readable, buffer: memoryview) -> int:
    """Read until the buffer is full or the stream ends; return the number of bytes read."""
    filled = 0
    while filled < len(buffer):
        got = stream.readinto(buffer[filled:])
        if not got:
            break
        filled += got
    return filled


# Archives.


class _Measured:
    """A stream of which `zipfile` may not read a directory of any size at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.limit = stream, MAX_DIRECTORY

    def read(self, size: int = -1) -> bytes:
        if size > self.limit:
            msg = f"its directory has {size} bytes, more than the allowed {self.limit}"
            raise zipfile.BadZipFile(msg)
        return self._stream.read(size)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the stream's own
        return getattr(self._stream, name)


@contextmanager
def open_archive(stream: IO[bytes], where: str, advice: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive; say what is wrong with it, now or within, in the words of zipfile."""
    measured: Any = _Measured(stream)
    try:
        with zipfile.ZipFile(measured) as archive:
            measured.limit = MAX_ELEMENTS
            yield archive
    except InputError:
        raise
    except _ZIP_ERRORS as error:
        problem = shown(str(error) or type(error).__name__)
        msg = f"{where} is a damaged or unusual zip archive ({problem}); {advice}"
        raise InputError(msg) from error


def open_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipExtFile:
    """Open a member for reading."""
    stream = archive.open(name)
    assert isinstance(stream, zipfile.ZipExtFile)  # it is, in mode "r"
    return stream


def check_members(
    members: list[zipfile.ZipInfo],
    size: int,
    place_of: Callable[[str], str],
    *,
    compressed: bool = True,
) -> None:
    """Refuse what np.savez does not write and what makes an archive larger than it can be."""
    names: set[str] = set()
    for member in members:
        where = place_of(member.filename)
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
        if not compressed and member.compress_type != zipfile.ZIP_STORED:
            msg = f"{where} is compressed, which those of fp8num are not; save it with np.savez"
            raise InputError(msg)
        factor = 1 if member.compress_type == zipfile.ZIP_STORED else MAX_EXPANSION
        if member.file_size > factor * member.compress_size:
            msg = (
                f"{where} claims {member.file_size} bytes from {member.compress_size} compressed "
                "ones, which is impossible; the archive is damaged or a zip bomb, do not use it"
            )
            raise InputError(msg)
    _check_overlaps(members, size, place_of)


def _check_overlaps(
    members: list[zipfile.ZipInfo], size: int, place_of: Callable[[str], str]
) -> None:
    """Refuse members that share bytes, with which a small archive could expand without limit."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    limits = [member.header_offset for member in ordered[1:]] + [size]
    for member, limit in zip(ordered, limits, strict=False):  # no members: one limit too many
        if member.header_offset + LOCAL_HEADER + member.compress_size > limit:
            msg = (
                f"{place_of(member.filename)} runs into the next member or past the end of "
                "the file; the archive is damaged or a zip bomb, do not use it"
            )
            raise InputError(msg)


# Arrays.


def read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> npt.NDArray[Any]:
    """Read an array of numbers or text from a checked member."""
    data = bytearray(member.file_size)
    with open_member(archive, member.filename) as stream:
        if fill(stream, memoryview(data)) < len(data):  # its checksum is compared at its end
            msg = f"{where} ends before its {len(data)} bytes; {DAMAGED}"
            raise InputError(msg)
    fields = read_fields(io.BytesIO(data), where)
    dtype = _plain_type(fields.descr, where)
    needed = fields.length + dtype.itemsize * math.prod(fields.shape)
    if needed != len(data):
        msg = (
            f"{where} must have {needed} bytes for its shape {fields.shape} of {dtype}, "
            f"got {len(data)}; {DAMAGED}"
        )
        raise InputError(msg)
    flat = np.frombuffer(data, dtype, offset=fields.length)
    return flat.reshape(fields.shape, order="F" if fields.fortran_order else "C")


def _plain_type(descr: object, where: str) -> np.dtype[Any]:
    """Return a type of numbers or text; no objects, and no elements without bytes."""
    plain = isinstance(descr, str) and re.fullmatch(
        r"[<>|=][biufcmMSUV][1-9]\d{0,8}(\[\w{1,12}\])?", descr
    )
    try:
        if plain:
            return np.dtype(str(descr))
    except (TypeError, ValueError):  # `<f3`
        pass
    msg = f"{where} must hold numbers or text, got elements of type {shown(str(descr), 40)}"
    raise InputError(msg)


def read_fields(stream: Readable, where: str) -> Fields:
    """Read and check the header of an .npy stream, which is left at the first element."""
    start = _take(stream, 8, where)
    if start[:6] != MAGIC:
        msg = f"{where} is not an .npy file (it begins with {start[:6]!r}); save it with np.save"
        raise InputError(msg)
    version = (start[6], start[7])
    if version not in {(1, 0), (2, 0), (3, 0)}:
        msg = f"{where} has .npy version {version[0]}.{version[1]}, known are 1.0, 2.0 and 3.0; "
        raise InputError(msg + DAMAGED)
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(_take(stream, width, where), "little")
    if length > MAX_HEADER:
        msg = f"{where} has a header of {length} bytes, more than the allowed {MAX_HEADER}; "
        raise InputError(msg + DAMAGED)
    encoding = "utf-8" if version == (3, 0) else "latin-1"
    fields = _parse(_take(stream, length, where), encoding, where)
    order = fields["fortran_order"]
    return Fields(fields["descr"], bool(order), _shape(fields["shape"], where), 8 + width + length)


def _take(stream: Readable, count: int, where: str) -> bytes:
    buffer = bytearray(count)
    if fill(stream, memoryview(buffer)) < count:
        msg = f"{where} ends inside its .npy header; it is truncated, save or download it again"
        raise InputError(msg)
    return bytes(buffer)


def _parse(data: bytes, encoding: str, where: str) -> dict[str, object]:
    """Evaluate the header's text, a Python dictionary of three literals."""
    try:
        text = data.decode(encoding)
        # Python 2 wrote long integers as 3L.
        text = re.sub(r"(?<=\d)L(?=[,)])", "", text)
        with warnings.catch_warnings():  # an odd escape in a string is no warning of ours
            warnings.simplefilter("ignore")
            fields = ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        msg = f"{where} has a header that is not a Python literal; {DAMAGED}"
        raise InputError(msg) from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        msg = f"{where} has a header without exactly descr, fortran_order and shape; {DAMAGED}"
        raise InputError(msg)
    if not isinstance(fields["fortran_order"], bool):
        msg = f"{where} has a fortran_order that is neither True nor False; {DAMAGED}"
        raise InputError(msg)
    return fields


def _shape(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(type(length) is int for length in value):
        msg = f"{where} has a shape that is not a tuple of integers; {DAMAGED}"
        raise InputError(msg)
    check_shape(value, where)
    return value


def check_shape(shape: tuple[int, ...], where: str) -> None:
    """Refuse dimensions that no array can have; they are integers already."""
    if len(shape) > MAX_DIMENSIONS:
        msg = f"{where} has {len(shape)} dimensions, more than {MAX_DIMENSIONS}; {DAMAGED}"
        raise InputError(msg)
    if min(shape, default=0) < 0:
        msg = f"{where} has the negative dimension {shown(str(min(shape)))}; {DAMAGED}"
        raise InputError(msg)
    if math.prod(max(length, 1) for length in shape) > MAX_ELEMENTS:
        msg = f"{where} has a shape of more than 2**63 - 1 elements; {DAMAGED}"
        raise InputError(msg)

"""
Vectors as files: JSON, CSV, NPZ, lines of hex, and what Verilog's $readmemh reads.

::

    json       ["3e99999a", "0x1.3333340000000p-2", "2a", "normal between"]
    csv        0x3e99999a,0x1.3333340000000p-2,0x2a,normal between
    npz        input, value, code, class: arrays
    hex        3e99999a 2a
    readmemh   3e99999a_2a       one number: the input above the code, in whole digits

The bytes depend on the vectors and the version alone, not on the day or the machine.
"""

from __future__ import annotations

import csv
import io
import json
import math
import struct
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._text import guarded
from fp8num.verify.classes import CLASSES
from fp8num.verify.hexlines import code_digits, hex_lines, parse_results
from fp8num.verify.implementation import ImplementationError

if TYPE_CHECKING:
    from fp8num.verify.vectors.conversion import Conversion, Vectors

__all__ = ["KINDS", "SUFFIXES", "Rows", "read_vectors", "write_vectors"]

#: The end of a file's name, by its kind.
SUFFIXES = {"json": ".json", "csv": ".csv", "npz": ".npz", "hex": ".hex", "readmemh": ".mem"}
KINDS = tuple(SUFFIXES)
COLUMNS = ("input", "value", "code", "class")
#: The date of every member of an archive: the first that ZIP has.
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Rows:
    """
    What a file of vectors says.

    Parameters
    ----------
    words, codes : ndarray, shape (n,)
        The inputs and their codes.
    floats, class_names : list of str, or None
        The inputs as hex floats and their classes, where the kind of file has them.
    first : int
        Where the first row is: its line, or its index where there are no lines.
    unit : str
        What `first` counts: line or index.
    """

    words: npt.NDArray[Any]
    codes: npt.NDArray[Any]
    floats: list[str] | None
    class_names: list[str] | None
    first: int
    unit: str = "line"

    def place(self, row: int) -> str:
        """Say where a row is."""
        return f"{self.unit} {self.first + row}"


# Writing.


def write_vectors(vectors: Vectors, kind: str, version: str) -> bytes:
    """
    Write vectors as a file of some kind.

    Parameters
    ----------
    vectors : Vectors
        What to write.
    kind : str
        One of `KINDS`.
    version : str
        The version of fp8num that the file says made it.

    Returns
    -------
    bytes
        The file.

    Notes
    -----
    In CSV, numbers have 0x before them, as 3e100000 would be read as a decimal number, and
    a text that begins with a minus has a space before it, as a spreadsheet would take it
    for a formula; ``skipinitialspace`` of Python's csv and of pandas undoes that, and
    ``float.fromhex`` and ``strtod`` pass over it.
    """
    if kind == "npz":
        return _write_npz(vectors, version)
    text = {
        "json": _write_json,
        "csv": _write_csv,
        "hex": _write_hex,
        "readmemh": _write_readmemh,
    }[kind](vectors, version)
    return text.encode("utf-8")


def _hex_columns(vectors: Vectors) -> tuple[list[str], list[str]]:
    conversion = vectors.conversion
    words = hex_lines((vectors.words, conversion.source.digits)).split()
    return words, hex_lines((vectors.codes, code_digits(conversion.fmt))).split()


def _write_json(vectors: Vectors, version: str) -> str:
    conversion = vectors.conversion
    words, codes = _hex_columns(vectors)
    head = {
        "generator": f"fp8num {version}",
        "conversion": conversion.title,
        "domain": vectors.domain,
        "columns": COLUMNS,
    }
    rows = ",\n".join(
        json.dumps(row)
        for row in zip(words, vectors.floats, codes, vectors.class_names, strict=True)
    )
    return json.dumps(head, indent=1)[:-2] + f',\n "cases": [\n{rows}\n ]\n}}\n'


def _write_csv(vectors: Vectors, version: str) -> str:  # noqa: ARG001 - a table has no place for it
    words, codes = _hex_columns(vectors)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for word, value, code, name in zip(
        words, vectors.floats, codes, vectors.class_names, strict=True
    ):
        writer.writerow((f"0x{word}", guarded(value), f"0x{code}", guarded(name)))
    return out.getvalue()


def _write_npz(vectors: Vectors, version: str) -> bytes:
    conversion = vectors.conversion
    arrays = {
        "input": vectors.words,
        "value": np.array(vectors.floats, np.bytes_),
        "code": vectors.codes,
        "class": vectors.classes,
        "classes": np.array(CLASSES, np.bytes_),
        "about": np.array(f"{conversion.title}; {vectors.domain}; fp8num {version}".encode()),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            little = array.astype(array.dtype.newbyteorder("<"))
            member = io.BytesIO()
            np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            info.create_system = 3  # or it would say which system wrote it
            archive.writestr(info, member.getvalue())
    return out.getvalue()


def _write_hex(vectors: Vectors, version: str) -> str:  # noqa: ARG001 - as CSV
    conversion = vectors.conversion
    return hex_lines(
        (vectors.words, conversion.source.digits), (vectors.codes, code_digits(conversion.fmt))
    )


def _write_readmemh(vectors: Vectors, version: str) -> str:
    conversion = vectors.conversion
    width, digits = conversion.source.bits, code_digits(conversion.fmt)
    whole, low = width + 4 * digits, 4 * digits
    fields = f"input [{whole - 1}:{low}], code [{low - 1}:0]"
    head = [
        f"{conversion.title}; made by fp8num {version}",
        vectors.domain,
        f"{vectors.words.size} numbers of {whole} bits: {fields}",
    ]
    body = _write_hex(vectors, version).replace(" ", "_")
    return "".join(f"// {_one_line(line)}\n" for line in head) + body


def _one_line(text: str) -> str:
    """Return text without what could end a comment or join it to the next line."""
    return "".join(c if c.isprintable() and c != "\\" else "_" for c in text)


# Reading.

#: What readers raise, those of the standard library too, if bytes are not what they should be.
_WRONG = (
    *(ImplementationError, ValueError, KeyError, TypeError, EOFError, OSError, RuntimeError),
    *(csv.Error, struct.error, zipfile.BadZipFile),
)


def read_vectors(data: bytes, kind: str, conversion: Conversion) -> Rows:
    """
    Read a file of vectors.

    Parameters
    ----------
    data : bytes
        The file.
    kind : str
        One of `KINDS`.
    conversion : Conversion
        What its words and codes are.

    Returns
    -------
    Rows
        What it says.

    Raises
    ------
    ValueError
        If it is not such a file.
    """
    reader = {
        "json": _read_json,
        "csv": _read_csv,
        "npz": _read_npz,
        "hex": _read_hex,
        "readmemh": _read_readmemh,
    }[kind]
    try:
        return reader(data, conversion)
    except _WRONG as error:
        msg = f"it is no {kind} file of vectors: {error}"
        raise ValueError(msg) from error


def _table(rows: list[list[str]], conversion: Conversion, first: int) -> Rows:
    """Return rows of text, the first of which stands in line `first`."""
    for place, row in enumerate(rows, first):
        if len(row) != len(COLUMNS):
            msg = f"line {place} has {len(row)} columns, which are not {', '.join(COLUMNS)}"
            raise ValueError(msg)
    # Empty lines in the place of what comes before, so that a complaint has the right number.
    lines = "\n" * (first - 1) + "".join(f"{word} {code}\n" for word, _, code, _ in rows)
    words, codes, _ = parse_results(io.StringIO(lines), conversion.source, conversion.fmt)
    if words.size != len(rows):
        msg = f"{len(rows) - words.size} of its rows have no numbers"
        raise ValueError(msg)
    return Rows(words, codes, [row[1] for row in rows], [row[3] for row in rows], first)


def _read_json(data: bytes, conversion: Conversion) -> Rows:
    text = data.decode("utf-8")
    found = json.loads(text)
    rows = found["cases"]
    if not all(isinstance(row, list) and all(isinstance(t, str) for t in row) for row in rows):
        msg = "its cases are not rows of text"
        raise ValueError(msg)
    first = text[: text.index('"cases"')].count("\n") + 2
    return _table(rows, conversion, first)


def _read_csv(data: bytes, conversion: Conversion) -> Rows:
    reader = csv.reader(
        io.StringIO(data.decode("utf-8"), newline=""), strict=True, skipinitialspace=True
    )
    head, *rows = reader
    if tuple(head) != COLUMNS:
        msg = f"line 1 must be {','.join(COLUMNS)}"
        raise ValueError(msg)
    return _table(rows, conversion, 2)


def _read_npz(data: bytes, conversion: Conversion) -> Rows:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # What is written is not compressed: nothing can unfold to more than the file.
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            msg = "its members are compressed, which those of fp8num are not"
            raise ValueError(msg)
        arrays = {}
        for name in (*COLUMNS, "classes"):
            with archive.open(f"{name}.npy") as member:
                arrays[name] = _read_array(member, name)
    fmt, source = conversion.fmt, conversion.source
    words, codes, kinds = arrays["input"], arrays["code"], arrays["class"]
    sizes = {array.shape for name, array in arrays.items() if name != "classes"}
    if words.dtype != source.word or codes.dtype != fmt.code_dtype or kinds.dtype != np.uint8:
        msg = f"its arrays have types {words.dtype}, {codes.dtype}, {kinds.dtype}"
        raise ValueError(msg)
    if len(sizes) > 1 or words.ndim != 1 or not words.size:
        msg = f"its arrays have shapes {', '.join(map(str, sorted(sizes)))}"
        raise ValueError(msg)
    names = [name.decode() for name in arrays["classes"].tolist()]
    if tuple(names) != CLASSES or kinds.max() >= len(CLASSES) or codes.max() >> fmt.bits:
        msg = "it has classes or codes that there are none of"
        raise ValueError(msg)
    values = [value.decode() for value in arrays["value"].tolist()]
    return Rows(words, codes, values, [CLASSES[kind] for kind in kinds.tolist()], 0, "index")


def _read_array(member: IO[bytes], name: str) -> npt.NDArray[Any]:
    """Read an array, allocating no more than there is."""
    np.lib.format.read_magic(member)
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    data = member.read()
    if dtype.hasobject or dtype.itemsize * math.prod(shape) != len(data):
        msg = f"its array {name} is not as long as it says"
        raise ValueError(msg)
    return np.frombuffer(data, dtype).reshape(shape)


def _read_hex(data: bytes, conversion: Conversion) -> Rows:
    words, codes, _ = parse_results(io.BytesIO(data), conversion.source, conversion.fmt)
    return Rows(words, codes, None, None, 1)


def _read_readmemh(data: bytes, conversion: Conversion) -> Rows:
    lines = data.splitlines(keepends=True)
    head = next((i for i, line in enumerate(lines) if not line.startswith(b"//")), len(lines))
    # Empty lines in the place of comments: lines keep their numbers.
    body = b"\n" * head + b"".join(lines[head:]).replace(b"_", b" ")
    words, codes, _ = parse_results(io.BytesIO(body), conversion.source, conversion.fmt)
    return Rows(words, codes, None, None, head + 1)

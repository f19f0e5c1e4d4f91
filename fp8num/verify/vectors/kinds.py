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
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fp8num._archives import check_members, open_archive, read_array
from fp8num._reading import parse_json
from fp8num._records import mapping
from fp8num._text import guarded, shown
from fp8num.verify.classes import CLASSES
from fp8num.verify.hexlines import code_digits, hex_lines, parse_results
from fp8num.verify.implementation import ImplementationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    """What a file of vectors says."""

    words: npt.NDArray[Any]  #: the inputs and their codes
    codes: npt.NDArray[Any]  #: the inputs and their codes
    #: The inputs as hex floats and their classes, where the kind of file has them.
    floats: list[str] | None
    #: The inputs as hex floats and their classes, where the kind of file has them.
    class_names: list[str] | None
    first: int  #: where the first row is: its line, or its index where there are no lines
    unit: str = "line"  #: what `first` counts: line or index

    def place(self, row: int) -> str:
        """Say where a row is."""
        return f"{self.unit} {self.first + row}"


# Writing.


def write_vectors(vectors: Vectors, kind: str, version: str) -> bytes:
    """Write vectors as a file of some kind."""
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
    # 3e100000 would be read as a decimal number, and a text that begins with a minus taken for a
    # formula by a spreadsheet: hence 0x, and a space, which `skipinitialspace` of Python's csv
    # and of pandas undoes, and `float.fromhex` and `strtod` pass over.
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

#: Rows of a file; the largest set has 1.6 million.
MAX_ROWS = 1 << 22
#: Bytes of a JSON file besides its cases.
MAX_HEAD = 1 << 20

_TEXT = rb'\s*+("[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+")\s*+'
_CASES = re.compile(rb'"cases"\s*+:\s*+\[(\s*+\])?')
_ROW = re.compile(rb"\s*+\[" + rb",".join([_TEXT] * len(COLUMNS)) + rb"\]\s*+([,\]])")


def read_vectors(data: bytes, kind: str, conversion: Conversion) -> Rows:
    """Read a file of vectors."""
    reader = {
        "json": _read_json,
        "csv": _read_csv,
        "npz": _read_npz,
        "hex": _read_hex,
        "readmemh": _read_readmemh,
    }[kind]
    try:
        return reader(data, conversion)
    except (ImplementationError, ValueError, csv.Error) as error:
        msg = f"it is no {kind} file of vectors: {error}"
        raise ValueError(msg) from error


def _table(rows: Iterable[Sequence[str]], conversion: Conversion, first: int) -> Rows:
    """Return rows of text, the first of which stands in line `first`; none of them is kept."""
    # Empty lines in the place of what comes before, so that a complaint has the right number.
    lines = bytearray(b"\n" * (first - 1))
    values: list[str] = []
    kinds: list[str] = []
    known = {name: name for name in CLASSES}
    for place, row in enumerate(rows, first):
        if len(row) != len(COLUMNS):
            msg = f"line {place} has {len(row)} columns, which are not {', '.join(COLUMNS)}"
            raise ValueError(msg)
        if len(values) == MAX_ROWS:
            msg = f"it has more than {MAX_ROWS} rows"
            raise ValueError(msg)
        word, value, code, kind = row
        lines += f"{word} {code}\n".encode()
        values.append(value)
        kinds.append(known.get(kind, kind))
    words, codes, _ = parse_results(io.BytesIO(lines), conversion.source, conversion.fmt)
    if words.size != len(values):
        msg = f"{len(values) - words.size} of its rows have no numbers"
        raise ValueError(msg)
    return Rows(words, codes, values, kinds, first)


def _read_json(data: bytes, conversion: Conversion) -> Rows:
    """Read the cases row by row: parsed at once they would take eight times the file."""
    start = _CASES.search(data)
    if start is None:
        msg = "it has no cases"
        raise ValueError(msg)
    return _table(_json_rows(data, start), conversion, data.count(b"\n", 0, start.start()) + 2)


def _json_rows(data: bytes, start: re.Match[bytes]) -> Iterator[list[str]]:
    """Yield the cases, and see that what is around them is JSON."""
    place, more = start.end(), start[1] is None
    while more:
        match = _ROW.match(data, place)
        if match is None:
            line = data.count(b"\n", 0, len(data) - len(data[place:].lstrip())) + 1
            msg = f"line {line} is no row of {len(COLUMNS)} texts, {', '.join(COLUMNS)}"
            raise ValueError(msg)
        *texts, mark = match.groups()
        yield [parse_json(text) if b"\\" in text else text[1:-1].decode("utf-8") for text in texts]
        place, more = match.end(), mark == b","
    rest = data[: start.start()] + b'"cases": []' + data[place : place + MAX_HEAD]
    mapping("it", parse_json(rest[: MAX_HEAD + 1]))


def _read_csv(data: bytes, conversion: Conversion) -> Rows:
    lines = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    if tuple(next(reader, ())) != COLUMNS:
        msg = f"line 1 must be {','.join(COLUMNS)}"
        raise ValueError(msg)
    return _table(reader, conversion, 2)


def _read_npz(data: bytes, conversion: Conversion) -> Rows:
    # What is written is not compressed: nothing can unfold to more than the file.
    with open_archive(io.BytesIO(data), "it", "write it again") as archive:
        members = archive.infolist()
        check_members(members, len(data), _place, compressed=False)
        named = {member.filename: member for member in members}
        arrays = {}
        for name in (*COLUMNS, "classes"):
            if f"{name}.npy" not in named:
                msg = f"it has no array {name}"
                raise ValueError(msg)
            arrays[name] = read_array(archive, named[f"{name}.npy"], _place(name))
    fmt, source = conversion.fmt, conversion.source
    words, codes, kinds = arrays["input"], arrays["code"], arrays["class"]
    sizes = {array.shape for name, array in arrays.items() if name != "classes"}
    if words.dtype != source.word or codes.dtype != fmt.code_dtype or kinds.dtype != np.uint8:
        msg = f"its arrays have types {words.dtype}, {codes.dtype}, {kinds.dtype}"
        raise ValueError(msg)
    if len(sizes) > 1 or words.ndim != 1 or not 0 < words.size <= MAX_ROWS:
        msg = f"its arrays have shapes {', '.join(map(str, sorted(sizes)))}"
        raise ValueError(msg)
    names, values = _texts(arrays["classes"], "classes"), _texts(arrays["value"], "value")
    if tuple(names) != CLASSES or kinds.max() >= len(CLASSES) or codes.max() >> fmt.bits:
        msg = "it has classes or codes that there are none of"
        raise ValueError(msg)
    return Rows(words, codes, values, [CLASSES[kind] for kind in kinds.tolist()], 0, "index")


def _place(name: str) -> str:
    return f"its array {shown(name.removesuffix('.npy'), 60)}"


def _texts(array: npt.NDArray[Any], name: str) -> list[str]:
    """Return the elements of an array of text."""
    if array.dtype.kind != "S" or array.ndim != 1:
        msg = f"its array {name} must be text, got {array.dtype} of shape {array.shape}"
        raise ValueError(msg)
    return [text.decode("ascii") for text in array.tolist()]


def _read_hex(data: bytes, conversion: Conversion) -> Rows:
    words, codes, _ = parse_results(io.BytesIO(data), conversion.source, conversion.fmt)
    return Rows(words, codes, None, None, 1)


def _read_readmemh(data: bytes, conversion: Conversion) -> Rows:
    head, start = 0, 0
    while data.startswith(b"//", start):
        head, start = head + 1, (data.find(b"\n", start) + 1) or len(data)
    # Empty lines in the place of comments: lines keep their numbers.
    body = b"\n" * head + data[start:].replace(b"_", b" ")
    words, codes, _ = parse_results(io.BytesIO(body), conversion.source, conversion.fmt)
    return Rows(words, codes, None, None, head + 1)
